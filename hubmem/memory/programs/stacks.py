"""A stack of layers as transformers runs it: its distinct layers, and what its model refers to meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from hubmem.memory.programs.attention import Mask
from hubmem.memory.programs.block import Block, Caching
from hubmem.memory.programs.computation import Computation, DistanceBias, Rotation, Scores
from hubmem.memory.programs.operators import FLOAT32
from hubmem.memory.programs.scans import Recurrence
from hubmem.memory.programs.tape import Arithmetic, Counts, Extent, Storage
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Attention, CompressedAttention, Indexer, LatentAttention, Recurrent

# Elements to a multiple of which torch fills up the rows of a mask (attention.cpp, mem_eff_alignment).
_ALIGNMENT = 8
_INT64 = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Layers of an encoder or a decoder, and the tokens that go through them.

    Attributes:
        layers: in the order they run, or the distinct ones where order does not matter.
        tokens: of each sequence, in this pass.
        keys: of each sequence, those in the cache included.
        source: tokens of each sequence in an encoder beside it.
        recurrence: of its layers without attention.
        causal: whether a token sees only those before it.
    """

    architecture: Architecture
    computation: Computation
    workload: Workload
    layers: tuple[Layer, ...]
    arithmetic: Arithmetic
    tokens: int
    keys: int
    source: int = 0
    recurrence: Recurrence | None = None
    causal: bool = True
    caching: Caching = Caching.NONE

    @property
    def counts(self) -> Counts:
        """How many tokens, pairs and so on a layer without a window sees."""
        return self.counts_of(None)

    def counts_of(self, block: Block | None) -> Counts:
        """How many tokens, pairs and so on a layer sees; a window bounds the keys of a single token."""
        b, s, keys = self.workload.batch, self.tokens, self.keys
        ranks = self.workload.tp if self.workload.sequence_parallel else 1
        if block and s == 1 and isinstance(block.mixer, Attention) and block.mixer.window:
            keys = min(keys, block.mixer.window)
        mixer = block and (block.beside or block.mixer)
        chunk = mixer.chunk if isinstance(mixer, Recurrence) else 1
        chunks = -(-s // chunk)
        return {
            Extent.ONCE: 1,
            Extent.TOKENS: b * s,
            Extent.STREAM: -(-b * s // ranks),
            Extent.ROWS: b if self.causal and not self.workload.full_logits else b * s,
            Extent.SEQUENCES: b,
            Extent.KEYS: b * keys,
            Extent.POSITIONS: s,
            Extent.CHUNKS: b * chunks,
            Extent.CHUNKED: b * chunks * chunk,
            Extent.PAIRS: b * s * keys,
            Extent.SQUARE: s * keys,
            Extent.SOURCE: b * self.source,
            Extent.CROSS: b * s * self.source,
            Extent.CROSS_SQUARE: s * self.source,
        }

    def blocks(self) -> Iterator[Block]:
        """Its layers, but those whose attention is of an unknown kind."""
        return filter(None, map(self._block, self.layers))

    @property
    def eager(self) -> bool:
        """Whether attention scores are made by separate operators."""
        return self.workload.attention == "eager" or not self.computation.fused_kernels

    def masks(self) -> tuple[Storage, ...]:
        """One for each kind of layer that needs one: made once, referred to until the pass ends.

        Source: transformers 5.23, masking_utils.py.
        """
        kinds = [self._mask(window) for window in self._windows]
        itemsize = {Mask.BOOLEAN: 1, Mask.ADDITIVE: self.arithmetic.itemsize}
        return tuple(
            Storage("mask", "1", 1, itemsize[kind], Extent.PAIRS) for kind in kinds if kind is not Mask.NONE
        )

    def distances(self) -> tuple[Storage, ...]:
        """Of all pairs of tokens, and their magnitudes: by them windows that look both ways are masked.

        Source: transformers 5.23, masking_utils.py, sliding_window_bidirectional_overlay.
        """
        if self.causal or not any(map(self._reaches_beyond, self._windows)):
            return ()
        names = ("distances", "magnitudes of distances")
        return tuple(Storage(name, "1", 1, _INT64, Extent.SQUARE) for name in names)

    def referred(self) -> tuple[Storage, ...]:
        """Embeddings, tables of positions, the last layer's probabilities: what the model refers to."""
        computation, h, e = self.computation, self.architecture.hidden_size, self.arithmetic.itemsize
        held = [Storage("embeddings", "h", h, e, Extent.STREAM)] * computation.embeddings_held
        if computation.rotation is not Rotation.NONE:
            tables = len(self._windows) if computation.window_positions else 1
            extent = Extent.TOKENS if computation.own_positions else Extent.POSITIONS
            wide = FLOAT32 if computation.positions_float32 else e
            held += [Storage("cos and sin", "D", 2 * self._rotary_dim(), wide, extent)] * tables
        if computation.layer_inputs and not self.arithmetic.trains:
            width = len(self.architecture.layers) * computation.layer_inputs
            held.append(Storage("own inputs of layers", "L·p", width, e))
        if computation.learned_positions:
            held.append(Storage("positions", "h", h, e, Extent.POSITIONS))
        heads = max((m.heads for m in self.layers[0].mixers if isinstance(m, Attention)), default=0)
        if computation.distance_bias is DistanceBias.SHARED:
            held.append(Storage("bias of positions", "a", heads, e, Extent.SQUARE))
            if self.source and self.causal:
                zeros = self.arithmetic.linear_itemsize
                held.append(Storage("bias of no positions", "a", heads, zeros, Extent.CROSS_SQUARE))
        if computation.distance_bias is DistanceBias.REPEATED:
            held.append(Storage("bias of positions", "a", heads, e, Extent.PAIRS))
        if computation.scores is Scores.DISENTANGLED:
            held.append(Storage("which tokens see which", "1", 1, _INT64, Extent.PAIRS))
            held.append(Storage("distances", "1", 1, _INT64, Extent.SQUARE))
        if computation.layers_held and not self.arithmetic.trains:
            # Beside the embeddings and the input of the last.
            outputs = max(len(self.architecture.layers) - 2, 0)
            held.append(Storage("outputs of layers", "L·h", outputs * h, e))
        if computation.returns_probabilities and self.eager:
            held.append(Storage("probabilities of the layer before", "a", heads, e, Extent.PAIRS))
        return tuple(held)

    @property
    def _windows(self) -> tuple[int | None, ...]:
        """The kinds of its layers by their windows: each has a mask of its own."""
        own = (mixer for layer in self.layers for mixer in layer.mixers if _is_own(mixer))
        return tuple(dict.fromkeys(mixer.window for mixer in own)) or (None,)

    def _rotary_dim(self) -> int:
        mixer = self.architecture.attention
        return mixer.rope_dim if isinstance(mixer, LatentAttention) else mixer.key_dim if mixer else 0

    def _block(self, layer: Layer) -> Block | None:
        own = self._mixer(layer)
        across = next((m for m in layer.mixers if isinstance(m, Attention) and m.source == "cross"), None)
        if own is None:
            return None
        return Block(
            computation=self.computation,
            hidden=self.architecture.hidden_size,
            mixer=own,
            across=across,
            beside=self._beside(layer, own),
            part=layer.feed_forward,
            index_dim=self._index_dim(layer),
            mask=self._mask(own.window if isinstance(own, Attention) else None),
            eager=self.eager,
            kernels=self.workload.attention_kernels,
            caching=self.caching,
            unaligned=self._unaligned,
        )

    @property
    def _unaligned(self) -> frozenset[Extent]:
        keys = {Extent.PAIRS: self.keys, Extent.CROSS: self.source}
        return frozenset(extent for extent, number in keys.items() if number % _ALIGNMENT)

    def _mixer(self, layer: Layer) -> Attention | LatentAttention | Recurrence | None:
        """A layer's attention over its own sequence, or what it has instead."""
        for mixer in layer.mixers:
            if isinstance(mixer, LatentAttention) or _is_own(mixer):
                return mixer
            if isinstance(mixer, CompressedAttention):
                return Attention(heads=mixer.heads, kv_heads=1, key_dim=mixer.dim, value_dim=mixer.dim)
        return self.recurrence if any(isinstance(m, Recurrent) for m in layer.mixers) else None

    def _beside(self, layer: Layer, own: object) -> Recurrence | None:
        """A recurrence in a layer that has attention too."""
        recurrent = any(isinstance(mixer, Recurrent) and mixer.chunk for mixer in layer.mixers)
        return self.recurrence if recurrent and not isinstance(own, Recurrence) else None

    def _index_dim(self, layer: Layer) -> int:
        """Size of the keys by which an indexer chooses what latent attention sees."""
        latent = any(isinstance(mixer, LatentAttention) for mixer in layer.mixers)
        dims = (mixer.dim for mixer in layer.mixers if isinstance(mixer, Indexer))
        return next(dims, 0) if latent and self.computation.index_heads else 0

    def _mask(self, window: int | None) -> Mask:
        if self.tokens == 1 and not self.workload.padded:
            return Mask.NONE
        needed = self.workload.padded or self._reaches_beyond(window)
        if self.computation.packed:
            return Mask.ADDITIVE
        if self.eager:
            return Mask.ADDITIVE if needed or self.causal else Mask.NONE
        mixed = self.computation.two_way_images and self.workload.images > 0
        always = self.computation.always_masked or self.computation.index_heads
        return Mask.BOOLEAN if needed or mixed or (always and self.causal) else Mask.NONE

    def _reaches_beyond(self, window: int | None) -> bool:
        """Whether there are tokens that a window hides."""
        return window is not None and self.keys >= window


def _is_own(mixer: object) -> TypeGuard[Attention]:
    return isinstance(mixer, Attention) and mixer.source == "self"
