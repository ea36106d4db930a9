"""What a plan of transformers takes for granted, a sentence each."""

from collections.abc import Iterator

from hubmem.memory.images import seen_by
from hubmem.memory.sharding import Rank
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Attention, CompressedAttention, Indexer, LatentAttention, Recurrent
from hubmem.weights.roles import Role

_PLAIN = (
    "Layers without attention are planned in plain operators, as transformers runs them where mamba-ssm and"
    " flash-linear-attention are not installed; with those kernels they take a fraction of it."
)
_SCAN = (
    "Layers without attention are planned with their kernels (mamba-ssm, flash-linear-attention); without them"
    " transformers scans in plain operators, which take several times as much."
)
_CHOOSING = (
    "What chooses the keys of sparse attention is planned in plain operators, as transformers has it: a score for"
    " each of its heads, which grow with the square of the context."
)
_CHOICE_UNKNOWN = (
    "What chooses the keys of sparse attention is not counted, and grows with the square of the context: this is the"
    " least it can take."
)
_TEXT_ALONE = "Images are not counted: this is the plan of text alone."
_TOWER_UNKNOWN = "What the layers of its tower take while they run is not counted."
_ASSUMED = (
    "How large an image may be is as published with its family: no settings of an image processor were read."
)
# Short convolutions have no scan: plain operators are all they need.
_WITHOUT_SCAN = ("short_convolution", "compressed_convolution", "ngram_features")
_SCORES = (
    "transformers has no fused attention for {}: its code keeps all attention scores, which grow with the square"
    " of the context."
)
_OTHERWISE = (
    "The code of {} mixes tokens in a way of its own, which is not planned: its activations are those of plain"
    " attention over the sizes of its layers, a rough guide."
)
# Attention that is sparse, hashed, pooled, approximated, by n-grams or in bottlenecks; integers; Fourier transforms.
_MIXED_OTHERWISE = frozenset({
    "big_bird", "bigbird_pegasus", "convbert", "fnet", "funnel", "ibert", "led", "longformer", "longt5",
    "mobilebert", "mra", "nystromformer", "pegasus_x", "prophetnet", "reformer", "squeezebert", "yoso",
})  # fmt: skip
_NO_FLASH = (
    "Below compute capability 8.0 torch has no fused attention for heads that share keys: all attention scores are kept,"
    " in float32, which grow with the square of the context."
)


def notes(rank: Rank, *, unknown: str) -> tuple[str, ...]:
    """The notes of a model's plan; `unknown` of one whose layers are not known."""
    if rank.architecture is None:
        return (unknown,)
    return tuple(_notes(rank, rank.architecture))


def _notes(rank: Rank, architecture: Architecture) -> Iterator[str]:
    yield from dict.fromkeys(_PLAIN if mixer.chunk else _SCAN for mixer in _scanned(architecture))
    if any(map(_chooses_keys, architecture.layers)):
        counted = rank.computation.index_heads and any(map(_is_latent, architecture.layers))
        yield _CHOOSING if counted else _CHOICE_UNKNOWN
    if rank.workload.attention != "eager" and not rank.computation.fused_kernels:
        yield _SCORES.format(architecture.model_type)
    elif _shares_keys(architecture) and rank.workload.attention_kernels == "no-flash":
        yield _NO_FLASH
    if architecture.model_type in _MIXED_OTHERWISE:
        yield _OTHERWISE.format(architecture.model_type)
    yield from _of_images(rank, architecture)


def _chooses_keys(layer: Layer) -> bool:
    return any(
        isinstance(m, Indexer) or (isinstance(m, CompressedAttention) and m.index_dim) for m in layer.mixers
    )


def _is_latent(layer: Layer) -> bool:
    return any(isinstance(mixer, LatentAttention) for mixer in layer.mixers)


def _shares_keys(architecture: Architecture) -> bool:
    mixer = architecture.attention
    return isinstance(mixer, Attention) and mixer.heads != mixer.kv_heads


def _of_images(rank: Rank, architecture: Architecture) -> Iterator[str]:
    seen = seen_by(architecture, rank.workload)
    if seen is None and any(group.role is Role.VISION for group in rank.census.kinds):
        known = architecture.tower is not None
        yield _TEXT_ALONE + (" --images says how many a sequence has." if known else "")
    if seen is not None and architecture.tower:
        width, height = rank.workload.image_pixels
        pictures = f"{seen.crops} pictures, " if seen.crops > 1 else ""
        yield (
            f"An image of {width:,} × {height:,} pixels is {pictures}{seen.tokens:,} of the"
            f" {rank.workload.context:,} tokens of a sequence."
        )
        if architecture.tower.assumed:
            yield _ASSUMED
        if architecture.tower.body is None:
            yield _TOWER_UNKNOWN


def _scanned(architecture: Architecture) -> Iterator[Recurrent]:
    for layer, _ in architecture.distinct_layers:
        for mixer in layer.mixers:
            if isinstance(mixer, Recurrent) and mixer.name not in _WITHOUT_SCAN:
                yield mixer
