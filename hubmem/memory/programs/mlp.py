"""Feed-forward parts: dense ones, and experts.

Symbols: f width, n experts a token goes through, w width of an expert.
"""

from dataclasses import replace

from hubmem.memory.programs.computation import Activation, Computation, Routing
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.norms import norm
from hubmem.memory.programs.operators import (
    FLOAT32,
    add,
    cast,
    copy,
    dropout,
    in_float32,
    in_half,
    multiply,
    product,
    unary,
    weight,
)
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value
from hubmem.models.architecture import Dense, Experts, FeedForward

# What adapters' targets call the two parameters that hold all experts' matrices.
EXPERTS_GATE_UP, EXPERTS_DOWN = "experts.gate_up_proj", "experts.down_proj"


def feed_forward(tape: Tape, computation: Computation, part: FeedForward, x: Value, hidden: int) -> Value:
    """The part of a layer that mixes no tokens."""
    if isinstance(part, Experts):
        return _experts(tape, computation, part, x, hidden)
    if isinstance(part, Dense):
        return _dense(tape, computation, part, x, hidden)
    return x


def _dense(tape: Tape, computation: Computation, part: Dense, x: Value, hidden: int) -> Value:
    make = _gated if part.gated else _plain
    with tape.holding() as inside:
        inner = dropout(tape, make(tape, computation, part, x, inside), drops=computation.inner_dropout)
        if computation.inner_norms:
            inner = norm(tape, computation, inner)
        return linear(tape, inner, "down_proj", "h", hidden, quantizable=not computation.down_float32)


def _gated(tape: Tape, computation: Computation, part: Dense, x: Value, inside: list[Value]) -> Value:
    """act(gate(x)) · up(x) (Shazeer, arXiv 2002.05202)."""
    width = part.width
    if computation.fused_gate:
        both = linear(tape, x, "gate_up_proj", "f", 2 * width)
        gate, up = tape.view(both, width, width)
        with tape.holding(both):
            return multiply(tape, up, _activation(tape, computation, gate), "act(gate)·up")
    gate = linear(tape, x, "gate_proj", "f", width)
    if part.cut_off:
        gate = _largest(tape, gate)
    opened = _activation(tape, computation, gate)
    up = linear(tape, x, "up_proj", "f", width)
    if computation.gate_held:
        inside += [gate, opened, up]
    return multiply(tape, opened, up, "act(gate)·up")


def _largest(tape: Tape, x: Value) -> Value:
    """What exceeds its token's mean by so many deviations, which keep x: relu(x − mean − deviations) (Gemma 3n)."""
    return _relu(tape, unary(tape, x, "gate − cutoff", saves_input=True))


def _plain(tape: Tape, computation: Computation, part: Dense, x: Value, _: list[Value]) -> Value:
    """act(up(x))."""
    up = linear(tape, x, "up_proj", "f", part.width)
    with tape.holding(up):
        return _activation(tape, computation, up)


def _activation(tape: Tape, computation: Computation, x: Value) -> Value:
    return _ACTIVATIONS[computation.activation](tape, x)


def _fused(tape: Tape, x: Value) -> Value:
    return unary(tape, x, "act", saves_input=True)


def _relu(tape: Tape, x: Value) -> Value:
    return unary(tape, x, "act", saves_output=True)


def _relu_squared(tape: Tape, x: Value) -> Value:
    return unary(tape, in_float32(tape, unary(tape, x, "relu", saves_output=True)), "act", saves_input=True)


def _xielu(tape: Tape, x: Value) -> Value:
    """α₊·x·x + βx above zero, (e^min(x, ε) − 1 − x)·α₋ + βx below; each α is learned.

    Source: transformers 5.23, activations.py, XIELUActivation._xielu_python.
    """
    # Each α is a softplus, which autocast runs in float32.
    itemsize = FLOAT32 if tape.arithmetic.autocast else x.itemsize
    alpha = Value(Storage("α", "1", 0, itemsize, Extent.ONCE), 0, tape.arithmetic.base_trains)
    positive = Storage("x > 0", x.storage.symbol, x.width, 1)
    with tape.holding(x) as held:
        (above,) = tape.run("x > 0", (x,), (positive,))
        held.append(above)
        square = multiply(tape, multiply(tape, x, alpha, "α·x"), x, "α·x·x")
        held.append(add(tape, square, unary(tape, x, "βx"), "above zero"))
        bounded = in_float32(tape, unary(tape, x, "min(x, ε)", saves_input=True))
        rest = add(tape, unary(tape, bounded, "expm1", saves_output=True), x, "expm1 − x")
        held.append(add(tape, multiply(tape, rest, alpha, "α·(…)"), unary(tape, x, "βx"), "below zero"))
        joined = Storage("act", x.storage.symbol, x.width, rest.itemsize)
        reads = (above, *held[-2:])
        return tape.run("act", reads, (joined,), saves=(above,))[0]


