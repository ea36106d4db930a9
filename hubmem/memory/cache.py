"""The KV cache and recurrent states of a workload: the sum over layers of what each keeps."""

import math
from collections import Counter
from dataclasses import dataclass, replace

from hubmem import dtypes
from hubmem.memory.cells import CELL_TYPES, as_llama_cpp_runs, llama_cpp_cache_bytes
from hubmem.memory.engine_cache import PagedCache, block_layout
from hubmem.memory.plan import Basis, Term
from hubmem.memory.static import compute_dtype
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.mixers import Attention, CachePolicy, Kept, LatentAttention, Mixer, Span
from hubmem.units import format_binary

# Tokens by which the memory of an engine grows at once: its blocks and cells divide this.
_STEPS = {CachePolicy.VLLM: 256, CachePolicy.LLAMA_CPP: 256}

_SOURCE = "K and V of every position a later token can see, layer by layer; DynamicCache of transformers 5.23"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The KV cache and recurrent states of the workload.

    Attributes:
        nbytes: of all sequences.
        bytes_per_token: what one more token of one sequence costs at this context, all layers.
        policy: whose rule counts the positions.
    """

    nbytes: int
    bytes_per_token: int
    policy: CachePolicy


def cache_of(
    architecture: Architecture | None, workload: Workload, *, stored: str | None = None
) -> Cache | None:
    """What the workload's sequences keep between steps, or None where the layers are not known."""
    nbytes = cache_bytes(architecture, workload, stored=stored)
    if architecture is None or nbytes is None:
        return None
    return Cache(
        nbytes=nbytes,
        bytes_per_token=bytes_per_token(architecture, workload, stored=stored),
        policy=workload.cache_policy,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Widths:
    """Bits of an element in the cache, and of one in the dtype the model computes in."""

    cache_bits: int
    model_bits: int

    def nbytes(self, kept: Kept) -> int:
        return kept.nbytes(cache_bits=self.cache_bits, model_bits=self.model_bits)


def cache_bytes(
    architecture: Architecture | None, workload: Workload, *, stored: str | None = None
) -> int | None:
    """Bytes that all sequences of the workload keep between steps, or None where the layers are not known.

    b · Σ over layers of what a layer keeps for one sequence; 0 for a model that does not generate.

    `stored` is the dtype most weights are stored in; it decides where the config names none.

    Source: https://huggingface.co/docs/transformers/kv_cache; each mixer names its own.

    >>> from hubmem.models.architecture import Layer
    >>> attention = Attention(heads=64, kv_heads=8, key_dim=128, value_dim=128)
    >>> llama = Architecture(
    ...     model_type="llama", class_name=None, hidden_size=8192, vocab_size=128256, max_context=131072,
    ...     dtype="BF16", tied_embeddings=False,
    ...     layers=(Layer(mixers=(attention,), feed_forward=None),) * 80)
    >>> cache_bytes(llama, Workload(context=8192)) == 80 * 8192 * 2 * 8 * 128 * 2
    True
    """
    if architecture is None:
        return None
    return _laid_out(architecture, workload, workload.context, _widths(architecture, workload, stored))


def bytes_per_token(architecture: Architecture, workload: Workload, *, stored: str | None = None) -> int:
    """Bytes one more token of one sequence costs at this context, in all layers.

    A full window, a recurrent state and an encoder's keys cost nothing more. Where an engine takes memory by
    the block, it is the token's share of a block.
    """
    widths = _widths(architecture, workload, stored)
    step = _STEPS.get(workload.cache_policy, 1)
    now, then = (
        _laid_out(architecture, replace(workload, batch=1), workload.context + more, widths)
        for more in (0, step)
    )
    return (then - now) // step if now is not None and then is not None else 0


def _laid_out(architecture: Architecture, workload: Workload, tokens: int, widths: _Widths) -> int | None:
    """What all sequences keep after so many tokens, as the policy lays it out; None where it cannot."""
    if not architecture.generates:
        return 0
    if workload.cache_policy is CachePolicy.VLLM:
        settings = PagedCache(cache_bits=widths.cache_bits, model_bits=widths.model_bits)
        layout = block_layout(architecture, settings)
        return workload.batch * layout.request_bytes(tokens) if layout else None
    if workload.cache_policy is CachePolicy.LLAMA_CPP:
        cells = workload.kv_dtype if workload.kv_dtype in CELL_TYPES else "f16"
        return llama_cpp_cache_bytes(
            as_llama_cpp_runs(architecture),
            tokens=tokens * workload.batch,
            sequences=workload.batch,
            key_type=cells,
            value_type=cells,
        )
    return workload.batch * widths.nbytes(architecture.kept(span_of(workload, tokens)))


def span_of(workload: Workload, tokens: int) -> Span:
    """So many decoder tokens after an encoder's input, which is as long as the context unless given."""
    return Span(
        tokens=tokens,
        encoder_tokens=workload.encoder_context or workload.context,
        policy=workload.cache_policy,
    )


def cache_term(
    architecture: Architecture, workload: Workload, *, tokens: int, stored: str | None = None
) -> Term:
    """What the sequences keep once each has so many tokens, with each kind of layer in the formula."""
    widths = _widths(architecture, workload, stored)
    span = span_of(workload, tokens)
    parts = [
        _describe(mixer, layers, span, widths) for mixer, layers in _distinct_mixers(architecture).items()
    ]
    return Term(
        name="KV cache",
        nbytes=workload.batch * widths.nbytes(architecture.kept(span)),
        basis=Basis.DERIVED,
        formula=" + ".join(filter(None, parts))
        + (f", × {workload.batch} sequences" if workload.batch > 1 else ""),
        source=_SOURCE,
    )


def window_tail_term(
    architecture: Architecture, workload: Workload, *, tokens: int, stored: str | None = None
) -> Term:
    """What lies before a layer's window and is still held, because the window is a view of the whole prompt.

    Source: transformers 5.23, cache_utils.py, DynamicSlidingWindowLayer.update; the next token frees it.
    """
    widths = _widths(architecture, workload, stored)
    span = span_of(workload, tokens)
    windowed = {
        mixer: layers
        for mixer, layers in _distinct_mixers(architecture).items()
        if isinstance(mixer, Attention) and mixer.window
    }
    nbytes = sum(
        layers * (widths.nbytes(replace(mixer, window=None).kept(span)) - widths.nbytes(mixer.kept(span)))
        for mixer, layers in windowed.items()
    )
    return Term(
        name="prompt before the windows",
        nbytes=workload.batch * nbytes,
        basis=Basis.DERIVED,
        formula=f"{sum(windowed.values())} windowed layers hold all {tokens:,} tokens until the next one",
        source="transformers 5.23, DynamicSlidingWindowLayer: the window is a view",
    )


def _distinct_mixers(architecture: Architecture) -> Counter[Mixer]:
    """Mixers that differ, and in how many layers each is."""
    counts: Counter[Mixer] = Counter()
    for layer, layers in architecture.distinct_layers:
        for mixer in layer.mixers:
            counts[mixer] += layers
    return counts


def _widths(architecture: Architecture, workload: Workload, stored: str | None) -> _Widths:
    model = compute_dtype(architecture, workload, stored)
    cache = dtypes.find(workload.kv_dtype) if workload.kv_dtype else None
    return _Widths(cache_bits=(cache or model).bits, model_bits=model.bits)


def _describe(mixer: Mixer, layers: int, span: Span, widths: _Widths) -> str:
    """One kind of layer: `80 layers × 2 × 8 × 128 × 2 B = 320 KiB a token × 8,192`."""
    kept = mixer.kept(span)
    if kept == Kept():
        return ""
    width = _number(widths.cache_bits / 8)
    count = f"{layers} layer" if layers == 1 else f"{layers} layers"
    if isinstance(mixer, Attention) and kept.cached:
        heads = mixer.heads_kept(span.policy)
        positions = kept.cached // (heads * (mixer.key_dim + mixer.value_dim))
        dims = f"2 × {heads} × {mixer.key_dim}"
        if mixer.key_dim != mixer.value_dim:
            dims = f"{heads} × ({mixer.key_dim} + {mixer.value_dim})"
        each = layers * heads * (mixer.key_dim + mixer.value_dim) * widths.cache_bits // 8
        return f"{count} × {dims} × {width} B = {format_binary(each)} a token × {positions:,}{_window(mixer)}"
    if isinstance(mixer, LatentAttention):
        dims = f"({mixer.latent_dim} + {mixer.rope_dim})"
        positions = kept.cached // (mixer.latent_dim + mixer.rope_dim)
        each = layers * (mixer.latent_dim + mixer.rope_dim) * widths.cache_bits // 8
        return f"{count} × {dims} × {width} B = {format_binary(each)} a token × {positions:,}{_window(mixer)}"
    return f"{count} × {format_binary(widths.nbytes(kept))} of {mixer.kind}"


def _window(mixer: Attention | LatentAttention) -> str:
    if isinstance(mixer, Attention) and mixer.source == "cross":
        return " of the encoder"
    return f" in a window of {mixer.window:,}" if mixer.window else ""


def _number(value: float) -> str:
    return str(int(value)) if value == math.floor(value) else f"{value:g}"
