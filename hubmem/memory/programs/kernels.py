"""Attention from queries, keys and values: one fused kernel where torch has one for the case, else operators.

Symbols: q = heads·D, a heads. Scores have a·b·s² elements.

Source: torch 2.13, aten/src/ATen/native/transformers/attention.cpp and cuda/sdp_utils.cpp; transformers 5.23,
integrations/sdpa_attention.py and each model's eager_attention_forward.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from hubmem.memory.programs.computation import Computation, Rotation, Scores, Sinks
from hubmem.memory.programs.disentangled import attend_disentangled
from hubmem.memory.programs.operators import (
    FLOAT32,
    HALF,
    add,
    cast,
    constant,
    copy,
    dropout,
    in_float32,
    in_half,
    multiply,
    unary,
)
from hubmem.memory.programs.sinks import factor_of_sinks, softmax_with_sinks
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value
from hubmem.units import round_up

# The widest head the flash kernel takes (sdp_utils.cpp, check_head_dim_size_flash).
_WIDEST_FLASH_HEAD = 256


class Mask(Enum):
    """What tells attention which positions it may see."""

    NONE = "nothing: all before, or all"
    BOOLEAN = "a byte a pair, for padding or a window"
    ADDITIVE = "an element a pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One use of attention.

    Attributes:
        heads, kv_heads, key_dim, value_dim: its shape.
        pairs: what scores grow with.
        eager: whether scores are made by separate operators though a kernel could do it.
        causal: whether a token sees only those before it, where a bias of positions must say so.
        unaligned: whether keys are no multiple of eight.
        single: whether each sequence asks with one token alone.
        bias_in_order: whether a bias of positions need not be copied before the kernel takes it.
    """

    computation: Computation
    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    mask: Mask
    eager: bool
    pairs: Extent = Extent.PAIRS
    unaligned: bool = False
    single: bool = False
    bias_in_order: bool = False
    causal: bool = False

    @property
    def grouped(self) -> bool:
        """Whether several query heads share a key."""
        return self.heads != self.kv_heads

    @property
    def even(self) -> bool:
        """Whether keys and values are equally wide and narrow enough for the flash kernel."""
        return self.key_dim == self.value_dim <= _WIDEST_FLASH_HEAD


class Given(NamedTuple):
    """What attention reads: queries, keys, values, and learned scores of distances that are added."""

    q: Value
    k: Value
    v: Value
    bias: Value | None = None


def attend(tape: Tape, call: Call, given: Given) -> list[Value]:
    """softmax(q·kᵀ + mask)·v, as wide as the query heads' values; then the probabilities, if they exist."""
    if call.eager or not call.computation.fused_kernels:
        return _UNFUSED[call.computation.scores](tape, call, given)
    q, k, v, bias = given
    if bias is not None and not call.bias_in_order:
        bias = _laid_out(tape, call, bias)
    unmasked = call.mask is Mask.NONE and bias is None
    together = call.computation.groups_heads and unmasked and call.even
    apart = call.grouped and call.computation.groups_heads and not together
    # The heads that share a key become the queries of one where there is but one query (pack_gqa).
    if apart and not call.single:
        k, v = _repeated(tape, call, k, "k repeated"), _repeated(tape, call, v, "v repeated")
    given = _in_autocast(tape, Given(q, k, v, bias))
    if unmasked and call.even and given.q.itemsize == HALF and (together or not call.grouped):
        return [_flash(tape, call, given)]
    if call.grouped and not apart:
        return [_math(tape, call, given)]
    return [_efficient(tape, call, given)]


def _in_autocast(tape: Tape, given: Given) -> Given:
    """Attention is on autocast's list of what runs in half precision."""
    q, k, v = (in_half(tape, value) for value in given[:3])
    return Given(q, k, v, given.bias and in_half(tape, given.bias))


