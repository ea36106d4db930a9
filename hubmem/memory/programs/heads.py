"""The ends of a model: embeddings before its layers, logits and the loss after them.

Symbols: h hidden size, V vocabulary, E width of the embedding where it is not h.
"""

from dataclasses import dataclass
from functools import lru_cache

from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.norms import norm
from hubmem.memory.programs.operators import FLOAT32, cast, dropout, linear, unary
from hubmem.memory.programs.tape import Arithmetic, Extent, Storage, Tape, Trace, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What the ends of a model depend on.

    Attributes:
        width: of the embedding, E.
    """

    computation: Computation
    hidden: int
    width: int
    vocabulary: int


@lru_cache(maxsize=256)
def trace_logits(ends: Ends, arithmetic: Arithmetic, *, sampled: bool) -> Trace:
    """From the last layer to logits without a loss; sampled ones are copied to float32.

    Source: transformers 5.23, generation/utils.py, _sample.
    """
    tape = Tape(arithmetic)
    x, logits = _logits(tape, ends)
    if sampled:
        last = Storage("last logits in float32", "V", ends.vocabulary, FLOAT32, Extent.SEQUENCES)
        with tape.holding(x, logits):
            (logits,) = tape.run("last logits", (logits,), (last,))
    return tape.finish(logits)


@lru_cache(maxsize=256)
def trace_loss(ends: Ends, arithmetic: Arithmetic) -> Trace:
    """From the last layer to the loss: −log softmax(logits) at each label.

    Source: transformers 5.23, loss/loss_utils.py, ForCausalLMLoss.
    """
    tape = Tape(arithmetic)
    _, logits = _logits(tape, ends)
    with tape.holding(logits) as held:
        if ends.computation.logits_float32 or arithmetic.autocast:
            logits = cast(tape, logits, FLOAT32)
            held.append(logits)
        logarithms = unary(tape, logits, "log softmax", saves_output=True)
        (loss,) = tape.run(
            "negative log likelihood", (logarithms,), (Storage("loss", "1", 1, FLOAT32, Extent.ONCE),)
        )
    return tape.finish(loss)


@lru_cache(maxsize=256)
def trace_embedding(ends: Ends, arithmetic: Arithmetic) -> Trace:
    """From token ids to the first layer's input."""
    tape = Tape(arithmetic)
    itemsize = arithmetic.itemsize
    vocabulary = Storage(
        "embedding", "V·E", ends.vocabulary * ends.width, itemsize, Extent.ONCE, counted=False
    )
    weight = Value(vocabulary, vocabulary.width, needs_grad=arithmetic.base_trains, parameter=True)
    (x,) = tape.run("embedding", (weight,), (Storage("embeddings", "h", ends.width, itemsize),))
    if ends.computation.embedding_norm:
        x = norm(tape, ends.computation, x)
    x = dropout(tape, x, ends.computation.embedding_dropout)
    if ends.width != ends.hidden:
        x = linear(tape, x, "embedding projection", "h", ends.hidden, quantizable=False)
    return tape.finish(x)


def _logits(tape: Tape, ends: Ends) -> tuple[Value, Value]:
    computation = ends.computation
    itemsize = tape.arithmetic.itemsize
    x = Value(Storage("residual stream", "h", ends.hidden, itemsize), ends.hidden, tape.arithmetic.trains)
    if computation.mlm_transform:
        with tape.holding(x):
            made = linear(tape, x, "transform", "E", ends.width, quantizable=False)
            made = norm(tape, computation, unary(tape, made, "act", saves_input=True))
            logits = linear(tape, made, "logits", "V", ends.vocabulary, quantizable=False)
        return x, logits
    x = norm(tape, computation, x)
    (rows,) = tape.view(x, x.width)
    weight = Storage("head", "V·h", ends.vocabulary * ends.hidden, itemsize, Extent.ONCE, counted=False)
    with tape.holding(x):
        logits = _head(
            tape, rows, Value(weight, weight.width, tape.arithmetic.base_trains, parameter=True), ends
        )
        if computation.logits_softcap:
            logits = unary(tape, logits, "logits / cap")
            logits = unary(tape, logits, "tanh of logits", saves_output=True)
            logits = unary(tape, logits, "capped logits")
    return x, logits


def _head(tape: Tape, rows: Value, weight: Value, ends: Ends) -> Value:
    """One row of logits a sequence while generating, one a token otherwise: so many rows."""
    if tape.arithmetic.autocast:
        rows, weight = cast(tape, rows, 2), cast(tape, weight, 2)
    saves = [value for value, other in ((rows, weight), (weight, rows)) if other.needs_grad]
    storage = Storage("logits", "V", ends.vocabulary, rows.itemsize, Extent.ROWS)
    return tape.run("head", (rows, weight), (storage,), saves=saves)[0]
