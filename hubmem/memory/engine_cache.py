"""Caches as engines lay them out: vLLM's blocks in groups of layers, llama.cpp's cells.

vLLM holds one pool of blocks of one size for all layers. Layers of a kind (full, a window, a state) are put
into groups of equal length, padded up; a block serves one group, so that a model of several kinds needs
several blocks for the same tokens. A page is the part of a block that one layer has.
"""

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from hubmem.memory.sharding import kv_heads_each
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Attention, Indexer, LatentAttention, Mixer, Recurrent

Kind = Literal["full", "window", "state", "across"]

# Blocks of attention beside states are a multiple of this (HybridAttentionMambaModelConfig of vLLM 0.11).
_ALIGNMENT = 16
# One kind's layers may outnumber another's by so much before groups are as short as the shorter (vLLM 0.11).
_STRETCH = Fraction(5, 4)
# An indexer's key is kept in 8 bits with a scale of four bytes for each 128 (vLLM, DeepseekV32IndexerCache).
_SCALED_ELEMENTS = 128

# `fp8_ds_mla`: 512 elements in 8 bits, a float32 scale for each 128 of them, 64 rotary elements in bfloat16
# (FlashMLA; vLLM, v1/attention/backends/mla/flashmla_sparse.py).
FP8_DS_MLA_BYTES = 512 + 4 * 4 + 64 * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedCache:
    """How an engine of the vLLM kind is set.

    Attributes:
        block_tokens: tokens in a block; more are taken where a state needs a larger page.
        cache_bits, model_bits: width of an element of keys and values, and of a convolution's past inputs.
        state_bits: width of an element of a recurrent state; vLLM takes the model's unless told otherwise.
        max_batched_tokens: tokens of one step (`max_num_batched_tokens`); a window holds them beside its own.
        latent_bytes: of a latent for each token where the engine packs it in a way of its own, else 0.
        tp: ranks that share the KV heads. Latents and indexers are whole on each.
    """

    block_tokens: int = 16
    cache_bits: int = 16
    model_bits: int = 16
    state_bits: int = 16
    max_batched_tokens: int = 8192
    latent_bytes: int = 0
    tp: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Layers that are laid out alike.

    Attributes:
        groups: into how many groups they are put.
        block_tokens: tokens of a block that serves them.
    """

    kind: Kind
    groups: int
    block_tokens: int
    window: int = 0

    def blocks(self, tokens: int, *, encoder_tokens: int, max_batched_tokens: int) -> int:
        """Blocks one sequence needs in all of their groups.

        >>> Layers(kind="window", groups=6, block_tokens=16, window=512).blocks(
        ...     2048, encoder_tokens=0, max_batched_tokens=8192)
        774
        """
        if self.kind == "state":
            return self.groups
        if self.kind == "window":
            # A window moves inside its first block, so that it may touch one more.
            held = min(self.window - 1 + max_batched_tokens, tokens)
            return self.groups * (_ceil(held, self.block_tokens) + 1)
        return self.groups * _ceil(encoder_tokens if self.kind == "across" else tokens, self.block_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLayout:
    """A model's cache in blocks, on one rank.

    Attributes:
        block_bytes: of a block, in all layers of its group.
        max_batched_tokens: as set.
    """

    kinds: tuple[Layers, ...]
    block_bytes: int
    max_batched_tokens: int

    @property
    def groups(self) -> int:
        """Groups of all kinds together."""
        return sum(kind.groups for kind in self.kinds)

    def request_blocks(self, tokens: int, *, encoder_tokens: int = 0) -> int:
        """Blocks one sequence of that length needs."""
        return sum(
            kind.blocks(tokens, encoder_tokens=encoder_tokens, max_batched_tokens=self.max_batched_tokens)
            for kind in self.kinds
        )

    def request_bytes(self, tokens: int, *, encoder_tokens: int = 0) -> int:
        """Bytes one sequence of that length needs: what "KV cache is needed" errors name."""
        return self.request_blocks(tokens, encoder_tokens=encoder_tokens) * self.block_bytes

    def blocks_in(self, pool_bytes: int) -> int:
        """Blocks a pool holds."""
        return pool_bytes // self.block_bytes

    def concurrency(self, pool_bytes: int, tokens: int) -> float:
        """Sequences of that length a pool holds at once: `Maximum concurrency` in the log."""
        return self.blocks_in(pool_bytes) / self.request_blocks(tokens)

    def tokens_in(self, pool_bytes: int) -> int:
        """`GPU KV cache size` in the log: tokens as if each needed a block in every group."""
        smallest = min((kind.block_tokens for kind in self.kinds if kind.kind != "state"), default=0)
        return self.blocks_in(pool_bytes) // self.groups * smallest


def block_layout(architecture: Architecture, settings: PagedCache) -> BlockLayout | None:
    """The cache of a model in blocks, or None where its layers cannot be laid out so (compressed caches).

    Source: vLLM 0.11, v1/kv_cache_interface.py and v1/core/kv_cache_utils.py (get_kv_cache_groups,
    get_max_concurrency_for_kv_cache_config).
    """
    counts: Counter[_Spec] = Counter()
    for layer, layers in architecture.distinct_layers:
        for mixer in layer.mixers:
            spec = _spec(mixer, settings)
            if spec is None:
                return None
            counts[spec] += layers
    counts = Counter({spec: layers for spec, layers in counts.items() if spec.kept})
    if not counts:
        return None
    if all(spec.kind == "full" for spec in counts):
        return _one_group(counts, settings)
    return _equal_groups(counts, settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """What a layer keeps: so many bits for each token, or so many for a sequence."""

    kind: Kind
    token_bits: int = 0
    state_bytes: int = 0
    window: int = 0

    @property
    def kept(self) -> bool:
        return self.token_bits + self.state_bytes > 0

    def page_bytes(self, block_tokens: int) -> int:
        return block_tokens * self.token_bits // 8


def _spec(mixer: Mixer, settings: PagedCache) -> _Spec | None:
    if isinstance(mixer, Attention):
        if mixer.shared:
            return _Spec(kind="full")
        elements = kv_heads_each(mixer.kv_heads, settings.tp) * (mixer.key_dim + mixer.value_dim)
        # Chunks are laid out like full attention: the hybrid allocator is off for them (vLLM 0.11).
        slides = mixer.window is not None and mixer.window_kind == "sliding"
        return _Spec(
            kind="across" if mixer.source == "cross" else "window" if slides else "full",
            token_bits=elements * settings.cache_bits,
            window=mixer.window or 0 if slides else 0,
        )
    if isinstance(mixer, LatentAttention) and mixer.window is None:
        bits = 8 * settings.latent_bytes or (mixer.latent_dim + mixer.rope_dim) * settings.cache_bits
        return _Spec(kind="full", token_bits=0 if mixer.shared else bits)
    if isinstance(mixer, Indexer):
        return _Spec(kind="full", token_bits=8 * (mixer.dim + 4 * _ceil(mixer.dim, _SCALED_ELEMENTS)))
    if isinstance(mixer, Recurrent):
        return _Spec(kind="state", state_bytes=_state_bytes(mixer, settings))
    return None


def _state_bytes(mixer: Recurrent, settings: PagedCache) -> int:
    """A state on one rank; the current input of a convolution is not kept."""
    convolved = mixer.state.model
    if mixer.kernel:
        convolved = convolved // mixer.kernel * (mixer.kernel - 1)
    bits = convolved * settings.model_bits + mixer.state.float32 * settings.state_bits
    return _ceil(bits, 8 * settings.tp)


def _one_group(counts: Counter[_Spec], settings: PagedCache) -> BlockLayout:
    """All layers see everything: a block serves them all, whatever the size of their pages."""
    block_bytes = sum(spec.page_bytes(settings.block_tokens) * layers for spec, layers in counts.items())
    kinds = (Layers(kind="full", groups=1, block_tokens=settings.block_tokens),)
    return BlockLayout(kinds=kinds, block_bytes=block_bytes, max_batched_tokens=settings.max_batched_tokens)


def _equal_groups(counts: Counter[_Spec], settings: PagedCache) -> BlockLayout | None:
    """Groups of g layers whose pages are of one size: smaller pages take more tokens, states are padded.

    g is the fewest layers any kind has; the most, where that is less than a quarter more.
    """
    block_tokens = _block_tokens(counts, settings)
    page = max(max(spec.page_bytes(block_tokens), spec.state_bytes) for spec in counts)
    if any(page % spec.page_bytes(block_tokens) for spec in counts if spec.token_bits):
        return None
    fewest, most = min(counts.values()), max(counts.values())
    group = most if most < fewest * _STRETCH else fewest
    kinds = tuple(
        Layers(
            kind=spec.kind,
            groups=_ceil(layers, group),
            block_tokens=block_tokens * (page // spec.page_bytes(block_tokens)) if spec.token_bits else 0,
            window=spec.window,
        )
        for spec, layers in counts.items()
    )
    return BlockLayout(kinds=kinds, block_bytes=group * page, max_batched_tokens=settings.max_batched_tokens)


def _block_tokens(counts: Counter[_Spec], settings: PagedCache) -> int:
    """Tokens of a block: as set, or as many as make its page no smaller than a state."""
    state = max(spec.state_bytes for spec in counts)
    token_bits = max((spec.token_bits for spec in counts), default=0)
    if not state or not token_bits:
        return settings.block_tokens
    needed = _ALIGNMENT * _ceil(8 * state, _ALIGNMENT * token_bits)
    return max(settings.block_tokens, needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellType:
    """A dtype of llama.cpp's cache: so many bytes for a block of so many elements."""

    elements: int
    nbytes: int

    def bytes_of(self, elements: int) -> Fraction:
        """Bytes of that many elements."""
        return Fraction(elements * self.nbytes, self.elements)


