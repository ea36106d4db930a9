"""What holds of running a model with any engine."""

from dataclasses import replace

import pytest
from hubmem.errors import UsageError
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Basis
from hubmem.memory.workload import Workload

from tests.memory.models import llama

LLAMA, TENSORS = llama()


def test_weights_are_what_the_files_hold() -> None:
    weights = plan_inference(LLAMA, TENSORS, Workload()).of("weights")
    assert weights is not None
    assert (weights.nbytes, weights.basis) == (TENSORS.stored_bytes, Basis.MEASURED)


def test_the_terms_sum_to_what_the_device_holds() -> None:
    plan = plan_inference(LLAMA, TENSORS, Workload())
    assert sum(term.nbytes for term in plan.terms) == plan.per_gpu_bytes


def test_prefill_and_decode_are_told_apart() -> None:
    assert plan_inference(LLAMA, TENSORS, Workload()).peaks.keys() == {"prefill", "decode"}


def test_unknown_layers_get_their_weights_and_a_note() -> None:
    plan = plan_inference(None, TENSORS, Workload())
    assert plan.allocated_bytes == TENSORS.stored_bytes
    assert any("not known" in note for note in plan.notes)


def test_two_ranks_hold_less_each_and_more_together() -> None:
    one, two = (plan_inference(LLAMA, TENSORS, Workload(tp=tp)) for tp in (1, 2))
    assert two.devices == 2
    assert one.per_gpu_bytes / 2 < two.per_gpu_bytes < one.per_gpu_bytes


def test_a_split_the_model_cannot_have_is_refused() -> None:
    with pytest.raises(UsageError, match="64 attention heads cannot be split over 3 ranks"):
        plan_inference(LLAMA, TENSORS, Workload(tp=3))


def test_a_mixture_of_types_weighs_each_tensor_by_its_place_in_the_model() -> None:
    weights = plan_inference(LLAMA, TENSORS, Workload(weight_dtype="gguf:Q4_K_M")).of("weights")
    assert weights is not None
    assert 8 * weights.nbytes / TENSORS.parameters == pytest.approx(4.82, abs=0.03)


def test_an_engine_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError) as refused:
        plan_inference(LLAMA, TENSORS, Workload(engine="tgi"))
    assert "vllm" in refused.value.hint
    assert "llama.cpp" in refused.value.hint


@pytest.mark.parametrize(
    ("class_name", "logits"),
    [("BertModel", False), ("BertForSequenceClassification", False), ("BertForMaskedLM", True), (None, True)],
)
def test_an_encoder_makes_logits_of_words_only_with_a_head_for_them(
    class_name: str | None, logits: bool
) -> None:
    encoder = replace(LLAMA, generates=False, class_name=class_name)
    plan = plan_inference(encoder, TENSORS, Workload(context=512))
    names = {moment.name for moment in plan.moments}
    assert bool(names & {"head", "logits"}) == logits
