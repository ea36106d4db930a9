"""The cache of vLLM: one pool of blocks of one size for all layers.

Layers of a kind (full, a window, a state) are put into groups of equal length, padded up; a block serves one
group, so that a model of several kinds needs several blocks for the same tokens. A page is the part of a block
that one layer has.
"""

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from hubmem.memory.sharding import kv_heads_each
from hubmem.models.architecture import Architecture
from hubmem.models.mixers import Attention, Indexer, LatentAttention, Mixer, Recurrent

Kind = Literal["full", "window", "state", "across"]

# Blocks of attention beside states are a multiple of this (HybridAttentionMambaModelConfig of vLLM 0.11).
_ALIGNMENT = 16
# One kind's layers may outnumber another's by so much before groups are as short as the shorter (vLLM 0.11).
_STRETCH = Fraction(5, 4)
# An indexer's key is kept in 8 bits with a float32 scale for each 128 (vLLM, DeepseekV32IndexerCache). So are the
# latents beside it where the cache is FP8, their rotary part in bfloat16: `fp8_ds_mla` (vLLM,
# v1/attention/backends/mla/flashmla_sparse.py; SGLang, calculate_mla_kv_cache_dim).
_SCALED_ELEMENTS, _SCALE_BYTES, _ROTARY_BYTES = 128, 4, 2


class CachePool(Protocol):
    """How an engine fills a pool with what sequences keep."""

    def request_bytes(self, tokens: int) -> int:
        """Bytes of a pool that one sequence of that length needs."""

    def concurrency(self, pool_bytes: int, tokens: int) -> float:
        """Sequences of that length a pool holds at once."""

    def tokens_in(self, pool_bytes: int) -> int:
        """Tokens of a pool, as the engine's log counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedCache:
    """How an engine of the vLLM kind is set.

    Attributes:
        block_tokens: tokens in a block; more are taken where a state needs a larger page.
        cache_bits, model_bits: width of an element of keys and values, and of a convolution's past inputs.
        state_bits: width of an element of a recurrent state; vLLM takes the model's unless told otherwise.
        max_batched_tokens: tokens of one step (`max_num_batched_tokens`); a window holds them beside its own.
        tp: ranks that share the KV heads. Latents and indexers are whole on each.
    """

    block_tokens: int = 16
    cache_bits: int = 16
    model_bits: int = 16
    state_bits: int = 16
    max_batched_tokens: int = 8192
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
    counts = specs_of(architecture, settings)
    if not counts:
        return None
    if all(spec.kind == "full" for spec in counts):
        return _one_group(counts, settings)
    return _equal_groups(counts, settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a layer keeps: so many bits for each token, or so many bytes for a sequence."""

    kind: Kind
    token_bits: int = 0
    state_bytes: int = 0
    window: int = 0

    def page_bytes(self, block_tokens: int) -> int:
        """What one layer has of a block."""
        return block_tokens * self.token_bits // 8


def specs_of(architecture: Architecture, settings: PagedCache) -> Counter[Spec] | None:
    """How many layers keep what; None where an engine has no such layers (compressed caches)."""
    counts: Counter[Spec] = Counter()
    for layer, layers in architecture.distinct_layers:
        indexed = any(isinstance(mixer, Indexer) for mixer in layer.mixers)
        for mixer in layer.mixers:
            spec = _spec(mixer, settings, indexed=indexed)
            if spec is None:
                return None
            if spec.token_bits or spec.state_bytes:
                counts[spec] += layers
    return counts


def _spec(mixer: Mixer, settings: PagedCache, *, indexed: bool) -> Spec | None:
    if isinstance(mixer, Attention):
        if mixer.shared:
            return Spec(kind="full")
        elements = kv_heads_each(mixer.kv_heads, settings.tp) * (mixer.key_dim + mixer.value_dim)
        # Chunks are laid out like full attention: the hybrid allocator is off for them (vLLM 0.11).
        slides = mixer.window is not None and mixer.window_kind == "sliding"
        return Spec(
            kind="across" if mixer.source == "cross" else "window" if slides else "full",
            token_bits=elements * settings.cache_bits,
            window=mixer.window or 0 if slides else 0,
        )
    if isinstance(mixer, LatentAttention) and mixer.window is None:
        bits = (mixer.latent_dim + mixer.rope_dim) * settings.cache_bits
        if indexed and settings.cache_bits == 8:
            bits = 8 * (_scaled_bytes(mixer.latent_dim) + _ROTARY_BYTES * mixer.rope_dim)
        return Spec(kind="full", token_bits=0 if mixer.shared else bits)
    if isinstance(mixer, Indexer):
        return Spec(kind="full", token_bits=8 * _scaled_bytes(mixer.dim))
    if isinstance(mixer, Recurrent):
        return Spec(kind="state", state_bytes=_state_bytes(mixer, settings))
    return None


def _scaled_bytes(elements: int) -> int:
    return elements + _SCALE_BYTES * _ceil(elements, _SCALED_ELEMENTS)


def _state_bytes(mixer: Recurrent, settings: PagedCache) -> int:
    state = mixer.engine_state
    bits = state.model * settings.model_bits + state.float32 * settings.state_bits
    return _ceil(bits, 8 * settings.tp)


def _one_group(counts: Counter[Spec], settings: PagedCache) -> BlockLayout:
    """All layers see everything: a block serves them all, whatever the size of their pages."""
    block_bytes = sum(spec.page_bytes(settings.block_tokens) * layers for spec, layers in counts.items())
    kinds = (Layers(kind="full", groups=1, block_tokens=settings.block_tokens),)
    return BlockLayout(kinds=kinds, block_bytes=block_bytes, max_batched_tokens=settings.max_batched_tokens)


def _equal_groups(counts: Counter[Spec], settings: PagedCache) -> BlockLayout | None:
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


def _block_tokens(counts: Counter[Spec], settings: PagedCache) -> int:
    """Tokens of a block: as set, or as many as make its page no smaller than a state."""
    state = max(spec.state_bytes for spec in counts)
    token_bits = max((spec.token_bits for spec in counts), default=0)
    if not state or not token_bits:
        return settings.block_tokens
    needed = _ALIGNMENT * _ceil(8 * state, _ALIGNMENT * token_bits)
    return max(settings.block_tokens, needed)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
