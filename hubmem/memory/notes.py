"""What a plan of transformers takes for granted, a sentence each."""

from collections.abc import Iterator

from hubmem.memory.programs.families import computation_of
from hubmem.memory.sharding import Rank
from hubmem.models.architecture import Architecture
from hubmem.models.mixers import Recurrent

_SCAN = (
    "Layers without attention are planned with their kernels (mamba-ssm, flash-linear-attention); without them"
    " transformers scans in plain operators, which take several times as much."
)
# Short convolutions have no scan: plain operators are all they need.
_WITHOUT_SCAN = ("short_convolution", "compressed_convolution", "ngram_features")


_SCORES = (
    "transformers has no fused attention for {}: its code keeps all attention scores, which grow with the square"
    " of the context."
)


def notes(rank: Rank, *, unknown: str) -> tuple[str, ...]:
    """The notes of a model's plan; `unknown` of one whose layers are not known."""
    if rank.architecture is None:
        return (unknown,)
    return tuple(_notes(rank, rank.architecture))


def _notes(rank: Rank, architecture: Architecture) -> Iterator[str]:
    if any(_scanned(architecture)):
        yield _SCAN
    if rank.workload.attention != "eager" and not computation_of(architecture, rank.census).fused_kernels:
        yield _SCORES.format(architecture.model_type)


def _scanned(architecture: Architecture) -> Iterator[bool]:
    for layer, _ in architecture.distinct_layers:
        for mixer in layer.mixers:
            yield isinstance(mixer, Recurrent) and mixer.name not in _WITHOUT_SCAN
