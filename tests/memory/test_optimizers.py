import pytest
from hubmem.errors import UsageError
from hubmem.memory import optimizers
from hubmem.memory.optimizers import Optimizer

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
        ("muon", 4.0),
        ("lomo", 0.0),
        ("galore", 4 * 3 * 128 / 4096),
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
        ("galore", (129, 1000), 128 * (2 * 1000 + 129)),
    ],
)
def test_what_is_no_large_matrix_has_states_of_its_own_kind(
    name: str, shape: tuple[int, ...], elements: int
) -> None:
    assert optimizers.parse(name).states(shape, 4) == 4 * elements


def test_paged_states_are_those_of_the_optimizer_that_is_not() -> None:
    for paged, plain in (("paged-adamw", "adamw"), ("paged-adamw-8bit", "adamw-8bit")):
        assert optimizers.parse(paged).states(MATRIX, 2) == optimizers.parse(plain).states(MATRIX, 2)


def test_bitsandbytes_optimizers_need_a_gpu_and_paged_ones_may_leave_it() -> None:
    rows = optimizers.BY_NAME.values()
    assert {row.name for row in rows if row.pageable} == {"paged-adamw", "paged-adamw-8bit"}
    assert {row.name for row in rows if row.device_only} == {"paged-adamw", "paged-adamw-8bit", "adamw-8bit"}


def test_only_lomo_uses_a_gradient_as_it_is_made() -> None:
    assert {row.name for row in optimizers.BY_NAME.values() if row.fused_backward} == {"lomo"}


def test_only_foreach_copies_all_parameters_in_a_step() -> None:
    copies = {row.name: row.step_copies for row in optimizers.BY_NAME.values() if row.step_copies}
    assert copies == {"adamw-foreach": 1}


@pytest.mark.parametrize(("name", "scratch"), [("adafactor", {2: 16, 4: 8}), ("adamw", {2: 0, 4: 0})])
def test_adafactor_computes_in_float32_whatever_the_parameter_s_dtype(
    name: str, scratch: dict[int, int]
) -> None:
    row = optimizers.parse(name)
    assert {itemsize: row.scratch(itemsize) for itemsize in scratch} == scratch


def test_the_formula_says_the_bytes_of_a_parameter_of_a_large_matrix() -> None:
    assert optimizers.parse("adamw").formula(4) == "8 B a parameter of a 4,096 × 4,096 matrix"
    assert optimizers.parse("adafactor").formula(2).startswith("0.00195 B")


def test_an_unknown_optimizer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'adamax'") as refused:
        optimizers.parse("adamax")
    assert "adafactor" in refused.value.hint
