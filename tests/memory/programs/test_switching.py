"""What a config changes of its family's row."""

import pytest
from hubmem.memory.programs.computation import Activation, Computation, Residual
from hubmem.memory.programs.switching import switched
from hubmem.models.switches import Switches

PLAIN = Computation()


def test_a_silent_config_changes_nothing() -> None:
    row = Computation(activation=Activation.GELU_NEW, dropout=True, softcap=True, fused_kernels=False)
    assert switched(row, Switches()) == row


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("gelu_new", Activation.GELU_NEW),
        ("gelu_pytorch_tanh", Activation.FUSED),
        ("silu", Activation.FUSED),
        ("relu", Activation.RELU),
        ("relu2", Activation.RELU_SQUARED),
        ("quick_gelu", Activation.QUICK_GELU),
        ("gelu_fast", Activation.GELU_FAST),
        ("xielu", Activation.XIELU),
    ],
)
def test_a_named_function_takes_the_place_of_the_rows(name: str, activation: Activation) -> None:
    assert switched(PLAIN, Switches(activation=name)).activation is activation


@pytest.mark.parametrize("own", [Activation.BLOOM_GELU, Activation.CLAMPED_GLU])
def test_code_with_a_function_of_its_own_does_not_look_one_up(own: Activation) -> None:
    assert switched(Computation(activation=own), Switches(activation="silu")).activation is own


def test_dropout_falls_where_the_family_has_it() -> None:
    bert = Computation(dropout=True, embedding_dropout=True, attention_dropout=True)
    off = switched(bert, Switches(dropout=False, attention_dropout=False))
    assert off == Computation()
    distilbert = switched(Computation(mlp_dropout=False), Switches(dropout=True))
    assert (distilbert.dropout, distilbert.embedding_dropout) == (True, False)


def test_a_family_that_drops_after_its_mlp_alone_keeps_to_that() -> None:
    row = switched(Computation(mlp_dropout=True), Switches(dropout=True))
    assert (row.mlp_dropout, row.dropout) == (True, False)


@pytest.mark.parametrize(
    ("row", "parallel", "residual"),
    [
        (Residual.PARALLEL_TWO, False, Residual.PRE),
        (Residual.PARALLEL_TWO, True, Residual.PARALLEL_TWO),
        (Residual.PRE, True, Residual.PARALLEL),
        (Residual.SANDWICH, False, Residual.SANDWICH),
    ],
)
def test_parts_run_side_by_side_where_the_config_says_so(
    row: Residual, parallel: bool, residual: Residual
) -> None:
    assert switched(Computation(residual=row), Switches(parallel=parallel)).residual is residual


def test_capped_scores_run_in_no_kernel() -> None:
    assert not switched(PLAIN, Switches(caps_scores=True)).fused_kernels
    assert switched(Computation(softcap=True), Switches(caps_scores=False)).softcap is False
