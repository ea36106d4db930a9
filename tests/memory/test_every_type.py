"""Every model type of transformers can be planned, or is refused in words."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hubmem.errors import UsageError
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan, Term
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload

from tests.models.architectures import architecture_of
from tests.models.test_structural import READ
from tests.weights.censuses import census_of_rows

FULL = Workload(train="full", precision="amp", attention="eager", batch=2, padded=True, context=64)
# Refused where no layer is linear.
LORA = Workload(train="lora", lora_targets="all-linear", dora=True, lora_dropout=0.1, context=64)


@pytest.mark.parametrize("row", READ)
def test_a_prompt_and_a_step_have_a_peak_above_their_weights_and_formulas_that_are_explained(
    row: dict[str, Any],
) -> None:
    for plan in _plans(row):
        assert _beside_weights(plan) > 0
        assert not [term.formula for term in _terms(plan) if "?" in term.symbols], (
            "a symbol without a meaning"
        )


def _plans(row: dict[str, Any]) -> Iterator[Plan]:
    architecture, census = architecture_of(row["config"]), census_of_rows(row["header"])
    yield plan_inference(architecture, census, Workload(context=64))
    yield plan_training(architecture, census, FULL)
    with suppress(UsageError):
        yield plan_training(architecture, census, LORA)


def _terms(plan: Plan) -> Iterator[Term]:
    return (term for moment in plan.moments for term in moment.terms)


def _beside_weights(plan: Plan) -> int:
    return plan.allocated_bytes - sum(term.nbytes for term in plan.terms if term.name == "weights")