def _flash(tape: Tape, call: Call, given: Given) -> Value:
    """Keeps queries, keys, values, its output, and one log-sum-exp a head and token.

    Source: Dao, arXiv 2307.08691; cuda/flash_attn/flash_api.cpp, mha_bwd (dq_accum, softmax_d, and gradients
    of keys and values for every query head before they are summed).
    """
    q, k, v, _ = given
    out, lse = _output(call, q), _log_sum_exp(call)
    rounded = call.heads * round_up(call.key_dim, 32)
    scratch = [
        Storage("attention backward, fp32 sums", "q", rounded, FLOAT32),
        Storage("attention backward, row sums", "a", call.heads, FLOAT32),
    ]
    if call.grouped:
        width = 2 * call.heads * call.key_dim
        scratch.append(Storage("attention backward, every head's keys and values", "q", width, q.itemsize))
    saves = (q, k, v, _whole(out), _whole(lse))
    (attended, _) = tape.run("flash attention", (q, k, v), (out, lse), saves=saves, backward_scratch=scratch)
    # The kernel lays its output out as its queries, and those that were concatenated lie head by head.
    joined = call.computation.rotation in (Rotation.PARTIAL, Rotation.PARTIAL_HELD, Rotation.HALVES)
    by_head = joined or call.computation.by_head
    return copy(tape, attended, "attention output by token") if by_head else attended


def _efficient(tape: Tape, call: Call, given: Given) -> Value:
    """As flash, in any dtype and with a mask, which it wants additive and keeps.

    Source: Rabe and Staats, arXiv 2112.05682; cuda/attention_backward.cu (delta, and in half precision a
    float32 workspace for the three gradients); attention.cpp, pad_bias.
    """
    q, k, v, bias = given
    out, lse = _output(call, q), _log_sum_exp(call)
    reads, saves = [q, k, v], [q, k, v, _whole(out), _whole(lse)]
    added = _additive(tape, call, q.itemsize) if bias is None and call.mask is not Mask.NONE else bias
    if added is not None:
        if call.unaligned:
            added = copy(tape, added, "mask in rows of a multiple of eight")
        reads, saves = [*reads, added], [*saves, added]
    scratch = [Storage("attention backward, row sums", "a", call.heads, FLOAT32)]
    if q.itemsize == HALF:
        width = call.heads * (2 * call.key_dim + call.value_dim)
        scratch.append(Storage("attention backward, fp32 gradients", "q", width, FLOAT32))
    if bias is not None and bias.needs_grad:
        scratch.append(Storage("gradient of bias, all sequences", "a", call.heads, q.itemsize, call.pairs))
    writes = (out, lse) if tape.arithmetic.trains else (out,)
    with tape.holding(*filter(None, (bias,))):
        return tape.run("efficient attention", reads, writes, saves=saves, backward_scratch=scratch)[0]


def _math(tape: Tape, call: Call, given: Given) -> Value:
    """The unfused form inside torch: in float32, queries and keys scaled apart.

    Source: attention.cpp, _scaled_dot_product_attention_math.
    """
    q, k, v, _ = given
    itemsize = q.itemsize
    with tape.holding(q, k, v) as held:
        q, k, v = (cast(tape, value, FLOAT32) for value in (q, k, v))
        held += [q, k, v]
        if call.grouped and call.computation.groups_heads:
            k, v = _repeated(tape, call, k, "k repeated"), _repeated(tape, call, v, "v repeated")
            held += [k, v]
        q = unary(tape, q, "q scaled")
        held.append(q)
        scores = _scores(tape, call, q, unary(tape, k, "k scaled"))
        scores = add(tape, scores, _additive(tape, call, scores.itemsize), "masked scores")
        probabilities = unary(tape, scores, "softmax", saves_output=True)
        if call.computation.groups_heads:
            probabilities = dropout(tape, probabilities, drops=call.computation.attention_dropout)
        attended = _weighted(tape, call, probabilities, v)
        with tape.holding(probabilities):
            return cast(tape, attended, itemsize)


def _eager(tape: Tape, call: Call, given: Given) -> list[Value]:
    """q·kᵀ, × scale, + mask, softmax, dropout, ·v: each a tensor of a·b·s² elements."""
    computation = call.computation
    q, k, v, bias = given
    if call.grouped:
        k, v = _repeated(tape, call, k, "k repeated"), _repeated(tape, call, v, "v repeated")
    with tape.holding(k, v):
        scores = unary(tape, _scores(tape, call, q, k), "scaled scores")
        if computation.softcap:
            scores = unary(tape, scores, "scores / cap")
            scores = unary(tape, scores, "tanh of scores", saves_output=True)
            scores = unary(tape, scores, "capped scores")
        if bias is not None:
            scores = add(tape, scores, bias, "biased scores")
        scores = _masked(tape, call, scores)
        if computation.sinks is Sinks.REPLACING:
            return _attended(tape, call, softmax_with_sinks(tape, scores), v)
        with tape.holding(scores):
            if computation.sinks is Sinks.JOINED:
                probabilities = softmax_with_sinks(tape, scores)
                return _attended(tape, call, probabilities, v)
            factor = factor_of_sinks(tape, call.heads, scores) if computation.sinks is Sinks.SCALING else None
            probabilities = _softmax(tape, call, scores, v.itemsize)
        return _attended(tape, call, probabilities, v, factor=factor)


