"""Megatron's formulas, and what traced layers say beside them."""

from dataclasses import replace

import pytest
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload

from tests.memory.models import LLAMA, TENSORS
from tests.memory.training.megatron import Gpt, activations, activations_of_a_layer, weights_and_optimizer

# Korthikanti et al., arXiv 2205.05198, tables 3 and 4.
GPT_3 = Gpt(L=96, h=12288, a=96, f=4 * 12288, v=51200, groups=96, kv_channels=128)
MT_NLG = {"s": 2048, "b": 1, "h": 20480, "a": 128}
GPT_3_LAYER = {"s": 2048, "b": 1, "h": 12288, "a": 96}
SBH = 2048 * 12288
TRAINING = Workload(train="full", batch=2, context=512)


@pytest.mark.parametrize(
    ("facts", "coefficient"),
    [
        ({}, 34 + 80),
        ({"t": 8}, 10 + 24 / 8 + 80 / 8),
        ({"t": 8, "sequence_parallel": True}, 34 / 8 + 80 / 8),
        ({"t": 8, "recompute": "selective"}, 10 + 24 / 8),
        ({"t": 8, "sequence_parallel": True, "recompute": "selective"}, 34 / 8),
        ({"recompute": "full"}, 2),
    ],
)
def test_table_2_for_gpt_3(facts: dict[str, object], coefficient: float) -> None:
    assert activations_of_a_layer(**GPT_3_LAYER, **facts) == pytest.approx(coefficient * SBH)  # type: ignore[arg-type]


@pytest.mark.parametrize(("layer", "saved"), [(GPT_3_LAYER, 0.70), (MT_NLG, 0.65)])
def test_selective_recomputation_saves_what_the_paper_says(layer: dict[str, int], saved: float) -> None:
    whole, left = (activations_of_a_layer(**layer, recompute=how) for how in ("none", "selective"))  # type: ignore[arg-type]
    assert 1 - left / whole == pytest.approx(saved, abs=0.005)


def test_gpt_3_has_its_175_billion_parameters() -> None:
    assert GPT_3.parameters == pytest.approx(174.6e9, rel=0.001)


def test_the_fullest_rank_has_its_share_of_layers_and_an_embedding() -> None:
    whole = weights_and_optimizer(GPT_3, t=1, p=1, dp=1, distributed_optimizer=False)
    assert whole == 18 * GPT_3.parameters
    shard = weights_and_optimizer(GPT_3, t=8, p=16, dp=6, distributed_optimizer=True)
    assert shard == pytest.approx((GPT_3.layer_parameters / 16 + 12288 * 51200) / 8 * (6 + 2))


def test_stages_with_fewer_micro_batches_than_ranks_keep_less() -> None:
    some, all_of_them = (activations(GPT_3, s=2048, b=1, t=8, p=8, micro_batches=m) for m in (4, 8))
    assert some == all_of_them / 2


def test_tensor_parallel_ranks_share_all_but_the_residual_stream() -> None:
    one, two, sequence = (
        plan_training(LLAMA, TENSORS, replace(TRAINING, tp=tp, sequence_parallel=together)).allocated_bytes
        for tp, together in ((1, False), (4, False), (4, True))
    )
    assert one / 4 < two < one
    assert sequence < two


def test_context_parallel_ranks_share_the_tokens() -> None:
    one, two = (
        plan_training(LLAMA, TENSORS, replace(TRAINING, cp=cp)).of("activations kept") for cp in (1, 2)
    )
    assert one is not None
    assert two is not None
    assert two.nbytes == pytest.approx(one.nbytes / 2, rel=0.01)


def test_early_stages_keep_what_later_ones_still_need() -> None:
    alone, four = (
        plan_training(LLAMA, TENSORS, replace(TRAINING, pp=4, accumulation=m, context=2048)) for m in (1, 4)
    )
    assert alone.of("activations in flight") is None
    in_flight = four.of("activations in flight")
    assert in_flight is not None
    assert in_flight.formula.startswith("3 more micro-batches")
