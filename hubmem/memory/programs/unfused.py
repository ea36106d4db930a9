"""Attention by separate operators: each model's own code, whose scores are tensors of a·b·s² elements.

Source: transformers 5.23, each model's eager_attention_forward.
"""

from hubmem.memory.programs.attention import Call, Given, Mask, dot, repeated, weighed
from hubmem.memory.programs.computation import Scores, Sinks
from hubmem.memory.programs.disentangled import attend_disentangled
from hubmem.memory.programs.operators import (
    FLOAT32,
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
from hubmem.memory.programs.tape import Tape, Value


def attend_unfused(tape: Tape, call: Call, given: Given) -> list[Value]:
    """softmax(q·kᵀ + mask)·v, as wide as the query heads' values, and the probabilities."""
    return _FORMS[call.computation.scores](tape, call, given)


def _scaled(tape: Tape, call: Call, given: Given) -> list[Value]:
    """q·kᵀ, × scale, + mask, softmax, dropout, ·v: each a tensor of a·b·s² elements."""
    computation = call.computation
    q, k, v, bias = given
    if call.grouped:
        k, v = repeated(tape, call, k, "k repeated"), repeated(tape, call, v, "v repeated")
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


def _named(tape: Tape, call: Call, given: Given) -> list[Value]:
    """BERT's descendants whose scores have a name of their own; MPNet adds its bias to them in place."""
    q, k, v, _ = given
    with tape.holding(q, k, v):
        scores = _masked(tape, call, unary(tape, _scores(tape, call, q, k), "scaled scores"))
        with tape.holding(scores):
            return _attended(tape, call, _softmax(tape, call, scores, v.itemsize), v)


def _in_float32(tape: Tape, call: Call, given: Given) -> list[Value]:
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


def _with_alibi(tape: Tape, call: Call, given: Given) -> list[Value]:
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


def _disentangled(tape: Tape, call: Call, given: Given) -> list[Value]:
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


def _in_place(tape: Tape, call: Call, given: Given) -> list[Value]:
    """Falcon: scores divided in place, masked, softmax in the model's dtype."""
    q, k, v, _ = given
    scores = _scores(tape, call, q, k)
    with tape.holding(scores, q, k, v):
        probabilities = _softmax(tape, call, _masked(tape, call, scores), q.itemsize)
    return _attended(tape, call, probabilities, v)


def _clamped(tape: Tape, call: Call, given: Given) -> list[Value]:
    """XGLM: scores masked, then the larger of them and the least number there is, softmax as they are."""
    q, k, v = (copy(tape, value, f"{value.storage.label} in order") for value in given[:3])
    with tape.holding(q, k, v):
        scores = _scores(tape, call, q, k)
        if call.mask is not Mask.NONE:
            mask = constant("mask", "1", 1, tape.arithmetic.itemsize, call.pairs)
            scores = unary(tape, add(tape, scores, mask, "masked scores"), "clamped scores", saves_input=True)
        probabilities = unary(tape, in_float32(tape, scores), "softmax", saves_output=True)
        return _attended(tape, call, probabilities, v)


_FORMS = {
    Scores.SCALED: _scaled,
    Scores.NAMED: _named,
    Scores.FLOAT32: _in_float32,
    Scores.ALIBI: _with_alibi,
    Scores.IN_PLACE: _in_place,
    Scores.DISENTANGLED: _disentangled,
    Scores.CLAMPED: _clamped,
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
    return dot(tape, call, in_half(tape, q), in_half(tape, k))


def _weighted(tape: Tape, call: Call, probabilities: Value, v: Value) -> Value:
    return weighed(tape, call, in_half(tape, probabilities), in_half(tape, v))


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
