"""What each optimizer keeps of a tensor."""

import pytest
from hubmem.errors import UsageError
from hubmem.memory.training import optimizers
from hubmem.memory.training.optimizers import Optimizer
from hubmem.weights.roles import Role

MATRIX = (4096, 4096)


@pytest.mark.parametrize("row", optimizers.BY_NAME.values(), ids=lambda row: row.name)
def test_every_optimizer_names_its_source_and_is_found_by_each_spelling(row: Optimizer) -> None:
    assert row.source
    assert all(optimizers.parse(word.upper()) is row for word in (row.name, *row.spellings))


@pytest.mark.parametrize(
    ("name", "bytes_a_parameter"),
    [
        ("adamw", 8.0),
        ("adamw-foreach", 8.0),
        ("adamw-8bit", 2 + 2 * 4 / 256),
        ("adafactor", 2 * 4 / 4096),
        ("sgd", 0.0),
        ("sgd-momentum", 4.0),
        ("lion", 4.0),
        ("lion-8bit", 1 + 4 / 256),
        ("muon", 4.0),
        ("lomo", 0.0),
        # Two moments of 128 rows, and all the singular vectors that the projection is a view of.
        ("galore", 4 * (2 * 128 + 4096) / 4096),
    ],
)
def test_states_of_a_float32_matrix(name: str, bytes_a_parameter: float) -> None:
    assert optimizers.parse(name).states(MATRIX, 4) == bytes_a_parameter * 4096**2


def test_states_have_the_dtype_of_their_parameter() -> None:
    assert optimizers.parse("adamw").states(MATRIX, 2) == 4 * 4096**2


def test_small_tensors_have_no_8_bit_states() -> None:
    assert optimizers.parse("adamw-8bit").states((1024,), 4) == 2 * 4 * 1024


@pytest.mark.parametrize(("elements", "nbytes"), [(4095, 2 * 4 * 4095), (4096, 2 * (4096 + 4 * 16))])
def test_the_smallest_tensor_with_8_bit_states_has_4096_elements(elements: int, nbytes: int) -> None:
    assert optimizers.parse("adamw-8bit").states((elements,), 4) == nbytes


@pytest.mark.parametrize(
    ("name", "shape", "elements"),
    [
        # A vector has no rows and columns to factor, and of stacked matrices each has its own.
        ("adafactor", (100,), 100),
        ("adafactor", (3, 5, 7), 3 * (5 + 7)),
        ("muon", (100,), 2 * 100),
        ("muon", (4, 5), 4 * 5),
        ("muon", (3, 5, 7), 2 * 3 * 5 * 7),
        # A projection to 128 dimensions needs a matrix with more of both.
        ("galore", (1000,), 2 * 1000),
        ("galore", (3, 500, 700), 2 * 3 * 500 * 700),
        ("galore", (128, 1000), 2 * 128 * 1000),
        ("galore", (129, 1000), 2 * 128 * 1000 + 129 * 129),
    ],
)
def test_what_is_no_large_matrix_has_states_of_its_own_kind(
    name: str, shape: tuple[int, ...], elements: int
) -> None:
    assert optimizers.parse(name).states(shape, 4) == 4 * elements


def test_a_projection_in_half_precision_is_a_copy() -> None:
    assert optimizers.parse("galore").states((500, 1000), 2) == 2 * 128 * (2 * 1000 + 500)


@pytest.mark.parametrize("name", ["paged-adamw", "lion-32bit"])
def test_bitsandbytes_keeps_float32_states_of_half_precision_parameters(name: str) -> None:
    row = optimizers.parse(name)
    assert row.states(MATRIX, 2) == row.states(MATRIX, 4) > 0


def test_paged_8_bit_states_are_those_that_are_not_paged() -> None:
    paged, plain = optimizers.parse("paged-adamw-8bit"), optimizers.parse("adamw-8bit")
    for role in (Role.EMBEDDING, Role.ATTENTION):
        assert paged.of(role).states(MATRIX, 2) == plain.of(role).states(MATRIX, 2)


@pytest.mark.parametrize(
    ("name", "role", "bytes_a_parameter"),
    [
        ("adamw-8bit", Role.EMBEDDING, 8.0),
        ("adamw-8bit", Role.HEAD, 2 + 2 * 4 / 256),
        ("lion-8bit", Role.EMBEDDING, 4.0),
        ("muon", Role.EMBEDDING, 4.0),
        ("muon", Role.HEAD, 4.0),
        ("muon", Role.MLP, 2.0),
        ("galore", Role.EMBEDDING, 4.0),
        ("adamw", Role.EMBEDDING, 4.0),
    ],
)
def test_states_of_embeddings_and_heads_in_bf16(name: str, role: Role, bytes_a_parameter: float) -> None:
    assert optimizers.parse(name).of(role).states(MATRIX, 2) == bytes_a_parameter * 4096**2


def test_bitsandbytes_optimizers_need_a_gpu_and_paged_ones_may_leave_it() -> None:
    rows = optimizers.BY_NAME.values()
    assert {row.name for row in rows if row.pageable} == {"paged-adamw", "paged-adamw-8bit"}
    in_bits = {"paged-adamw", "paged-adamw-8bit", "adamw-8bit", "lion-32bit", "lion-8bit"}
    assert {row.name for row in rows if row.device_only} == in_bits


def test_only_lomo_uses_a_gradient_as_it_is_made() -> None:
    assert {row.name for row in optimizers.BY_NAME.values() if row.fused_backward} == {"lomo"}


def test_only_foreach_copies_all_parameters_in_a_step() -> None:
    copies = {row.name: row.step_copies for row in optimizers.BY_NAME.values() if row.step_copies}
    assert copies == {"adamw-foreach": 1}


@pytest.mark.parametrize(
    ("name", "shape", "itemsize", "nbytes"),
    [
        ("adamw", (3, 5), 2, 0),
        # Gradient and parameter in float32, the square, and what is added.
        ("adafactor", (3, 5), 2, 4 * 4 * 15),
        ("adafactor", (3, 5), 4, 2 * 4 * 15),
        ("lion", (3, 5), 2, 2 * 2 * 15),
        # An update, two iterates in bf16, and two products of 3 × 3.
        ("muon", (3, 5), 4, 4 * 15 + 2 * 2 * 15 + 2 * 2 * 9),
        ("muon", (15,), 4, 0),
        ("lomo", (3, 5), 2, 2 * 4 * 15),
        ("lomo", (3, 5), 4, 0),
        # A copy, vectors of both sides, and what is scaled of one of them.
        ("galore", (200, 300), 2, 4 * (2 * 60_000 + 200 * 200 + 128 * 300)),
        ("galore", (200, 300), 4, 4 * (60_000 + 200 * 200 + 128 * 300)),
        ("galore", (300,), 2, 2 * 2 * 300),
    ],
)
def test_what_a_step_makes_for_one_tensor(
    name: str, shape: tuple[int, ...], itemsize: int, nbytes: int
) -> None:
    assert optimizers.parse(name).scratch(shape, itemsize) == nbytes


def test_the_formula_says_the_bytes_of_a_parameter_of_a_large_matrix() -> None:
    assert optimizers.parse("adamw").formula(4) == "8 B a parameter of a 4,096 × 4,096 matrix"
    assert optimizers.parse("adafactor").formula(2).startswith("0.00195 B")


def test_an_unknown_optimizer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'adamax'") as refused:
        optimizers.parse("adamax")
    assert "adafactor" in refused.value.hint
