"""AltUp: versions of each token, of which a layer runs over one and corrects the others by it (Gemma 3n).

Symbols: h hidden size. All versions lie in one tensor.

Source: Baykal et al., arXiv 2301.13310, section 3; transformers 5.23, models/gemma3n/modeling_gemma3n.py,
Gemma3nTextAltUp and Gemma3nTextModel.forward.
"""

from dataclasses import replace

from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.norms import norm
from hubmem.memory.programs.operators import add, cast, copy, in_float32, in_half, unary
from hubmem.memory.programs.tape import Storage, Tape, Value


def spread(tape: Tape, computation: Computation, x: Value) -> Value:
    """The embeddings, and what is projected from them at their length, side by side."""
    with tape.holding(x) as held:
        for _ in range(computation.versions - 1):
            held.append(_at_length(tape, linear(tape, x, "altup_projections", "h", x.width)))
        return tape.run("stack", held, (_versions(computation, held[-1], "versions"),))[0]


def joined(tape: Tape, computation: Computation, x: Value, hidden: int) -> Value:
    """The mean of the first version and of what is projected from the others at its length."""
    first, *others = tape.view(x, *(hidden,) * computation.versions)
    with tape.holding(first) as held:
        for other in others:
            made = linear(tape, other, "altup_unembed_projections", "h", hidden)
            held.append(_at_length(tape, made))
        (stacked,) = tape.run("stack", held, (_versions(computation, first, "versions"),))
        mean = Storage("mean of versions", "h", hidden, x.itemsize, x.storage.extent)
        return tape.run("mean", (stacked,), (mean,))[0]


def predicted(tape: Tape, computation: Computation, x: Value, hidden: int) -> Value:
    """What each version will be: a sum of all of them with factors of the first, added to it in place."""
    (first,) = tape.view(x, hidden)
    factors = _factors(tape, computation, first, "prediction_coefs", computation.versions**2)
    given = in_half(tape, x)
    mixed = Storage("versions mixed", "h", x.width, given.itemsize, x.storage.extent)
    (mixed_here,) = tape.run("mix versions", (given, factors), (mixed,), saves=(given, factors))
    return cast(tape, copy(tape, mixed_here, "predictions"), x.itemsize)


def corrected(tape: Tape, computation: Computation, predictions: Value, activated: Value) -> Value:
    """Predictions and what the layer made of the first beyond its own, repeated for each with a factor."""
    factors = _factors(tape, computation, activated, "correction_coefs", computation.versions)
    (first,) = tape.view(predictions, activated.width)
    innovation = add(tape, activated, first, "innovation")
    (repeated,) = tape.run("repeat", (innovation,), (_versions(computation, innovation, "innovations"),))
    made = _versions(computation, innovation, "corrected")
    reads = (repeated, factors, predictions)
    return tape.run("correct", reads, (made,), saves=reads[:2], passes=(predictions,))[0]


def _factors(tape: Tape, computation: Computation, x: Value, name: str, width: int) -> Value:
    """A few numbers a token, by way of a router."""
    normal = unary(tape, norm(tape, computation, x), "norm / h")
    routed = linear(tape, normal, "modality_router", "1", computation.versions)
    return linear(tape, unary(tape, routed, "tanh", saves_output=True), name, "1", width)


def _at_length(tape: Tape, x: Value) -> Value:
    """X times one number a token, divided by another, both means of squares, which autocast takes in float32."""
    x = cast(tape, x, tape.arithmetic.itemsize)
    with tape.holding(x):
        wide = in_float32(tape, x)
        length = Storage("length", "1", 1, wide.itemsize, x.storage.extent)
        (length_of_x,) = tape.run("length", (wide,), (length,), scratch=(wide.storage,), saves=(wide,))
        scaled = unary(
            tape, x, "version scaled", itemsize=wide.itemsize, saves_input=tape.arithmetic.base_trains
        )
        return tape.run(
            "version", (scaled, length_of_x), (replace(scaled.storage, label="version"),), saves=(scaled,)
        )[0]


def _versions(computation: Computation, one: Value, label: str) -> Storage:
    return Storage(label, "h", computation.versions * one.width, one.itemsize, one.storage.extent)
