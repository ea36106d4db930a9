"""Kimi delta attention: a delta rule whose state forgets in each of a head's dimensions at a rate of its own.

So the decay between two tokens of a chunk is as wide as a head, and a token's share of a chunk's decays u times
as wide as all heads.

Symbols: I inner width, m heads, N dimensions of a head, u tokens of a chunk.

Source: Kimi Team, arXiv 2510.26692, section 3; transformers 5.23, models/kimi_linear/modeling_kimi_linear.py,
chunk_kimi_delta_attention.
"""

from dataclasses import replace

from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.norms import times_weight
from hubmem.memory.programs.operators import FLOAT32, HALF, cast, copy, in_half, multiply, unary
from hubmem.memory.programs.scans import Recurrence, convolve, pad
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value


def kimi_delta(tape: Tape, mixer: Recurrence, x: Value, hidden: int) -> Value:
    """Queries, keys and values convolved together; a gate of what to forget and one of the output."""
    width = mixer.inner
    with tape.holding(x) as held:
        with tape.holding() as parts:
            parts += [linear(tape, x, name, "I", width) for name in ("q_proj", "k_proj", "v_proj")]
            joined = Storage("q, k and v joined", "I", 3 * width, parts[0].itemsize, x.storage.extent)
            (mixed,) = tape.run("join", parts, (joined,))
        mixed = convolve(tape, mixed)
        held.append(mixed)
        forgets = _forget_gate(tape, mixer, x)
        held.append(forgets)
        q, k, v = tape.view(mixed, width, width, width)
        scanned = _in_chunks(tape, mixer, [q, k, v, forgets])
        held.append(scanned)
        gate = linear(tape, linear(tape, x, "g_a_proj", "N", mixer.state), "g_b_proj", "I", width)
        held.append(gate)
        return linear(tape, _normed_then_gated(tape, scanned, gate), "o_proj", "h", hidden)


def _forget_gate(tape: Tape, mixer: Recurrence, x: Value) -> Value:
    """−e^A·log(1 + e^g), or −e^A·g where g is large."""
    low = linear(tape, x, "f_a_proj", "N", mixer.state)
    gate = unary(tape, cast(tape, linear(tape, low, "f_b_proj", "I", mixer.inner), FLOAT32), "g")
    with tape.holding(gate):
        exponential = unary(tape, gate, "e^g", saves_output=True)
        logarithm = unary(tape, unary(tape, exponential, "1 + e^g"), "log(1 + e^g)", saves_input=True)
        large = Storage("g > 20", "I", mixer.inner, 1, gate.storage.extent)
        (chosen, _) = tape.run(
            "where",
            (gate, logarithm),
            (replace(gate.storage, label="softplus(g)"), large),
            saves=(Value(large, 0),),
        )
        return times_weight(tape, chosen)


def _in_chunks(tape: Tape, mixer: Recurrence, given: list[Value]) -> Value:
    """All pairs of a chunk's tokens at once, then chunk after chunk with the state that is handed on."""
    itemsize = given[0].itemsize
    with tape.holding() as held:
        wide = [cast(tape, copy(tape, value, f"{value.storage.label} by head"), FLOAT32) for value in given]
        wide[:2] = [unary(tape, value, "x / ‖x‖", saves_input=True) for value in wide[:2]]
        q, k, v, forgets = (pad(tape, value) for value in wide)
        q = unary(tape, q, "q scaled")
        held += [q, k]
        strong_v, strong_k = (unary(tape, value, "β·x", saves_input=True) for value in (v, k))
        total = unary(tape, forgets, "sums")
        held += [strong_v, strong_k, total]
        decay = _decay(tape, mixer, total)
        held.append(decay)
        system = _inverted(tape, mixer, _paired(tape, mixer, strong_k, k, decay))
        held.append(system)
        decayed = multiply(tape, strong_k, unary(tape, total, "decays", saves_output=True), "decayed β·k")
        new = [_product(tape, system, value) for value in (strong_v, decayed)]
        held.extend(new)
        scanned = _handed_on(tape, mixer, [q, k, total, decay, *new])
        held.append(scanned)
        return cast(tape, copy(tape, scanned, "output in order"), itemsize)