# Source: ggml-common.h (block_q8_0 …): beside 32 elements a scale of two bytes, and a minimum of two.
CELL_TYPES = {
    "f32": CellType(elements=1, nbytes=4),
    "f16": CellType(elements=1, nbytes=2),
    "bf16": CellType(elements=1, nbytes=2),
    "q8_0": CellType(elements=32, nbytes=34),
    "q5_1": CellType(elements=32, nbytes=24),
    "q5_0": CellType(elements=32, nbytes=22),
    "q4_1": CellType(elements=32, nbytes=20),
    "q4_0": CellType(elements=32, nbytes=18),
    "iq4_nl": CellType(elements=32, nbytes=18),
}
_CELLS = 256


def as_llama_cpp_runs(architecture: Architecture) -> Architecture:
    """The model without its windows, where every layer has one: llama.cpp knows windows beside full layers.

    Source: llama.cpp, src/llama-model.cpp: `llama` reads no window (Mistral-7B-v0.1), and that of `phi3` is
    "currently disabled".
    """
    mixers = (mixer for layer, _ in architecture.distinct_layers for mixer in layer.mixers)
    attentions = [mixer for mixer in mixers if isinstance(mixer, Attention)]
    return without_windows(architecture) if all(mixer.window for mixer in attentions) else architecture


