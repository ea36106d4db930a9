"""What a step of training holds, part by part."""

from dataclasses import replace

import pytest
from hubmem.errors import UsageError
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hubmem.weights.census import Census

from tests.memory.models import llama

LLAMA, TENSORS = llama(layers=4, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=1000)
FULL = Workload(train="full", batch=2, context=128)
PARAMETERS = TENSORS.parameters


def _term(workload: Workload, name: str, tensors: Census = TENSORS) -> int:
    plan = plan_training(LLAMA, tensors, workload)
    return next((term.nbytes for moment in plan.moments for term in moment.terms if term.name == name), 0)


def test_a_step_has_a_forward_a_backward_and_a_step() -> None:
    assert plan_training(LLAMA, TENSORS, FULL).peaks.keys() == {"forward", "backward", "step"}


def test_the_terms_sum_to_what_the_device_holds() -> None:
    plan = plan_training(LLAMA, TENSORS, FULL)
    assert sum(term.nbytes for term in plan.terms) == plan.per_gpu_bytes


@pytest.mark.parametrize(("precision", "weight", "states"), [("fp32", 4, 8), ("bf16", 2, 4), ("amp", 4, 8)])
def test_weights_and_adams_states_in_each_precision(precision: str, weight: int, states: int) -> None:
    workload = replace(FULL, precision=precision)  # type: ignore[arg-type]
    assert _term(workload, "weights") == weight * PARAMETERS
    assert _term(workload, "optimizer states") == states * PARAMETERS


def test_the_optimizers_step_sees_all_gradients() -> None:
    plan = plan_training(LLAMA, TENSORS, FULL)
    step = next(moment for moment in plan.moments if moment.phase == "step")
    assert step.nbytes == (2 + 4 + 2) * PARAMETERS


def test_lomo_never_holds_all_gradients() -> None:
    """Its own peak is the largest matrix's gradient and weight in float32."""
    peaks = plan_training(LLAMA, TENSORS, replace(FULL, context=1, optimizer="lomo")).peaks
    assert peaks["step"] == 2 * PARAMETERS + 2 * 4 * 512 * 1024
    assert peaks["backward"] == pytest.approx(peaks["step"], rel=0.01)


def test_with_lomo_a_tied_embeddings_first_gradient_waits_for_its_second() -> None:
    tied, tensors = llama(
        layers=4, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=20000, tied=True
    )
    workload = replace(FULL, context=1, precision="fp32", optimizer="lomo")
    embedding = 4 * 20000 * 512
    beside = plan_training(tied, tensors, workload).peaks["backward"] - 4 * tensors.parameters
    assert beside == pytest.approx(3 * embedding, rel=0.01)


def test_full_checkpointing_keeps_the_input_of_each_layer_and_no_more_until_the_loss() -> None:
    plan = plan_training(LLAMA, TENSORS, replace(FULL, checkpointing="full"))
    loss = next(moment for moment in plan.moments if moment.name.startswith("loss"))
    kept = sum(term.nbytes for term in loss.terms if term.name == "activations kept")
    assert kept == 4 * (2 * 128 * 512) * 2


def test_gradients_of_an_earlier_micro_batch_are_there_from_the_start() -> None:
    plan = plan_training(LLAMA, TENSORS, replace(FULL, accumulation=2))
    forward = next(moment for moment in plan.moments if moment.phase == "forward")
    assert any(term.name == "gradients" and term.nbytes == 2 * PARAMETERS for term in forward.terms)


def test_lora_trains_its_adapters_alone() -> None:
    lora = replace(FULL, train="lora", rank=8, lora_targets="all-linear")
    adapters = 4 * 8 * (2 * (512 + 512) + 2 * (512 + 256) + 3 * (512 + 1024))
    assert _term(lora, "adapters") == 4 * adapters
    assert _term(lora, "optimizer states") == 8 * adapters
    assert _term(lora, "weights") == 2 * PARAMETERS


def test_qlora_holds_4_bit_matrices_and_float32_for_the_rest() -> None:
    matrices = 4 * (2 * 512 * 512 + 2 * 512 * 256 + 3 * 512 * 1024)
    rest = PARAMETERS - matrices
    weights = _term(replace(FULL, train="qlora"), "weights")
    assert weights == pytest.approx(matrices * (0.5 + 1 / 64) + 4 * rest, rel=0.02)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(UsageError, match="adamax"):
        plan_training(LLAMA, TENSORS, replace(FULL, optimizer="adamax"))


def test_unknown_layers_get_their_static_part_and_a_note() -> None:
    plan = plan_training(None, TENSORS, FULL)
    assert plan.allocated_bytes == (2 + 4 + 2) * PARAMETERS
    assert any("not known" in note for note in plan.notes)


def test_lora_over_4_bit_weights_is_called_by_its_name() -> None:
    with pytest.raises(UsageError, match="QLoRA"):
        plan_training(LLAMA, TENSORS, replace(FULL, train="lora", weight_dtype="nf4"))
