"""DeBERTa's attention: of contents to contents, of contents to positions and of positions to contents.

Symbols: q = heads·D, a heads, P rows of the table of relative positions.

Source: He et al., arXiv 2006.03654, section 3.1; transformers 5.23, models/deberta_v2/modeling_deberta_v2.py,
DisentangledSelfAttention.
"""

from hubmem.memory.programs.operators import add, constant, copy, dropout, in_float32, in_half, unary
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value


def attend_disentangled(
    tape: Tape, heads: int, positions: int, q: Value, k: Value, v: Value, *, drops: bool
) -> list[Value]:
    """softmax((q·kᵀ + q·pₖᵀ + k·p_qᵀ) / √3D)·v, then the probabilities."""
    q, k, v = (copy(tape, value, f"{value.storage.label} by head") for value in (q, k, v))
    with tape.holding(q, k, v) as held:
        scores = _product(tape, heads, q, unary(tape, k, "k / scale"))
        held.append(scores)
        held.append(_to_positions(tape, heads, positions, q))
        both = add(tape, held[-1], _to_positions(tape, heads, positions, k), "scores of positions")
        scores = _masked(tape, add(tape, scores, both, "scores"))
        probabilities = unary(tape, in_float32(tape, scores), "softmax", saves_output=True)
        probabilities = dropout(tape, probabilities, drops=drops)
        return [_weighted(tape, probabilities, v), probabilities]


def _product(tape: Tape, heads: int, one: Value, other: Value) -> Value:
    storage = Storage("q·kᵀ", "a", heads, one.itemsize, Extent.PAIRS)
    return tape.run("q·kᵀ", (one, other), (storage,), saves=(one, other))[0]


def _to_positions(tape: Tape, heads: int, positions: int, x: Value) -> Value:
    """Each token's product with every relative position, of which a pair of tokens looks up its own."""
    table = constant("table of positions", "P", 0, x.itemsize, Extent.ONCE)
    table = Value(table.storage, 0, needs_grad=tape.arithmetic.trains)
    repeated = Storage(
        "positions for each sequence", "P·q", positions * x.width, x.itemsize, Extent.SEQUENCES
    )
    (of_positions,) = tape.run("project positions", (table,), (repeated,))
    products = Storage("products with positions", "P·a", positions * heads, x.itemsize)
    (made,) = tape.run("x·pᵀ", (x, of_positions), (products,), saves=(x, of_positions))
    distances = Storage("distances", "1", 1, 8, Extent.SQUARE)
    looked_up = Storage("score of a distance", "a", heads, x.itemsize, Extent.PAIRS)
    (found, _) = tape.run("look up", (made,), (looked_up, distances), saves=(made, Value(distances, 1)))
    return unary(tape, found, "score of a distance / scale")


def _masked(tape: Tape, scores: Value) -> Value:
    hidden = Storage("what is hidden", "1", 1, 1, Extent.PAIRS)
    (mask,) = tape.run("not", (), (hidden,))
    storage = Storage("masked scores", "a", scores.width, scores.itemsize, Extent.PAIRS)
    return tape.run("masked fill", (scores, mask), (storage,), saves=(mask,))[0]


def _weighted(tape: Tape, probabilities: Value, v: Value) -> Value:
    probabilities = in_half(tape, probabilities)
    output = Storage("attention output", "q", v.width, v.itemsize)
    (made,) = tape.run("probabilities·v", (probabilities, v), (output,), saves=(probabilities, v))
    return copy(tape, made, "attention output by token")
