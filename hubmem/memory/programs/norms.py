"""Norms, by what they keep."""

from dataclasses import replace

from hubmem.memory.programs.computation import Computation, HeadNorms, Norm
from hubmem.memory.programs.operators import FLOAT32, cast, in_float32, in_half, multiply, unary
from hubmem.memory.programs.tape import Storage, Tape, Value


def norm(tape: Tape, computation: Computation, x: Value) -> Value:
    """A norm over the hidden size. Calling a module holds its arguments until it returns."""
    with tape.holding(x):
        return _NORMS[computation.norm](tape, x)


def head_norm(tape: Tape, computation: Computation, x: Value, when: HeadNorms) -> Value:
    """A norm over a head of queries or keys, where there is one at this point."""
    if computation.qk_norm is not when:
        return x
    with tape.holding(x):
        return _NORMS[computation.head_norm or computation.norm](tape, x)


def value_norm(tape: Tape, computation: Computation, x: Value) -> Value:
    """A norm over a head of values, where there is one."""
    if computation.value_norm is None:
        return x
    with tape.holding(x):
        return _NORMS[computation.value_norm](tape, x)


def _rms(tape: Tape, x: Value) -> Value:
    """x̂ = x / √mean(x²) in float32, cast back, times the weight (Zhang and Sennrich, arXiv 1910.07467)."""
    return times_weight(tape, _rms_bare(tape, x))


def _rms_bare(tape: Tape, x: Value) -> Value:
    """As `_rms`, without a weight."""
    return cast(tape, _normal(tape, cast(tape, x, FLOAT32)), x.itemsize)


def _rms_float32(tape: Tape, x: Value) -> Value:
    """As `_rms`, but the weight comes first and the cast last."""
    return cast(tape, times_weight(tape, _normal(tape, cast(tape, x, FLOAT32))), x.itemsize)


def _rms_t5(tape: Tape, x: Value) -> Value:
    """As `_rms`, but x itself is divided, and cast back only where the weights are in half precision."""
    square = _square(tape, cast(tape, x, FLOAT32), "x²")
    normal = multiply(tape, x, _inverse_root(tape, square), "x̂")
    if tape.arithmetic.itemsize < FLOAT32:
        normal = cast(tape, normal, tape.arithmetic.itemsize)
    return times_weight(tape, normal)


def _layer_norm(tape: Tape, x: Value) -> Value:
    """One kernel, which keeps its input, a mean and a deviation; autocast runs it in float32."""
    return _kernel(tape, in_float32(tape, x))


def _layer_norm_autocast(tape: Tape, x: Value) -> Value:
    """As `_layer_norm`, outside autocast and in its dtype (Nemotron)."""
    return _kernel(tape, in_half(tape, x))


def _kernel(tape: Tape, x: Value) -> Value:
    out = Storage("norm", x.storage.symbol, x.width, x.itemsize, x.storage.extent)
    statistics = Storage("mean and deviation", "1", 2, FLOAT32, x.storage.extent)
    saves = (x, Value(statistics, 2))
    return tape.run("layer norm", (x,), (out, statistics), saves=saves)[0]


def _layer_norm_float32(tape: Tape, x: Value) -> Value:
    """As `_layer_norm`, in float32 whatever x is."""
    return cast(tape, _layer_norm(tape, cast(tape, x, FLOAT32)), x.itemsize)


def _layer_norm_by_hand(tape: Tape, x: Value) -> Value:
    """(x − mean) / √variance, the difference made once for the variance and once for the quotient."""
    wide = cast(tape, x, FLOAT32)
    square = _square(tape, unary(tape, wide, "x − mean, for the variance"), "(x − mean)²")
    normal = multiply(tape, unary(tape, wide, "x − mean"), _inverse_root(tape, square), "x̂")
    return cast(tape, times_weight(tape, normal), x.itemsize)


_NORMS = {
    Norm.RMS: _rms,
    Norm.RMS_BARE: _rms_bare,
    Norm.RMS_FLOAT32: _rms_float32,
    Norm.RMS_T5: _rms_t5,
    Norm.LAYER: _layer_norm,
    Norm.LAYER_AUTOCAST: _layer_norm_autocast,
    Norm.LAYER_FLOAT32: _layer_norm_float32,
    Norm.LAYER_BY_HAND: _layer_norm_by_hand,
}


def _normal(tape: Tape, x: Value) -> Value:
    with tape.holding(x):
        square = _square(tape, x, "x²")
        return multiply(tape, x, _inverse_root(tape, square), "x̂")


def _square(tape: Tape, x: Value, label: str) -> Value:
    """A power, whose derivative makes the power one lower, and twice it.

    Source: torch 2.13, torch/csrc/autograd/FunctionsManual.cpp, pow_backward.
    """
    storage = replace(x.storage, label=label, counted=True)
    scratch = (replace(storage, label="power one lower"), replace(storage, label="twice it"))
    return tape.run(label, (x,), (storage,), saves=(x,), backward_scratch=scratch)[0]


def _inverse_root(tape: Tape, square: Value) -> Value:
    """1/√mean: one number a row."""
    storage = Storage("1/√mean", "1", 1, FLOAT32, square.storage.extent)
    return tape.run("1/√mean", (square,), (storage,))[0]


def times_weight(tape: Tape, x: Value) -> Value:
    """Each element times that of a learned vector."""
    weight = Value(
        Storage("norm weight", "h", 0, tape.arithmetic.itemsize), 0, needs_grad=tape.arithmetic.base_trains
    )
    return multiply(tape, x, weight, "norm")