def _eager_float32(tape: Tape, call: Call, given: Given) -> list[Value]:
    """GPT-J: queries and keys in float32, scores divided in float32."""
    q, k, v, _ = given
    itemsize = v.itemsize
    with tape.holding(q, k, v) as held:
        q, k = cast(tape, q, FLOAT32), cast(tape, k, FLOAT32)
        held += [q, k]
        scores = _scores(tape, call, q, k)
        with tape.holding(scores):
            scores = unary(tape, scores, "divided scores")
        scores = _masked(tape, call, scores)
        with tape.holding(scores):
            probabilities = unary(tape, in_float32(tape, scores), "softmax", saves_output=True)
        probabilities = cast(tape, probabilities, itemsize)
        return _attended(tape, call, probabilities, v)


def _eager_alibi(tape: Tape, call: Call, given: Given) -> list[Value]:
    """BLOOM: `baddbmm` of the positions' bias with queries and keys, which are put in order first."""
    q, k, v, _ = given
    if tape.arithmetic.batched:
        # What comes out of a cache is in order already.
        q, k, v = (
            copy(tape, value, f"{value.storage.label} in order") if value.storage.counted else value
            for value in (q, k, v)
        )
    with tape.holding(q, k, v) as held:
        scores = _scores(tape, call, q, k)
        held.append(scores)
        masked = _masked(tape, call, scores)
        held.append(masked)
        return _attended(tape, call, _softmax(tape, call, masked, q.itemsize), v)


def _eager_disentangled(tape: Tape, call: Call, given: Given) -> list[Value]:
    """DeBERTa."""
    computation = call.computation
    return attend_disentangled(
        tape,
        call.heads,
        computation.relative_positions,
        given.q,
        given.k,
        given.v,
        drops=computation.attention_dropout,
    )


def _eager_in_place(tape: Tape, call: Call, given: Given) -> list[Value]:
    """Falcon: scores divided in place, masked, softmax in the model's dtype."""
    q, k, v, _ = given
    scores = _scores(tape, call, q, k)
    with tape.holding(scores, q, k, v):
        probabilities = _softmax(tape, call, _masked(tape, call, scores), q.itemsize)
    return _attended(tape, call, probabilities, v)


def _eager_clamped(tape: Tape, call: Call, given: Given) -> list[Value]:
    """XGLM: scores masked, then the larger of them and the least number there is, softmax as they are."""
    q, k, v = (copy(tape, value, f"{value.storage.label} in order") for value in given[:3])
    with tape.holding(q, k, v):
        scores = _scores(tape, call, q, k)
        if call.mask is not Mask.NONE:
            mask = constant("mask", "1", 1, tape.arithmetic.itemsize, call.pairs)
            scores = unary(tape, add(tape, scores, mask, "masked scores"), "clamped scores", saves_input=True)
        probabilities = unary(tape, in_float32(tape, scores), "softmax", saves_output=True)
        return _attended(tape, call, probabilities, v)


_UNFUSED = {
    Scores.SCALED: _eager,
    Scores.FLOAT32: _eager_float32,
    Scores.ALIBI: _eager_alibi,
    Scores.IN_PLACE: _eager_in_place,
    Scores.DISENTANGLED: _eager_disentangled,
    Scores.CLAMPED: _eager_clamped,
}


def _attended(
    tape: Tape, call: Call, probabilities: Value, v: Value, *, factor: Value | None = None
) -> list[Value]:
    """Dropout, the weighted sum, a factor where there is one, and the copy in order of tokens."""
    probabilities = dropout(tape, probabilities, drops=call.computation.attention_dropout)
    with tape.holding(probabilities, v):
        attended = _weighted(tape, call, probabilities, v)
        if factor:
            attended = multiply(tape, attended, factor, "attention output scaled")
        attended = copy(tape, attended, "attention output")
    return [attended, probabilities]