def _gelu_new(tape: Tape, x: Value) -> Value:
    """½x · (1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    with tape.holding(x):
        half = unary(tape, x, "½x")
        cubed = unary(tape, unary(tape, in_float32(tape, x), "x³", saves_input=True), "0.044715·x³")
        inner = unary(tape, add(tape, x, cubed, "x + 0.044715·x³"), "√(2/π)·(…)")
        bounded = unary(tape, unary(tape, inner, "tanh", saves_output=True), "1 + tanh")
        return multiply(tape, half, bounded, "act")


def _gelu_fast(tape: Tape, x: Value) -> Value:
    """½x · (1 + tanh(√(2/π)·x·(1 + 0.044715·x·x)))."""
    with tape.holding(x):
        half, scaled = unary(tape, x, "½x"), unary(tape, x, "√(2/π)·x")
        square = multiply(tape, unary(tape, x, "0.044715·x"), x, "0.044715·x·x")
        inner = multiply(tape, scaled, unary(tape, square, "1 + 0.044715·x·x"), "√(2/π)·x·(…)")
        bounded = unary(tape, unary(tape, inner, "tanh", saves_output=True), "1 + tanh")
        return multiply(tape, half, bounded, "act")


def _quick_gelu(tape: Tape, x: Value) -> Value:
    """Its input times σ(1.702·x)."""
    gating = unary(tape, unary(tape, x, "1.702·x"), "σ", saves_output=True)
    return multiply(tape, x, gating, "act")


def _bloom_gelu(tape: Tape, x: Value) -> Value:
    """½x · (1 + tanh(c·x·(1 + 0.044715·x·x))) outside autograd, which makes its temporaries again backward.

    Source: transformers 5.23, models/bloom/modeling_bloom.py, bloom_gelu_forward and bloom_gelu_back.
    """
    like = Storage("act", x.storage.symbol, x.width, x.itemsize)
    temporary = replace(like, label="temporaries of act")
    return tape.run(
        "act", (x,), (like,), saves=(x,), scratch=(temporary,) * 3, backward_scratch=(temporary,) * 4
    )[0]


_ACTIVATIONS = {
    Activation.FUSED: _fused,
    Activation.RELU: _relu,
    Activation.RELU_SQUARED: _relu_squared,
    Activation.GELU_NEW: _gelu_new,
    Activation.GELU_FAST: _gelu_fast,
    Activation.QUICK_GELU: _quick_gelu,
    Activation.XIELU: _xielu,
    Activation.BLOOM_GELU: _bloom_gelu,
    Activation.CLAMPED_GLU: _fused,
}


def _experts(tape: Tape, computation: Computation, part: Experts, x: Value, hidden: int) -> Value:
    """Routed experts, and beside them the shared one."""
    with tape.holding(x):
        route = _through_all if computation.runs_all_experts else _routed
        made = route(tape, computation, part, x, hidden)
        if not part.shared_width:
            return made
        with tape.holding(made):
            shared = Dense(width=part.shared_width, gated=part.gated)
            beside = _dense(tape, computation, shared, x, hidden)
            if computation.shared_gated:
                opening = linear(tape, x, "shared_expert_gate", "1", 1)
                opened = unary(tape, opening, "σ(gate of the shared expert)", saves_output=True)
                beside = multiply(tape, opened, beside, "shared expert gated")
            return add(tape, made, beside, "experts + shared expert")


def _routed(tape: Tape, computation: Computation, part: Experts, x: Value, hidden: int) -> Value:
    """Tokens sorted by expert, one grouped product for each matrix, weighted, put back in order, summed.

    Source: transformers 5.23, integrations/moe.py, grouped_mm_experts_forward.
    """
    weights = _routing_weights(tape, computation, part, x)
    (chosen,) = tape.run("gather", (x,), (_per_choice("chosen tokens", "n·h", part, hidden, x.itemsize),))
    with tape.holding(weights, chosen) as held:
        into = _matrices(tape, EXPERTS_GATE_UP, part.count * hidden * _width_into(part))
        held.append(into)
        inner = _between_matrices(tape, computation, part, chosen, into)
        back = _matrices(tape, EXPERTS_DOWN, part.count * part.width * hidden)
        out = _grouped(tape, part, inner, back, symbol="n·h", width=hidden)
        held += [back, out]
        weighted = multiply(tape, out, weights, "weighted")
        ordered = copy(tape, weighted, "in order")
    return _summed(tape, ordered, x, hidden)


def _summed(tape: Tape, out: Value, x: Value, hidden: int) -> Value:
    return tape.run("sum", (out,), (Storage("experts", "h", hidden, x.itemsize, Extent.STREAM),))[0]


def _through_all(tape: Tape, computation: Computation, part: Experts, x: Value, hidden: int) -> Value:
    """Tokens repeated for each expert and weighted, one batched product for each matrix, summed (Llama 4)."""
    part = replace(part, active=part.count)
    weights = _routing_weights(tape, computation, part, x)
    (repeated,) = tape.run("repeat", (x,), (_per_choice("repeated", "n·h", part, hidden, x.itemsize),))
    given = multiply(tape, repeated, weights, "weighted")
    with tape.holding(given):
        into = _matrices(tape, EXPERTS_GATE_UP, part.count * hidden * _width_into(part))
        inner = _between_matrices(tape, computation, part, in_half(tape, given), in_half(tape, into))
        back = _matrices(tape, EXPERTS_DOWN, part.count * part.width * hidden)
        out = _grouped(tape, part, inner, in_half(tape, back), symbol="n·h", width=hidden)
    return _summed(tape, out, x, hidden)


def _routing_weights(tape: Tape, computation: Computation, part: Experts, x: Value) -> Value:
    """The router's scores of the experts that each token is sent to."""
    arithmetic, layer = tape.arithmetic, x.itemsize
    router = weight("router", part.count * x.width, arithmetic.itemsize, trained=arithmetic.base_trains)
    if computation.router_float32:
        x, router = cast(tape, x, FLOAT32), cast(tape, router, FLOAT32)
    logits = product(tape, x, router, label="router", symbol="e", width=part.count)
    scores = unary(tape, in_float32(tape, logits), "scores of experts", saves_output=True)
    itemsize = {
        Routing.LOGITS: logits.itemsize,
        Routing.SOFTMAX: scores.itemsize,
        Routing.LAYER: layer,
        Routing.FLOAT32: FLOAT32,
    }[computation.routing]
    return tape.run("choose", (scores,), (_per_choice("routing weights", "n", part, 1, itemsize),))[0]


