"""What transformers runs depends on the device: torch chooses its attention kernels by it."""

from typing import Any

import pytest
from hubmem.fit.gpus import find
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census

from tests.memory.models import llama

SIZES: dict[str, Any] = {
    "layers": 4,
    "hidden": 1024,
    "heads": 8,
    "mlp": 2816,
    "vocabulary": 32000,
    "head_dim": 128,
}
GROUPED = llama(**SIZES, kv_heads=2)
ALIKE = llama(**SIZES, kv_heads=8)


def on(gpu: str, model: tuple[Architecture, Census], workload: Workload) -> Plan:
    plan = plan_training if workload.train else plan_inference
    return plan(*model, engine_of("transformers").settle(workload, find(gpu).device))


@pytest.mark.parametrize(
    ("gpu", "inference", "training"),
    [
        ("T4", "no-flash", "no-flash"),
        ("V100-16GB", "no-flash", "no-flash"),
        ("A100-80GB", "all", "all"),
        ("RTX-3090", "all", "no-wide-backward"),
        ("RTX-4090", "all", "no-wide-backward"),
        ("H100-80GB", "all", "all"),
        ("B200", "all", "all"),
        ("RTX-5090", "all", "no-wide-backward"),
        ("MI300X", "all", "all"),
    ],
)
def test_a_device_has_the_kernels_torch_has_for_its_generation(
    gpu: str, inference: str, training: str
) -> None:
    settle = engine_of("transformers").settle
    assert settle(Workload(), find(gpu).device).attention_kernels == inference
    assert settle(Workload(train="full"), find(gpu).device).attention_kernels == training


def test_before_ampere_heads_that_share_keys_keep_their_scores_in_float32() -> None:
    tokens, scores = 4096, 8 * 4096**2 * 4
    older, newer = (on(gpu, GROUPED, Workload(context=tokens)) for gpu in ("T4", "A100-80GB"))
    # Scores as they are multiplied and as they are masked.
    assert older.peaks["prefill"] > 2 * scores > newer.peaks["prefill"]


def test_before_ampere_heads_with_keys_of_their_own_have_another_kernel() -> None:
    older, newer = (on(gpu, ALIKE, Workload(context=4096)) for gpu in ("T4", "A100-80GB"))
    assert older.peaks == newer.peaks


def test_it_is_said_where_scores_are_kept() -> None:
    kept = "attention scores are kept"
    assert any(kept in note for note in on("T4", GROUPED, Workload()).notes)
    assert not any(kept in note for note in on("T4", ALIKE, Workload()).notes)
    assert not any(kept in note for note in on("A100-80GB", GROUPED, Workload()).notes)


@pytest.mark.parametrize(("head_dim", "differs"), [(192, False), (224, True), (256, False)])
def test_some_wide_heads_have_no_backward_pass_where_little_memory_is_shared(
    head_dim: int, differs: bool
) -> None:
    wide = llama(**SIZES | {"head_dim": head_dim}, kv_heads=2)
    little, much = (on(gpu, wide, Workload(train="full", context=2048)) for gpu in ("RTX-4090", "A100-80GB"))
    assert (little.allocated_bytes > much.allocated_bytes) is differs