def _scores(tape: Tape, call: Call, q: Value, k: Value) -> Value:
    """q·kᵀ keeps both. A key that several heads share is copied to each for as long as it runs."""
    q, k = in_half(tape, q), in_half(tape, k)
    q, k = _in_order(tape, call, q, call.key_dim), _in_order(tape, call, k, call.key_dim)
    storage = Storage("scores", "a", call.heads, max(q.itemsize, k.itemsize), call.pairs)
    return tape.run("q·kᵀ", (q, k), (storage,), saves=(q, k))[0]


def _weighted(tape: Tape, call: Call, probabilities: Value, v: Value) -> Value:
    """Probabilities times values keeps both."""
    probabilities, v = in_half(tape, probabilities), in_half(tape, v)
    v = _in_order(tape, call, v, call.value_dim)
    saves = (probabilities, v)
    return tape.run("probabilities·v", (probabilities, v), (_output(call, v),), saves=saves)[0]


def _masked(tape: Tape, call: Call, scores: Value) -> Value:
    if call.mask is Mask.NONE:
        return scores
    mask = constant("mask", "1", 1, min(scores.itemsize, FLOAT32), call.pairs)
    return add(tape, scores, mask, "masked scores")


def _softmax(tape: Tape, call: Call, scores: Value, itemsize: int) -> Value:
    """Keeps its output. In float32 it casts first and back afterwards; autocast always does the former."""
    if call.computation.softmax_float32 or tape.arithmetic.autocast:
        scores = cast(tape, scores, FLOAT32)
    probabilities = unary(tape, scores, "softmax", saves_output=True)
    return cast(tape, probabilities, itemsize) if call.computation.softmax_float32 else probabilities


def _repeated(tape: Tape, call: Call, x: Value, label: str) -> Value:
    """Key or value heads copied to the query heads that share them; a single one is shared as a view."""
    width = x.width // call.kv_heads * call.heads
    if call.kv_heads == 1:
        return replace(x, width=width)
    storage = Storage(label, "q", width, x.itemsize, x.storage.extent)
    return tape.run("repeat", (x,), (storage,))[0]


def _in_order(tape: Tape, call: Call, x: Value, head_dim: int) -> Value:
    """As one matrix a head: copied where several sequences lie between, or several heads share it."""
    if not tape.arithmetic.batched:
        return x
    if x.width != call.heads * head_dim:
        x = _repeated(tape, call, x, f"{x.storage.label} broadcast")
    is_view = x.width != x.storage.width
    return copy(tape, x, f"{x.storage.label} in order") if is_view else x


def _additive(tape: Tape, call: Call, itemsize: int) -> Value:
    """A boolean mask made additive, in every layer anew."""
    return tape.run("mask", (), (Storage("additive mask", "1", 1, itemsize, call.pairs),))[0]


def _laid_out(tape: Tape, call: Call, bias: Value) -> Value:
    """A bias of positions copied into the order the kernel wants, with the mask in it where there is one.

    Source: transformers 5.23, integrations/sdpa_attention.py, create_position_bias_mask.
    """
    extent = bias.storage.extent if call.mask is Mask.NONE else call.pairs
    if call.mask is Mask.NONE and call.causal:
        before = Storage("positions before", "1", 1, 1, bias.storage.extent)
        (visible,) = tape.run("causal mask", (), (before,))
        like = replace(bias.storage, label="causal bias of positions", counted=True)
        (bias,) = tape.run("where", (bias, visible), (like,), saves=(visible,))
    storage = Storage("bias of positions, laid out", "a", call.heads, bias.itemsize, extent)
    scratch = () if call.mask is Mask.NONE else (replace(storage, label="bias of positions, masked"),)
    return tape.run("lay out", (bias,), (storage,), scratch=scratch)[0]


def _output(call: Call, like: Value) -> Storage:
    return Storage("attention output", "q", call.heads * call.value_dim, like.itemsize)


def _log_sum_exp(call: Call) -> Storage:
    return Storage("log-sum-exp", "a", call.heads, FLOAT32)


def _whole(storage: Storage) -> Value:
    return Value(storage, storage.width)