def _width_into(part: Experts) -> int:
    """Gate and up projection of an expert are one matrix."""
    return (2 if part.gated else 1) * part.width


def _matrices(tape: Tape, name: str, elements: int) -> Value:
    """All experts' matrices; with adapters beside them W + B·A, made whole in each pass at its first use.

    Source: peft 0.21, tuners/lora/layer.py, ParamWrapper._activate_lora.
    """
    arithmetic = tape.arithmetic
    own = weight(name, elements, arithmetic.itemsize, trained=arithmetic.base_trains)
    if arithmetic.adapters is None or not arithmetic.adapters.adapt(name):
        return own
    factors = weight(f"{name} LoRA", 0, arithmetic.itemsize, trained=True)
    merged = Storage(f"{name}, W + B·A", "weight", elements, arithmetic.itemsize, Extent.ONCE)
    return tape.run(f"{name}, W + B·A", (own, factors), (merged,))[0]


def _between_matrices(
    tape: Tape, computation: Computation, part: Experts, chosen: Value, into: Value
) -> Value:
    if not part.gated:
        up = _grouped(tape, part, chosen, into, symbol="n·w", width=part.width)
        return _activation(tape, computation, up)
    both = _grouped(tape, part, chosen, into, symbol="n·w", width=2 * part.width)
    gate, up = tape.view(both, both.width // 2, both.width // 2)
    with tape.holding(both):
        if computation.activation is Activation.CLAMPED_GLU:
            return _clamped_glu(tape, part, gate, up)
        return multiply(tape, _activation(tape, computation, gate), up, "act(gate)·up")


def _clamped_glu(tape: Tape, part: Experts, gate: Value, up: Value) -> Value:
    """(up + 1) · gate·σ(α·gate), both clamped first; each token's biases are gathered beside."""
    biases = _per_choice("biases of chosen experts", "n·w", part, 2 * part.width, gate.itemsize)
    (biases_here,) = tape.run("gather", (), (biases,))
    with tape.holding(biases_here) as held:
        gate = unary(tape, gate, "gate clamped", saves_input=True)
        up = unary(tape, up, "up clamped", saves_input=True)
        held += [gate, up]
        gating = unary(tape, unary(tape, gate, "α·gate"), "σ", saves_output=True)
        glu = multiply(tape, gate, gating, "gate·σ")
        held.append(glu)
        return multiply(tape, unary(tape, up, "up + 1"), glu, "(up + 1)·gate·σ")


def _per_choice(label: str, symbol: str, part: Experts, width: int, itemsize: int) -> Storage:
    return Storage(label, symbol, part.active * width, itemsize)


def _grouped(tape: Tape, part: Experts, x: Value, own: Value, *, symbol: str, width: int) -> Value:
    """One matrix an expert, one product for all; the gradient of all their weights is made at once."""
    saves = [value for value, other in ((x, own), (own, x)) if other.needs_grad]
    label = own.storage.label
    return tape.run(label, (x, own), (_per_choice(label, symbol, part, width, x.itemsize),), saves=saves)[0]
