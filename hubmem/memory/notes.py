"""What a plan of transformers takes for granted, a sentence each."""

from collections.abc import Iterator

from hubmem.models.architecture import Architecture
from hubmem.models.mixers import Recurrent

_SCAN = (
    "Layers without attention are planned with their kernels (mamba-ssm, flash-linear-attention); without them"
    " transformers scans in plain operators, which take several times as much."
)
# Short convolutions have no scan: plain operators are all they need.
_WITHOUT_SCAN = ("short_convolution", "compressed_convolution", "ngram_features")


def notes(architecture: Architecture | None, *, unknown: str) -> tuple[str, ...]:
    """The notes of a model's plan; `unknown` of one whose layers are not known."""
    if architecture is None:
        return (unknown,)
    return (_SCAN,) if any(_scanned(architecture)) else ()


def _scanned(architecture: Architecture) -> Iterator[bool]:
    for layer, _ in architecture.distinct_layers:
        for mixer in layer.mixers:
            yield isinstance(mixer, Recurrent) and mixer.name not in _WITHOUT_SCAN
