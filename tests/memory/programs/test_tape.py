"""What a sequence of operators holds at each of them, and what it keeps for the way back."""

import pytest
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.operators import add, cast, multiply, unary
from hubmem.memory.programs.tape import Alive, Arithmetic, Extent, Storage, Tape, Trace, Value

TOKENS = dict.fromkeys(Extent, 1)
TRAINING = Arithmetic(itemsize=2, trains=True, base_trains=True)
INFERENCE = Arithmetic(itemsize=2)


def _input(width: int = 8, *, needs_grad: bool = False) -> Value:
    return Value(Storage("x", "h", width, 2), width, needs_grad)


def _most(moments: tuple[Alive, ...]) -> int:
    return max(alive.nbytes(TOKENS) for alive in moments)


def _kept(trace: Trace) -> list[str]:
    return sorted(storage.label for storage in trace.kept)


def test_a_tensor_dies_after_its_last_use() -> None:
    tape = Tape(INFERENCE)
    x = unary(tape, unary(tape, unary(tape, _input(), "a"), "b"), "c")
    assert _most(tape.finish(x).forward) == 2 * 8 * 2


def test_a_variable_lives_until_its_function_returns() -> None:
    tape = Tape(INFERENCE)
    x = _input()
    with tape.holding(x):
        y = unary(tape, unary(tape, x, "a"), "b")
    assert _most(tape.finish(y).forward) == 3 * 8 * 2


def test_without_gradients_nothing_is_kept() -> None:
    tape = Tape(INFERENCE)
    assert tape.finish(linear(tape, _input(), "up", "f", 16)).kept == ()


def test_a_linear_layer_keeps_its_input_for_its_weights_gradient() -> None:
    tape = Tape(TRAINING)
    assert _kept(tape.finish(linear(tape, _input(needs_grad=True), "up", "f", 16))) == ["x"]


def test_a_frozen_linear_layer_keeps_nothing() -> None:
    tape = Tape(Arithmetic(itemsize=2, trains=True))
    assert tape.finish(linear(tape, _input(needs_grad=True), "up", "f", 16)).kept == ()


def test_an_input_that_several_layers_read_is_kept_once() -> None:
    tape = Tape(TRAINING)
    x = _input(needs_grad=True)
    y = add(tape, linear(tape, x, "q", "h", 8), linear(tape, x, "k", "h", 8), "sum")
    assert _kept(tape.finish(y)) == ["x"]


def test_autocast_keeps_a_copy_of_the_weight_and_of_the_input_of_every_layer() -> None:
    tape = Tape(Arithmetic(itemsize=4, autocast=True, trains=True, base_trains=True))
    x = Value(Storage("x", "h", 8, 4), 8, needs_grad=True)
    y = add(tape, linear(tape, x, "q", "h", 8), linear(tape, x, "k", "h", 8), "sum")
    assert _kept(tape.finish(y)) == ["k in bf16", "q in bf16", "x in bf16", "x in bf16"]


def test_a_product_of_elements_keeps_both_sides() -> None:
    tape = Tape(TRAINING)
    x, y = _input(needs_grad=True), _input(needs_grad=True)
    assert len(tape.finish(multiply(tape, x, y, "product")).kept) == 2


def test_a_view_keeps_the_whole_it_is_a_part_of() -> None:
    tape = Tape(TRAINING)
    whole = _input(24, needs_grad=True)
    _, part = tape.view(whole, 16, 8)
    trace = tape.finish(unary(tape, part, "act", saves_input=True))
    assert sum(storage.each for storage in trace.kept) == 24 * 2


def test_a_weights_gradient_stays_after_its_backward() -> None:
    tape = Tape(TRAINING)
    trace = tape.finish(linear(tape, linear(tape, _input(needs_grad=True), "a", "h", 8), "b", "h", 8))
    last = trace.backward[-1]
    assert sum(s.each for s in last.storages if s.label == "weight gradients") == 2 * 8 * 8 * 2


def test_a_sum_hands_its_gradient_on_without_a_copy() -> None:
    tape = Tape(TRAINING)
    x, y = _input(needs_grad=True), _input(needs_grad=True)
    assert _most(tape.finish(add(tape, x, y, "sum")).backward) == 8 * 2


def test_gradients_of_one_tensor_are_added_where_the_first_is_nobody_elses() -> None:
    tape = Tape(TRAINING)
    x = _input(needs_grad=True)
    trace = tape.finish(add(tape, x, unary(tape, x, "f"), "residual"))
    # The residual's gradient and the one made from it; a third only while the first is shared.
    assert _most(trace.backward) == 2 * 8 * 2


def test_a_cast_to_the_same_dtype_is_nothing() -> None:
    tape = Tape(INFERENCE)
    x = _input()
    assert cast(tape, x, 2) is x


@pytest.mark.parametrize(("arithmetic", "operator"), [(TRAINING, "b"), (INFERENCE, "b")])
def test_moments_name_their_operator(arithmetic: Arithmetic, operator: str) -> None:
    tape = Tape(arithmetic)
    x = _input()
    y = unary(tape, unary(tape, x, "a"), "b")
    with tape.holding(x):
        pass
    assert tape.finish(y).largest_forward(TOKENS).operator == operator