def _decay(tape: Tape, mixer: Recurrence, total: Value) -> Value:
    """Between each two tokens of a chunk, in each dimension: differences, masked, their exponential kept."""
    (differences,) = tape.run("differences", (total,), (_of_pairs(mixer, "differences", Extent.CHUNKED),))
    return unary(tape, unary(tape, differences, "masked"), "decay", saves_output=True)


def _paired(tape: Tape, mixer: Recurrence, one: Value, other: Value, decay: Value) -> Value:
    """Σ one·other·decay over a head's dimensions."""
    products = _of_pairs(mixer, "products", Extent.CHUNKED)
    (made,) = tape.run("products", (one, other), (products,), saves=(one, other))
    sums = Storage("pairs of a chunk", "m·u", mixer.heads * mixer.chunk, FLOAT32, Extent.CHUNKED)
    # The gradient of a sum is a view, and none of what is summed.
    scratch = (replace(products, label="decayed products"),)
    (summed,) = tape.run("sum", (made, decay), (sums,), saves=(made, decay), scratch=scratch)
    return unary(tape, unary(tape, summed, "negated"), "masked")


def _inverted(tape: Tape, mixer: Recurrence, system: Value) -> Value:
    """Row by row, each time with a copy of the rows above, which a backward pass needs."""
    u = mixer.chunk
    rows = Storage("rows above", "m·u²", mixer.heads * ((u - 1) * (2 * u - 1) // 6), FLOAT32, Extent.CHUNKED)
    writes = (system.storage, rows) if tape.arithmetic.trains else (system.storage,)
    saves = [Value(storage, 0) for storage in writes[1:]]
    return unary(tape, tape.run("invert", (system,), writes, saves=saves)[0], "inverse")


def _handed_on(tape: Tape, mixer: Recurrence, reads: list[Value]) -> Value:
    """Each chunk's products with its decays, and what it reads of the state and adds to it.

    One chunk's are gone before the next, unless a backward pass needs them.
    """
    trains = tape.arithmetic.trains
    out = Storage("scanned", "I", mixer.inner, FLOAT32, Extent.CHUNKED)
    states = Storage(
        "states", "I·N", mixer.inner * mixer.state, FLOAT32, Extent.CHUNKS if trains else Extent.SEQUENCES
    )
    if not trains:
        chunk = _of_pairs(mixer, "products of a chunk", Extent.SEQUENCES)
        return tape.run("hand on", reads, (out, states), scratch=(chunk, chunk))[0]
    half = HALF if tape.arithmetic.autocast else FLOAT32
    kept = (
        _of_pairs(mixer, "products", Extent.CHUNKED),
        Storage("attention within chunks", "m·u", mixer.heads * mixer.chunk, half, Extent.CHUNKED),
        *(replace(out, label=f"decays of {name}") for name in ("queries", "keys")),
        *(replace(out, label=name, itemsize=half) for name in ("decayed q", "decayed k", "new values")),
        states,
        replace(states, label="states as factors", itemsize=half),
    )
    saves = [*reads, *(Value(storage, storage.width) for storage in kept)]
    return tape.run("hand on", reads, (out, *kept), saves=saves)[0]


def _product(tape: Tape, system: Value, x: Value) -> Value:
    factors = in_half(tape, system), in_half(tape, x)
    storage = Storage("solution", "I", x.width, factors[0].itemsize, x.storage.extent)
    return tape.run("product", factors, (storage,), saves=factors)[0]


def _normed_then_gated(tape: Tape, x: Value, gate: Value) -> Value:
    """x̂·w·σ(gate), all in float32."""
    wide = cast(tape, x, FLOAT32)
    weighted = times_weight(tape, unary(tape, wide, "x̂", saves_input=True))
    opened = unary(tape, cast(tape, gate, FLOAT32), "σ(gate)", saves_output=True)
    return cast(tape, multiply(tape, weighted, opened, "gated"), x.itemsize)


def _of_pairs(mixer: Recurrence, label: str, extent: Extent) -> Storage:
    """A number for each two tokens of a chunk and each dimension of a head; of one chunk alone, u² of them."""
    width = mixer.inner * mixer.chunk * (mixer.chunk if extent is Extent.SEQUENCES else 1)
    return Storage(label, "I·u", width, FLOAT32, extent)
