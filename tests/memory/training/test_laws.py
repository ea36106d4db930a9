"""What holds of every workload, whatever the model."""

from dataclasses import replace
from typing import Any

from hubmem.memory.plan import Moment, Plan
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.memory.models import llama

MODEL = llama(layers=3, hidden=256, heads=8, kv_heads=2, head_dim=32, mlp=640, vocabulary=1000)
WORKLOADS = st.builds(
    Workload,
    train=st.sampled_from(["full", "lora", "qlora"]),
    batch=st.integers(1, 9),
    context=st.integers(1, 4096),
    precision=st.sampled_from(["fp32", "bf16", "amp"]),
    attention=st.sampled_from(["sdpa", "eager"]),
    checkpointing=st.sampled_from(["none", "full", "selective"]),
    optimizer=st.sampled_from(["adamw", "adamw-foreach", "sgd", "adafactor", "lion"]),
    padded=st.booleans(),
    accumulation=st.integers(1, 3),
    rank=st.sampled_from([1, 8, 64]),
    lora_targets=st.sampled_from(["attention", "all-linear"]),
    lora_dropout=st.sampled_from([0.0, 0.05]),
    dora=st.booleans(),
)


def _plan(workload: Workload, **changes: Any) -> Plan:
    return plan_training(*MODEL, replace(workload, **changes))


def _kept(plan: Plan) -> int:
    return max(map(_kept_at, plan.moments))


def _kept_at(moment: Moment) -> int:
    return sum(term.nbytes for term in moment.terms if term.name == "activations kept")


@settings(deadline=None, max_examples=25)
@given(WORKLOADS)
def test_checkpointing_never_keeps_more(workload: Workload) -> None:
    """But for a handful of tokens: adapters' checkpoints make the first layer's input want a gradient."""
    assume(workload.batch * workload.context >= 128)
    none, selective, full = (
        _kept(_plan(workload, checkpointing=which)) for which in ("none", "selective", "full")
    )
    assert full <= none
    assert selective <= none


@settings(deadline=None, max_examples=25)
@given(WORKLOADS, st.integers(1, 512))
def test_more_tokens_never_take_less(workload: Workload, more: int) -> None:
    longer = _plan(workload, context=workload.context + more).allocated_bytes
    assert longer >= _plan(workload).allocated_bytes


@settings(deadline=None, max_examples=25)
@given(WORKLOADS)
def test_more_sequences_never_take_less(workload: Workload) -> None:
    assert _plan(workload, batch=workload.batch + 1).allocated_bytes >= _plan(workload).allocated_bytes


@settings(deadline=None, max_examples=25)
@given(WORKLOADS, st.integers(1, 8))
def test_a_higher_rank_never_takes_less(workload: Workload, times: int) -> None:
    assert _plan(workload, rank=workload.rank * times).allocated_bytes >= _plan(workload).allocated_bytes


@settings(deadline=None, max_examples=25)
@given(WORKLOADS)
def test_lora_holds_no_more_beside_activations_than_full_fine_tuning(workload: Workload) -> None:
    """A small rank's adapters, their gradients and states against those of all weights."""
    full, lora = (_plan(workload, train=which, rank=8).peaks["step"] for which in ("full", "lora"))
    assert lora <= full


@settings(deadline=None, max_examples=25)
@given(WORKLOADS)
def test_every_moment_is_the_sum_of_its_terms_and_the_peak_is_one_of_them(workload: Workload) -> None:
    plan = _plan(workload)
    assert all(term.nbytes >= 0 for moment in plan.moments for term in moment.terms)
    assert plan.allocated_bytes == max(moment.nbytes for moment in plan.moments)