def without_windows(architecture: Architecture) -> Architecture:
    """The model with layers that see everything, as an engine lays them out that keeps all positions."""
    mixers = (mixer for layer, _ in architecture.distinct_layers for mixer in layer.mixers)
    if not any(isinstance(mixer, Attention) and mixer.window for mixer in mixers):
        return architecture
    return replace(architecture, layers=tuple(map(_without_window, architecture.layers)))


def _without_window(layer: Layer) -> Layer:
    mixers = (replace(m, window=None) if isinstance(m, Attention) else m for m in layer.mixers)
    return replace(layer, mixers=tuple(mixers))


def llama_cpp_cache_bytes(
    architecture: Architecture,
    *,
    tokens: int,
    sequences: int = 1,
    micro_batch: int = 512,
    key_type: str = "f16",
    value_type: str = "f16",
) -> int | None:
    """Bytes of llama.cpp's cache, or None where it has no such layers.

    A full layer has a cell for each token of the context, which all sequences share; a windowed one for its
    window and a micro-batch; both are rounded up to 256. A latent is kept once, as a key. Recurrent states
    are float32, one for each sequence.

    The architecture is as `as_llama_cpp_runs` gives it, or some of its layers.

    Source: llama.cpp, src/llama-kv-cache-iswa.cpp and src/llama-memory-recurrent.cpp.
    """
    context = _CELLS * _ceil(tokens, _CELLS)
    key, value = CELL_TYPES[key_type], CELL_TYPES[value_type]
    total = Fraction(0)
    for layer, layers in architecture.distinct_layers:
        for mixer in layer.mixers:
            if isinstance(mixer, Attention) and mixer.source == "self":
                cells = 0 if mixer.shared else _cells(context, mixer.window, micro_batch)
                keys, values = mixer.kv_heads * mixer.key_dim, mixer.kv_heads * mixer.value_dim
                total += layers * cells * (key.bytes_of(keys) + value.bytes_of(values))
            elif isinstance(mixer, LatentAttention) and mixer.window is None:
                total += layers * context * key.bytes_of(mixer.latent_dim + mixer.rope_dim)
            elif isinstance(mixer, Recurrent):
                total += layers * sequences * _recurrent_bytes(mixer)
            else:
                return None
    return _ceil(total.numerator, total.denominator)


def _cells(context: int, window: int | None, micro_batch: int) -> int:
    if window is None:
        return context
    return min(context, _CELLS * _ceil(window + micro_batch, _CELLS))


def _recurrent_bytes(mixer: Recurrent) -> int:
    convolved = mixer.state.model
    if mixer.kernel:
        convolved = convolved // mixer.kernel * (mixer.kernel - 1)
    return 4 * (convolved + mixer.state.float32)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
