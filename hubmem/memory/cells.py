"""The cache of llama.cpp: cells, one for each token of a context that all sequences share."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Attention, LatentAttention, Recurrent
from hubmem.units import round_up


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

    Each sequence has its part of the context: in a full layer a cell for each of its tokens, in a windowed one for
    its window and a micro-batch; both are rounded up to 256. A latent is kept once, as a key. Recurrent states
    are float32, one for each sequence.

    The architecture is as `as_llama_cpp_runs` gives it, or some of its layers.

    Source: llama.cpp, src/llama-kv-cache-iswa.cpp and src/llama-memory-recurrent.cpp, without `--kv-unified`.
    """
    context = round_up(-(-tokens // sequences), _CELLS)
    key, value = CELL_TYPES[key_type], CELL_TYPES[value_type]
    total = Fraction(0)
    for layer, layers in architecture.distinct_layers:
        for mixer in layer.mixers:
            if isinstance(mixer, Attention) and mixer.source == "self":
                cells = 0 if mixer.shared else sequences * _cells(context, mixer.window, micro_batch)
                keys, values = mixer.kv_heads * mixer.key_dim, mixer.kv_heads * mixer.value_dim
                total += layers * cells * (key.bytes_of(keys) + value.bytes_of(values))
            elif isinstance(mixer, LatentAttention) and mixer.window is None:
                total += layers * sequences * context * key.bytes_of(mixer.latent_dim + mixer.rope_dim)
            elif isinstance(mixer, Recurrent):
                state = mixer.engine_state
                total += layers * sequences * 4 * (state.model + state.float32)
            else:
                return None
    return math.ceil(total)


def _cells(context: int, window: int | None, micro_batch: int) -> int:
    if window is None:
        return context
    return min(context, round_up(window + micro_batch, _CELLS))
