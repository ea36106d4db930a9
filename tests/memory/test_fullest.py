"""The plan is about the fullest rank, and says which it is and why."""

import pytest
from hubmem.memory.inference import plan_inference
from hubmem.memory.sharding import ranks
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.models import llama

LLAMA, TENSORS = llama(layers=10, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=32000)


def test_one_device_has_no_rank() -> None:
    assert plan_inference(LLAMA, TENSORS, Workload()).rank == ""


def test_tensor_parallel_ranks_are_alike() -> None:
    plan = plan_inference(LLAMA, TENSORS, Workload(tp=4))
    assert (plan.rank, plan.why) == ("any of 4 alike", "")


def test_a_stage_is_named_with_its_layers_and_what_it_has_more_of() -> None:
    plan = plan_inference(LLAMA, TENSORS, Workload(pp=3))
    assert plan.rank == "stage 1 of 3, layers 0–3 and the embedding"
    assert plan.why.startswith("weights ")
    assert plan.why.endswith("on stage 2 of 3, layers 4–6")


def test_the_first_stage_of_training_keeps_most_activations() -> None:
    small_head = llama(layers=10, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=1000)
    plan = plan_training(*small_head, Workload(train="full", pp=5, accumulation=8, context=2048))
    assert plan.rank.startswith("stage 1 of 5")
    assert "activations in flight" in plan.why


@settings(deadline=None)
@given(
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.integers(1, 10),
    engine=st.sampled_from(["transformers", "vllm"]),
)
def test_all_ranks_together_hold_no_less_than_the_model(tp: int, pp: int, engine: str) -> None:
    workload = Workload(engine=engine, tp=tp, pp=pp)
    held = sum(
        tp * rank.nbytes(lambda group: group.loaded_nbytes) for rank in ranks(LLAMA, TENSORS, workload)
    )
    assert held >= TENSORS.loaded_bytes
    assert plan_inference(LLAMA, TENSORS, workload).devices == tp * pp


@pytest.mark.parametrize("train", [None, "full", "lora", "qlora"])
@pytest.mark.parametrize("pp", [1, 2, 5])
def test_more_tensor_parallel_ranks_never_hold_more_each(pp: int, train: str | None) -> None:
    plan = plan_training if train else plan_inference
    sizes = [
        plan(LLAMA, TENSORS, Workload(tp=tp, pp=pp, train=train, context=512)).per_gpu_bytes  # type: ignore[arg-type]
        for tp in (1, 2, 4, 8)
    ]
    assert sizes == sorted(sizes, reverse=True)
