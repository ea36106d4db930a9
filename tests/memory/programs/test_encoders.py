"""What encoders refer to while they run, which traces of whole models show only where it decides a peak."""

from dataclasses import replace

import pytest
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census

from tests.truth.training import model

FULL = Workload(train="full", precision="bf16", batch=1, context=64)


def _headless(name: str) -> tuple[Architecture, Census]:
    architecture, census = model(name, "BF16")
    return replace(architecture, class_name="BertForSequenceClassification"), census


def _gradients(plan: Plan, moment: str) -> int:
    (found,) = (each for each in plan.moments if each.name.startswith(moment) and each.phase == "backward")
    return sum(term.nbytes for term in found.terms if term.name == "gradients")


def test_a_tied_embedding_has_its_gradient_from_the_first_where_there_is_a_head_for_words() -> None:
    table = 30522 * 768 * 2
    with_words = _gradients(plan_training(*model("bert-base", "BF16"), FULL), "decoder layer")
    without = _gradients(plan_training(*_headless("bert-base"), FULL), "decoder layer")
    assert with_words - without == pytest.approx(table, rel=0.06)


@pytest.mark.parametrize("tokens", [1024, 4096])
def test_two_way_windows_are_masked_by_two_64_bit_numbers_for_each_pair(tokens: int) -> None:
    architecture, census = model("modernbert-embed-base", "BF16")
    plan = plan_inference(architecture, census, Workload(context=tokens))
    (moment,) = (each for each in plan.moments if each.name == "magnitudes of distances")
    activations = sum(term.nbytes for term in moment.terms if term.name == "activations")
    assert 16 * tokens**2 < activations < 16 * tokens**2 + 3 * tokens * 768 * 2


def test_no_distances_are_needed_where_a_window_reaches_all_tokens() -> None:
    architecture, census = model("modernbert-embed-base", "BF16")
    plan = plan_inference(architecture, census, Workload(context=32))
    assert "magnitudes of distances" not in {moment.name for moment in plan.moments}


def test_deberta_refers_to_the_output_of_every_layer() -> None:
    architecture, census = model("deberta-v3-base", "BF16")
    headless = replace(architecture, class_name="DebertaV2Model")
    halved = replace(headless, layers=headless.layers[:6])
    workload = Workload(context=512)
    whole, half = (plan_inference(each, census, workload).peaks["prefill"] for each in (headless, halved))
    assert whole - half == 6 * 512 * 768 * 2
