"""Head and loss in one kernel: no whole logits, gradients made on the way."""

from typing import Any

import pytest
from hubmem import inspect
from hubmem.errors import UsageError
from hubmem.memory.plan import Plan
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hubmem.request import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.models import llama, published

LARGE_VOCABULARY = llama(layers=2, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=128_256)
TOKENS = 4096


USUAL: dict[str, Any] = {"train": "full", "context": TOKENS}


def step(**changes: Any) -> Plan:
    return plan_training(*LARGE_VOCABULARY, Workload(**(USUAL | changes)))


def test_logits_and_their_gradient_are_never_whole() -> None:
    plain, fused = step(), step(loss="fused")
    # In bf16: logits, what log softmax keeps of them, and gradients of both.
    logits = TOKENS * 128_256 * 2
    assert plain.allocated_bytes - fused.allocated_bytes > 2 * logits


def test_the_gradient_of_the_head_is_there_before_the_backward_pass_begins() -> None:
    fused = step(loss="fused", context=16)
    forward = next(moment for moment in fused.moments if moment.name == "loss: head and loss by chunks")
    activations = next(term for term in forward.terms if term.name == "activations")
    assert activations.nbytes > 128_256 * 512 * 2


def test_a_head_that_is_not_trained_has_none() -> None:
    full, lora = step(loss="fused", context=16), step(loss="fused", context=16, train="lora")
    assert full.peaks["forward"] - lora.peaks["forward"] > 128_256 * 512 * 2


@settings(deadline=None, max_examples=30)
@given(context=st.integers(1, 5000), batch=st.integers(1, 4))
def test_it_never_takes_more_than_whole_logits_by_more_than_the_head_s_gradient(
    context: int, batch: int
) -> None:
    plain, fused = (step(context=context, batch=batch, loss=loss) for loss in ("plain", "fused"))
    assert fused.allocated_bytes <= plain.allocated_bytes + 128_256 * 512 * 2 + 2**20


@pytest.mark.parametrize("repo", ["google-bert/bert-base-uncased", "google-t5/t5-base"])
def test_models_that_do_not_predict_the_next_token_are_refused(repo: str) -> None:
    with pytest.raises(UsageError, match="--loss fused: Liger's kernel"):
        plan_training(*published(repo), Workload(train="full", loss="fused", context=128))


def test_it_is_about_training_alone() -> None:
    with pytest.raises(UsageError, match="--loss fused is about a step of training"):
        Request.of(loss="fused")
    report = inspect("openai-community/gpt2", offline=True, train="full", loss="fused", context=128)
    assert report.to_dict()["workload"]["loss"] == "fused"
