"""One function plans any workload, and remembers."""

import pickle

import pytest
from hubmem.memory.inference import plan_inference
from hubmem.memory.planning import plan_workload, planner
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload

from tests.memory.models import LLAMA, TENSORS

RUNNING, TRAINING = Workload(context=512), Workload(context=512, train="lora")


def test_running_and_training_are_planned_each_in_its_way() -> None:
    assert plan_workload(LLAMA, TENSORS, RUNNING) == plan_inference(LLAMA, TENSORS, RUNNING)
    assert plan_workload(LLAMA, TENSORS, TRAINING) == plan_training(LLAMA, TENSORS, TRAINING)


def test_a_workload_is_planned_once() -> None:
    plan = planner(LLAMA, TENSORS)

    assert plan(RUNNING) is plan(Workload(context=512))
    assert plan(TRAINING) == plan_workload(LLAMA, TENSORS, TRAINING)


@pytest.mark.parametrize("workload", [RUNNING, TRAINING], ids=["running", "training"])
def test_a_planner_sent_to_another_process_plans_the_same(workload: Workload) -> None:
    plan = planner(LLAMA, TENSORS)

    assert pickle.loads(pickle.dumps(plan))(workload) == plan(workload)
