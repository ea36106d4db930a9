"""Running a model in transformers: a forward pass over the prompt, then a token a step.

Symbols: T = b·s tokens of all sequences, h hidden size, f MLP width, q = heads·D, kv = KV heads·D,
V vocabulary, e bytes of the dtype computed in.
"""

from collections.abc import Iterator
from dataclasses import replace

from hubmem.memory.cache import cache_term
from hubmem.memory.device import RESERVED_BY_INFERENCE, overheads
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.sharding import Rank
from hubmem.memory.static import compute_dtype, weights_terms
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Dense, Experts, FeedForward, Layer
from hubmem.models.mixers import Attention, LatentAttention

_UNKNOWN = "The layers of this model type are not known: weights only, without cache and activations."
_SOURCE = "transformers 5.23, eager PyTorch 2.13"


def plan(rank: Rank) -> Plan:
    """The moments of a prefill and of a decoding step on one rank."""
    weights = weights_terms(rank.census, rank.workload, rank)
    moments = tuple(_moments(rank, weights)) if rank.architecture else ()
    return Plan(
        moments=moments or (Moment(phase="prefill", name="weights alone", terms=weights),),
        overheads=overheads(),
        reserved_ratio=RESERVED_BY_INFERENCE,
        devices=rank.workload.devices,
        notes=() if rank.architecture else (_UNKNOWN,),
    )


def _moments(rank: Rank, weights: tuple[Term, ...]) -> Iterator[Moment]:
    architecture, workload = rank.architecture, rank.workload
    assert architecture is not None
    stored = rank.census.main_dtype
    e = compute_dtype(architecture, workload, stored).bits // 8
    if architecture.encoder:
        inside = replace(workload, context=workload.encoder_context or workload.context)
        for name, term in _forward_terms(architecture, architecture.encoder, inside, e):
            yield Moment(phase="prefill", name=f"encoder: {name}", terms=(*weights, term))
    prompt = replace(workload, context=1) if architecture.encoder else workload
    cache = (
        (cache_term(architecture, workload, tokens=prompt.context, stored=stored),)
        if architecture.generates
        else ()
    )
    for name, term in _forward_terms(architecture, architecture.layers, prompt, e):
        yield Moment(phase="prefill", name=name, terms=(*weights, *cache, term))
    if architecture.generates:
        yield _decode(rank, architecture, weights, e)


def _forward_terms(
    architecture: Architecture, layers: tuple[Layer, ...], workload: Workload, e: int
) -> Iterator[tuple[str, Term]]:
    """What is alive beside weights and cache at the moments of a forward pass that may be its largest."""
    tokens, h = workload.batch * workload.context, architecture.hidden_size
    for layer in set(layers):
        yield "attention of one layer", _attention(layer, tokens, h, e)
        yield "MLP of one layer", _feed_forward(layer.feed_forward, tokens, h, e)
    yield "norm of one layer", _activations(12 * tokens * h, f"12·T·h = 12 × {tokens:,} × {h:,} B in float32")
    rows = workload.batch if architecture.generates else tokens
    v = architecture.vocab_size
    yield (
        "logits",
        Term(
            name="logits",
            nbytes=rows * v * e,
            basis=Basis.DERIVED,
            formula=f"rows·V·e = {rows:,} × {v:,} × {e} B",
            source=_SOURCE,
        ),
    )


def _attention(layer: Layer, tokens: int, h: int, e: int) -> Term:
    q = kv = 0
    for mixer in layer.mixers:
        if isinstance(mixer, Attention):
            q, kv = max(q, mixer.heads * mixer.key_dim), max(kv, mixer.kv_heads * mixer.key_dim)
        elif isinstance(mixer, LatentAttention):
            q = kv = max(q, mixer.heads * mixer.key_dim)
    return _activations(
        e * tokens * (3 * h + 2 * q + 2 * kv),
        f"e·T·(3h + 2q + 2kv) = {e} B × {tokens:,} × (3 × {h:,} + 2 × {q:,} + 2 × {kv:,})",
    )


def _feed_forward(part: FeedForward, tokens: int, h: int, e: int) -> Term:
    width = 0
    copies = 2
    if isinstance(part, Dense):
        width, copies = part.width, 3 if part.gated else 2
    elif isinstance(part, Experts):
        width, copies = part.width * part.active + part.shared_width, 3
    return _activations(
        e * tokens * (4 * h + copies * width),
        f"e·T·(4h + {copies}f) = {e} B × {tokens:,} × (4 × {h:,} + {copies} × {width:,})",
    )


def _activations(nbytes: int, formula: str) -> Term:
    return Term(name="activations", nbytes=nbytes, basis=Basis.DERIVED, formula=formula, source=_SOURCE)


def _decode(rank: Rank, architecture: Architecture, weights: tuple[Term, ...], e: int) -> Moment:
    """One token a sequence: the cache with it, and a layer's keys copied as `cat` makes room for it."""
    workload = rank.workload
    grown = cache_term(architecture, workload, tokens=workload.context + 1, stored=rank.census.main_dtype)
    one_layer = grown.nbytes // (2 * len(architecture.layers))
    logits = workload.batch * architecture.vocab_size * e
    copied = Term(
        name="activations",
        nbytes=max(one_layer, logits),
        basis=Basis.DERIVED,
        formula=f"max(keys of one layer, logits {workload.batch:,} × {architecture.vocab_size:,} × {e} B)",
        source=_SOURCE,
    )
    return Moment(phase="decode", name="next token", terms=(*weights, grown, copied))
