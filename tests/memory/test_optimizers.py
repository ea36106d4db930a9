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


def test_an_unknown_optimizer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'adamax'") as refused:
        optimizers.parse("adamax")
    assert "adafactor" in refused.value.hint
