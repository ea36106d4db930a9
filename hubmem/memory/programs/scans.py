"""Recurrent layers in plain operators, as transformers scans where mamba-ssm and flash-linear-attention are not.

Tokens are scanned in chunks: within a chunk all pairs of tokens meet as in attention, between chunks a state is
handed on. All of it is float32.

Symbols: I inner width, m heads, N state size, u tokens of a chunk.
"""

from dataclasses import dataclass, replace

from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.norms import times_weight
from hubmem.memory.programs.operators import FLOAT32, HALF, add, cast, copy, in_half, multiply, unary
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A mixer that is no attention, as its matrices show it.

    Attributes:
        kind: its name, of those that are known operator by operator.
        projected: width it projects its input to.
        inner: width of what it projects back.
        heads: of its state.
        state: rows of a head's state, for each of the inner width's columns.
        convolved: channels of its convolution.
        chunk: tokens that are scanned together.
        parts: of the inner width, scanned one after another (Zamba's heads).
    """

    kind: str = ""
    projected: int
    inner: int
    heads: int = 0
    state: int = 0
    convolved: int = 0
    chunk: int = 1
    parts: int = 1


# What one more token makes of the state's size, in bytes of an element: products of decay, input and state.
_STEPS = {
    "gated_delta_net": (FLOAT32,) * 3,
    "kimi_delta_attention": (FLOAT32,) * 3,
    "mamba": (FLOAT32,) * 4,
    "mamba2": (FLOAT32, HALF, HALF, FLOAT32, FLOAT32),
}


def step(tape: Tape, mixer: Recurrence) -> None:
    """One token's update of the state.

    Source: transformers 5.23, torch_recurrent_gated_delta_rule and mamba2_selective_state_update.
    """
    sizes = _STEPS.get(mixer.kind, ())
    width = mixer.inner * mixer.state
    scratch = [Storage("state", "I·N", width, size, Extent.SEQUENCES) for size in sizes]
    tape.run("update of the state", (), (), scratch=scratch)


def delta_rule(tape: Tape, mixer: Recurrence, x: Value, hidden: int) -> Value:
    """Gated delta net (Yang et al., arXiv 2412.06464).

    Source: transformers 5.23, models/qwen3_next/modeling_qwen3_next.py, torch_chunk_gated_delta_rule.
    """
    keys = (mixer.convolved - mixer.inner) // 2
    with tape.holding(x) as held:
        projected = linear(tape, x, "in_proj", "p", mixer.projected)
        part, gate = tape.view(projected, mixer.convolved, mixer.inner)
        convolved = convolve(tape, copy(tape, part, "q, k and v joined"))
        gate = copy(tape, gate, "gate")
        held += [projected, convolved, gate]
        q, k, v = tape.view(convolved, keys, keys, mixer.inner)
        scanned = _scan_by_delta_rule(tape, mixer, q, k, v)
        held.append(scanned)
        normed = _normed_then_gated(tape, scanned, gate)
        return linear(tape, normed, "out_proj", "h", hidden)


def _scan_by_delta_rule(tape: Tape, mixer: Recurrence, q: Value, k: Value, v: Value) -> Value:
    itemsize = v.itemsize
    with tape.holding() as held:
        q, k = (_wide(tape, mixer, value, f"{value.storage.label} repeated") for value in (q, k))
        wide = [cast(tape, value, FLOAT32) for value in (q, k, v)]
        q, k = (unary(tape, value, "x / ‖x‖", saves_input=True) for value in wide[:2])
        q, k, v = (pad(tape, value) for value in (q, k, wide[2]))
        held.append(v)
        with tape.holding(q, k):
            strengthened_v = unary(tape, v, "β·v", saves_input=True)
            strengthened_k = unary(tape, k, "β·k", saves_input=True)
            decay = _pairwise_decay(tape, mixer, v)
            system = multiply(tape, _pairs(tape, mixer, strengthened_k, k), decay, "system")
            within = multiply(tape, _pairs(tape, mixer, q, k), decay, "attention within chunks")
            decayed_k = unary(tape, strengthened_k, "decayed β·k", saves_input=True)
            held += [strengthened_v, strengthened_k, decay, system, within, decayed_k]
            new = [_solved(tape, system, value) for value in (strengthened_v, decayed_k)]
            decayed = [unary(tape, value, "decayed", saves_input=True) for value in (q, k)]
        scanned = _handed_on(tape, mixer, [*new, *decayed, within])
        held += [*new, *decayed, scanned]
        return cast(tape, copy(tape, scanned, "output in order"), itemsize)


def _solved(tape: Tape, system: Value, x: Value) -> Value:
    """The solution of a triangular system, kept with the system."""
    storage = Storage("solution", "I", x.width, FLOAT32, x.storage.extent)
    return tape.run("solve", (system, x), (storage,), saves=(system, Value(storage, x.width)))[0]


def _handed_on(tape: Tape, mixer: Recurrence, reads: list[Value]) -> Value:
    """What each chunk reads of the state and adds to it; in training every chunk's state is kept."""
    extent = Extent.CHUNKS if tape.arithmetic.trains else Extent.SEQUENCES
    states = Storage("states", "I·N", mixer.inner * mixer.state, FLOAT32, extent)
    out = Storage("scanned", "I", mixer.inner, FLOAT32, Extent.CHUNKED)
    corrected = Storage("corrected values", "I", mixer.inner, FLOAT32, Extent.CHUNKED)
    writes = [out, states, corrected] if tape.arithmetic.trains else [out, states]
    if tape.arithmetic.autocast:
        # Each chunk's products have factors of their own, and two read the state.
        reads = [cast(tape, value, HALF) for value in reads]
        writes += [replace(states, label="states in bf16", itemsize=HALF)] * 2
    saves = [*reads, *(Value(storage, storage.width) for storage in writes[1:])]
    return tape.run("hand on", reads, writes, saves=saves)[0]


def _normed_then_gated(tape: Tape, x: Value, gate: Value) -> Value:
    """x̂·w·silu(gate), x̂ in the layer's dtype and the gate in float32."""
    wide = cast(tape, x, FLOAT32)
    normal = cast(tape, unary(tape, wide, "x̂", saves_input=True), x.itemsize)
    weighted = times_weight(tape, normal)
    opened = unary(tape, cast(tape, gate, FLOAT32), "silu(gate)", saves_input=True)
    return cast(tape, multiply(tape, weighted, opened, "gated"), x.itemsize)


def chunked_scan(tape: Tape, mixer: Recurrence, x: Value, hidden: int) -> Value:
    """Mamba-2 (Dao and Gu, arXiv 2405.21060).

    Source: transformers 5.23, models/mamba2/modeling_mamba2.py, mamba2_chunk_scan.
    """
    itemsize = x.itemsize
    with tape.holding(x) as held:
        projected = linear(tape, x, "in_proj", "p", mixer.projected)
        gate, part = tape.view(projected, mixer.inner, mixer.convolved)
        convolved = convolve(tape, part)
        held += [projected, convolved]
        groups = (mixer.convolved - mixer.inner) // 2
        value, into, out = tape.view(convolved, mixer.inner, groups, groups)
        scanned = _scan_of_states(tape, mixer, value, into, out)
        held.append(scanned)
        normed = cast(tape, _gated_then_normed(tape, scanned, gate), itemsize)
        return linear(tape, normed, "out_proj", "h", hidden)


def _scan_of_states(tape: Tape, mixer: Recurrence, x: Value, b: Value, c: Value) -> Value:
    with tape.holding() as held:
        x = cast(tape, x, FLOAT32)
        b, c = (_spread(tape, mixer, cast(tape, value, FLOAT32)) for value in (b, c))
        skipped = times_weight(tape, pad(tape, x))
        held.append(skipped)
        with tape.holding(x, b, c):
            stepped = unary(tape, x, "Δ·x", saves_input=True)
            x, b, c = (pad(tape, value) for value in (stepped, b, c))
        decay = _segment_sums(tape, mixer, x)
        held += [x, b, c, decay]
        pairs = _pairs(tape, mixer, copy(tape, c, "C by head"), copy(tape, b, "B by head"))
        weights = multiply(tape, pairs, decay, "C·Bᵀ·decay")
        within = _weighted(tape, mixer, weights, copy(tape, x, "x by head"))
        decayed = unary(tape, b, "decayed B", saves_input=True)
        held += [pairs, weights, within, decayed]
        states = _states(tape, mixer, [copy(tape, decayed, "B by head"), copy(tape, x, "x by head")])
        handed = _states(tape, mixer, [states])
        held += [states, handed]
        read = _weighted(tape, mixer, copy(tape, c, "C by head"), handed)
        between = unary(tape, read, "decayed output", saves_input=True)
        held += [read, between]
        return add(tape, add(tape, within, between, "output"), skipped, "output + D·x")


def selective_scan(tape: Tape, mixer: Recurrence, x: Value, hidden: int) -> Value:
    """Mamba (Gu and Dao, arXiv 2312.00752): token by token, each of whose states training keeps.

    Source: transformers 5.23, models/mamba/modeling_mamba.py, mamba_selective_scan.
    """
    with tape.holding(x) as held:
        projected = linear(tape, x, "in_proj", "p", 2 * mixer.inner)
        part, gate = tape.view(projected, mixer.inner, mixer.inner)
        convolved = convolve(tape, part)
        held += [projected, convolved]
        step_size = cast(tape, unary(tape, convolved, "Δ", saves_input=True), FLOAT32)
        step_size = unary(tape, step_size, "softplus(Δ)", saves_input=True)
        scanned = _scan_token_by_token(tape, mixer, convolved, step_size)
        skipped = add(tape, scanned, cast(tape, unary(tape, convolved, "D·x"), FLOAT32), "output + D·x")
        opened = unary(tape, gate, "silu(gate)", saves_input=True)
        gated = cast(tape, multiply(tape, skipped, opened, "gated"), x.itemsize)
        return linear(tape, gated, "out_proj", "h", hidden)


def _scan_token_by_token(tape: Tape, mixer: Recurrence, x: Value, step_size: Value) -> Value:
    # What one part's scan makes is gone before the next, unless a backward pass needs it.
    parts = 1 if tape.arithmetic.trains else mixer.parts
    states = Storage("states", "I·N", mixer.inner * mixer.state // parts, FLOAT32)
    with tape.holding(step_size) as held:
        (exponent,) = tape.run("Δ·A", (step_size,), (replace(states, label="Δ·A"),), saves=(step_size,))
        decay = unary(tape, exponent, "decay", saves_output=True)
        held.append(decay)
        del exponent
        (into,) = tape.run("Δ·B", (step_size,), (replace(states, label="Δ·B"),), saves=(step_size,))
        held += [into, multiply(tape, into, cast(tape, x, FLOAT32), "Δ·B·x")]
        out = Storage("scanned", "I", mixer.inner, x.itemsize)
        writes = [out]
        if tape.arithmetic.trains:
            writes += [states, replace(states, label="states read", itemsize=x.itemsize)]
        saves = [decay, *(Value(storage, storage.width) for storage in writes[1:])]
        return copy(tape, tape.run("scan", held[1:], writes, saves=saves)[0], "outputs of all tokens")


def _spread(tape: Tape, mixer: Recurrence, x: Value) -> Value:
    """One row of the state's size for each head, out of those of groups."""
    storage = Storage("for each head", "m·N", mixer.heads * mixer.state, FLOAT32, x.storage.extent)
    return tape.run("repeat", (x,), (storage,))[0]


def _segment_sums(tape: Tape, mixer: Recurrence, x: Value) -> Value:
    """The decay between all pairs of a chunk: spread, masked, summed, masked again, its exponential kept."""
    spread = Storage("spread", "m·u", mixer.heads * mixer.chunk, FLOAT32, Extent.CHUNKED)
    (masked,) = tape.run("mask", (_steps(x),), (spread,))
    with tape.holding(masked):
        sums = unary(tape, unary(tape, masked, "sums"), "masked sums")
    return unary(tape, sums, "decay", saves_output=True)


def _pairwise_decay(tape: Tape, mixer: Recurrence, x: Value) -> Value:
    difference = Storage("differences", "m·u", mixer.heads * mixer.chunk, FLOAT32, Extent.CHUNKED)
    (differences,) = tape.run("differences", (_steps(x),), (difference,))
    return unary(tape, unary(tape, differences, "masked"), "decay", saves_output=True)


def _steps(x: Value) -> Value:
    """Each head's step for each token: too few numbers to count."""
    return Value(Storage("steps", "m", 0, FLOAT32, Extent.CHUNKED), 0, needs_grad=x.needs_grad)


def _states(tape: Tape, mixer: Recurrence, reads: list[Value]) -> Value:
    return _product(tape, reads, Storage("states", "I·N", mixer.inner * mixer.state, FLOAT32, Extent.CHUNKS))


def _pairs(tape: Tape, mixer: Recurrence, one: Value, other: Value) -> Value:
    width = mixer.heads * mixer.chunk
    return _product(tape, [one, other], Storage("pairs of a chunk", "m·u", width, FLOAT32, Extent.CHUNKED))


def _weighted(tape: Tape, mixer: Recurrence, weights: Value, x: Value) -> Value:
    return _product(tape, [weights, x], Storage("output", "I", mixer.inner, FLOAT32, Extent.CHUNKED))


def _product(tape: Tape, factors: list[Value], storage: Storage) -> Value:
    """A batched matrix product, which autocast runs in half precision and which keeps its factors."""
    factors = [in_half(tape, factor) for factor in factors]
    if tape.arithmetic.autocast:
        storage = replace(storage, itemsize=HALF)
    return tape.run(f"{storage.label}, product", factors, (storage,), saves=factors)[0]


def _gated_then_normed(tape: Tape, x: Value, gate: Value) -> Value:
    """(x·silu(gate))^·w, all in float32, of the tokens without those that fill the last chunk."""
    opened = unary(tape, cast(tape, gate, FLOAT32), "silu(gate)", saves_input=True)
    gated = multiply(tape, opened, x, "gated")
    return times_weight(tape, unary(tape, gated, "x̂", saves_input=True))


def convolve(tape: Tape, x: Value) -> Value:
    """A short convolution along the tokens, and a function of what it makes."""
    return unary(tape, unary(tape, x, "convolution", saves_input=True), "act", saves_input=True)


def _wide(tape: Tape, mixer: Recurrence, x: Value, label: str) -> Value:
    """Queries or keys for every head."""
    width = mixer.heads * mixer.state
    if x.width == width:
        return x
    return tape.run("repeat", (x,), (Storage(label, "m·N", width, x.itemsize, x.storage.extent),))[0]


def pad(tape: Tape, x: Value) -> Value:
    """Copied, with tokens added that fill the last chunk."""
    storage = Storage(x.storage.label, x.storage.symbol, x.width, x.itemsize, Extent.CHUNKED)
    return tape.run("pad", (x,), (storage,))[0]
