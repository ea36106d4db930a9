"""Attention from queries, keys and values: one fused kernel where torch has one for the case, else operators.

Symbols: q = heads·D, a heads. Scores have a·b·s² elements.

Source: torch 2.13, aten/src/ATen/native/transformers/attention.cpp and cuda/sdp_utils.cpp; transformers 5.23,
integrations/sdpa_attention.py and each model's eager_attention_forward.
"""

from dataclasses import replace

from hubmem.memory.programs.attention import Call, Given, Mask, dot, output_of, repeated, weighed
from hubmem.memory.programs.computation import Rotation
from hubmem.memory.programs.operators import (
    FLOAT32,
    HALF,
    add,
    cast,
    constant,
    copy,
    dropout,
    in_half,
    unary,
)
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value
from hubmem.memory.programs.unfused import attend_unfused
from hubmem.units import round_up

# Heads for which devices with little shared memory have no backward pass of flash; with dropout, nor for wider ones
# (sdp_utils.cpp, check_requires_grad_and_head_dim_gt192_constraints_on_sm86_89_or_120).
_WIDE_HEADS = (193, 224)


def attend(tape: Tape, call: Call, given: Given) -> list[Value]:
    """softmax(q·kᵀ + mask)·v, as wide as the query heads' values; then the probabilities, if they exist."""
    if call.eager or not call.computation.fused_kernels:
        return attend_unfused(tape, call, given)
    q, k, v, bias = given
    if bias is not None and not call.bias_in_order:
        bias = _laid_out(tape, call, bias)
    unmasked = call.mask is Mask.NONE and bias is None
    together = call.computation.groups_heads and unmasked and call.even
    apart = call.grouped and call.computation.groups_heads and not together
    # The heads that share a key become the queries of one where there is but one query (pack_gqa).
    if apart and not call.single:
        k, v = repeated(tape, call, k, "k repeated"), repeated(tape, call, v, "v repeated")
    given = _in_autocast(tape, Given(q, k, v, bias))
    same_heads = together or not call.grouped
    if unmasked and call.even and given.q.itemsize == HALF and same_heads and _has_flash(tape, call):
        return [_flash(tape, call, given)]
    if call.grouped and not apart:
        return [_math(tape, call, given)]
    return [_efficient(tape, call, given)]


def _has_flash(tape: Tape, call: Call) -> bool:
    """Whether the device has flash attention for such heads."""
    if call.kernels == "no-wide-backward" and tape.arithmetic.trains:
        first, last = _WIDE_HEADS
        drops = call.computation.attention_dropout
        return not (first <= call.key_dim <= last or (call.key_dim > last and drops))
    return call.kernels != "no-flash"


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
    out, lse = output_of(call, q), _log_sum_exp(call)
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
    out, lse = output_of(call, q), _log_sum_exp(call)
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
    """The unfused form inside torch: in float32, autocast or not, queries and keys scaled apart.

    Source: attention.cpp, _scaled_dot_product_attention_math.
    """
    q, k, v, _ = given
    itemsize = q.itemsize
    with tape.holding(q, k, v) as held:
        q, k, v = (cast(tape, value, FLOAT32) for value in (q, k, v))
        held += [q, k, v]
        if call.grouped and call.computation.groups_heads:
            k, v = repeated(tape, call, k, "k repeated"), repeated(tape, call, v, "v repeated")
            held += [k, v]
        q = unary(tape, q, "q scaled")
        held.append(q)
        scores = dot(tape, call, q, unary(tape, k, "k scaled"))
        if not call.single:
            scores = add(tape, scores, _additive(tape, call, FLOAT32), "masked scores")
        probabilities = unary(tape, scores, "softmax", saves_output=True)
        if call.computation.groups_heads:
            probabilities = dropout(tape, probabilities, drops=call.computation.attention_dropout)
        attended = weighed(tape, call, probabilities, v)
        with tape.holding(probabilities):
            return cast(tape, attended, itemsize)


def _additive(tape: Tape, call: Call, itemsize: int) -> Value:
    """A boolean mask made additive, in every layer anew; one that is additive as it is, in the kernel's dtype.

    Where there is none, one of what comes before, the same for all sequences.
    """
    if call.mask is Mask.ADDITIVE:
        return in_half(tape, constant("mask", "1", 1, tape.arithmetic.itemsize, call.pairs))
    extent = Extent.SQUARE if call.mask is Mask.NONE else call.pairs
    return tape.run("mask", (), (Storage("additive mask", "1", 1, itemsize, extent),))[0]


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


def _log_sum_exp(call: Call) -> Storage:
    return Storage("log-sum-exp", "a", call.heads, FLOAT32)


def _whole(storage: Storage) -> Value:
    return Value(storage, storage.width)
