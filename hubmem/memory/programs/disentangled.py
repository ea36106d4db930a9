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
    with tape.holding(q, k, v) as held:
        scores = _product(tape, heads, q, unary(tape, k, "k / scale"))
        if positions:
            with tape.holding(scores):
                of_positions = _of_positions(tape, heads, positions, q, k)
            held.append(of_positions)
            scores = add(tape, scores, of_positions, "scores")
        scores = _masked(tape, scores)
        held.append(scores)
        probabilities = unary(tape, in_float32(tape, scores), "softmax", saves_output=True)
        probabilities = dropout(tape, probabilities, drops=drops)
        return [_weighted(tape, probabilities, v), probabilities]


def _of_positions(tape: Tape, heads: int, positions: int, q: Value, k: Value) -> Value:
    """Scores of contents to positions, to which those of positions to contents are added in place."""
    keys, queries = _projected(tape, positions, q), _projected(tape, positions, k)
    with tape.holding(keys, queries) as held:
        to_positions = _looked_up(tape, heads, q, keys, held)
        scores = unary(tape, unary(tape, to_positions, "score of a distance / scale"), "scores of positions")
        to_contents = _looked_up(tape, heads, k, queries, held)
        scaled = unary(tape, to_contents, "score of a distance / scale")
        return tape.run("+=", (scores, scaled), (scores.storage,), passes=(scores, scaled))[0]


def _product(tape: Tape, heads: int, one: Value, other: Value) -> Value:
    storage = Storage("q·kᵀ", "a", heads, one.itemsize, Extent.PAIRS)
    return tape.run("q·kᵀ", (one, other), (storage,), saves=(one, other))[0]


def _projected(tape: Tape, positions: int, like: Value) -> Value:
    """The table of relative positions as queries or keys, once for each sequence."""
    table = constant("table of positions", "P", 0, like.itemsize, Extent.ONCE)
    table = Value(table.storage, 0, needs_grad=tape.arithmetic.trains)
    width = positions * like.width
    repeated = Storage("positions for each sequence", "P·q", width, like.itemsize, Extent.SEQUENCES)
    return tape.run("project positions", (table,), (repeated,))[0]


def _looked_up(tape: Tape, heads: int, x: Value, of_positions: Value, held: list[Value]) -> Value:
    """Each token's product with every relative position, of which a pair of tokens looks up its own."""
    positions = of_positions.width // x.width
    products = Storage("products with positions", "P·a", positions * heads, x.itemsize)
    (made,) = tape.run("x·pᵀ", (x, of_positions), (products,), saves=(x, of_positions))
    distances = Storage("distances", "1", 1, 8, Extent.SQUARE)
    scores = Storage("score of a distance", "a", heads, x.itemsize, Extent.PAIRS)
    (found, index) = tape.run("look up", (made,), (scores, distances), saves=(made, Value(distances, 1)))
    held += [found, index]
    return found


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
