"""Predicted start-ups of SGLang against lines of public start-up logs."""

from typing import Any

import pytest
from hubmem.memory.device import Device
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.engines.sglang_rules import V05
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload
from hubmem.models.config import Config
from hubmem.units import GIB, MIB

from tests.memory.models import llama, published

LLAMA, TENSORS = llama()

WEIGHTS = ("weights", "allocator blocks", "rotary positions")

# `Load weight … mem usage` and `avail mem` after it, and `K size` + `V size`: GiB, SGLang's "GB". Their fractions are
# those of SGLang 0.4.
STARTS = [
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 1, 14.39, 8.37, 5.64, "public log, 24 GB"),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 4, 15.54, 6.09, 2.84, "public log, 4 × 22 GB"),
    ("meta-llama/Llama-3.1-8B-Instruct", 1, 15.02, 7.37, 4.66, "public log, 24 GB"),
]
ROWS = pytest.mark.parametrize(
    ("model", "tp", "weights", "left", "pool"),
    [row[:5] for row in STARTS],
    ids=[row[5] for row in STARTS],
)


def sizes(plan: Plan, *names: str) -> int:
    return sum(term.nbytes for term in plan.terms if term.name in names)


def started(model: str, tp: int) -> Plan:
    """A start of SGLang 0.4."""
    return plan_inference(*published(model), Workload(engine="sglang", engine_version="0.4", tp=tp))


@ROWS
def test_the_pool_is_a_part_of_what_was_free_less_weights(
    model: str, tp: int, weights: float, left: float, pool: float
) -> None:
    """Before that lay what no log prints."""
    plan = started(model, tp)
    memory = int((weights + left) * GIB) + sizes(plan, "CUDA context", "non-torch memory")
    assert plan.pool_bytes(memory) / GIB == pytest.approx(pool, abs=0.05)


@pytest.mark.parametrize(
    ("model", "tp", "weights"),
    [
        *(row[:3] for row in STARTS),
        ("Qwen/Qwen3-0.6B", 1, 1.2),
        ("Qwen/Qwen2.5-0.5B-Instruct", 1, 0.98),
    ],
)
def test_the_driver_sees_the_weights_and_kernels(model: str, tp: int, weights: float) -> None:
    plan = started(model, tp)
    [kernels] = [term for term in plan.overheads if term.name == "loaded kernels"]
    beyond = weights * GIB - sizes(plan, *WEIGHTS)
    assert kernels.low - 0.005 * GIB <= beyond <= kernels.high + 0.005 * GIB


@pytest.mark.parametrize(("tp", "fraction"), [(1, 0.88), (2, 0.87), (4, 0.85), (8, 0.81), (16, 0.79)])
def test_more_ranks_leave_a_smaller_part_in_version_0_4(tp: int, fraction: float) -> None:
    workload = Workload(engine="sglang", engine_version="0.4", tp=tp)
    assert plan_inference(LLAMA, TENSORS, workload).share == fraction


# Of what was free before and after loading and the pools that were made of it: memory in GiB, ranks, free before,
# free after, pools.
FRACTIONS = [
    pytest.param(16, 1, 15.33, 13.81, 5.42 + 4.88, id="LFM2-700M, public log, 16 GB card"),
]


@pytest.mark.parametrize(("memory", "tp", "before", "after", "pools"), FRACTIONS)
def test_the_device_decides_the_fraction_in_version_0_5(
    memory: int, tp: int, before: float, after: float, pools: float
) -> None:
    fraction = V05.fraction(Workload(tp=tp), memory * GIB)
    assert after - before * (1 - fraction) == pytest.approx(pools, rel=0.01)


def test_a_fraction_that_is_set_holds_whatever_the_ranks() -> None:
    """The pool of 16.46 GiB in `mem-fraction-static 0.93` of vllm-project/vllm#21348."""
    plan = plan_inference(LLAMA, TENSORS, Workload(engine="sglang", tp=4, mem_fraction_static=0.93))
    assert plan.share == 0.93


@pytest.mark.parametrize(("memory_gib", "chunk"), [(22, 2048), (48, 4096), (80, 8192), (180, 16384)])
def test_a_small_device_gets_smaller_chunks(memory_gib: int, chunk: int) -> None:
    workload = engine_of("sglang").settle(Workload(engine="sglang"), Device(memory_bytes=memory_gib * GIB))
    assert workload.max_num_batched_tokens == chunk
    plan = plan_inference(LLAMA, TENSORS, workload)
    assert sizes(plan, "activations") == 2 * chunk * (3 * 28672 + 4 * 8192) + 32 * 2**20


def test_a_model_that_sees_images_has_a_note_on_what_they_take() -> None:
    plan = plan_inference(*published("google/gemma-3-4b-it"), Workload(engine="sglang"))
    assert any("for images" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("repo", "note"),
    [
        ("google-bert/bert-base-uncased", ""),
        # An encoder's keys and values have no pool.
        ("openai/whisper-small", "no cache is counted"),
    ],
)
def test_what_has_no_pool_has_no_cache_and_says_so_where_it_should_have_one(repo: str, note: str) -> None:
    plan = plan_inference(*published(repo), Workload(engine="sglang"))
    assert (plan.pool, sizes(plan, "KV cache")) == (None, 0)
    assert sizes(plan, "weights") > 0
    assert any("no cache" in each for each in plan.notes) == bool(note)


def test_of_layers_that_are_not_known_weights_alone_are_planned() -> None:
    plan = plan_inference(None, TENSORS, Workload(engine="sglang"))
    assert sizes(plan, "activations", "KV cache") == 0
    assert any("weights only" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("config", "version", "fraction"),
    [
        pytest.param({}, "0.5.6", 0.847, id="no tower"),
        pytest.param({"vision_config": {}}, "0.5.6", 0.847 * 0.95, id="a tower of no known size is a ViT-L"),
        pytest.param(
            {"vision_config": {"depth": 32, "hidden_size": 1280}}, "0.5.6", 0.847 * 0.95 * 0.94375,
            id="Qwen2.5-VL writes depth, which is not read",
        ),
        pytest.param(
            {"vision_config": {"num_hidden_layers": 45, "hidden_size": 3200}}, "0.5.6", 0.847 * 0.95 * 0.8,
            id="never less than four fifths",
        ),
        # `Automatically reduce --mem-fraction-static to 0.836` (sgl-project/sglang-omni#345).
        pytest.param({"vision_config": {}}, "0.4", 0.836, id="0.4 took one part for all"),
        pytest.param({"vision_config": 7}, "0.5.6", 0.847 * 0.95, id="a config nobody can read"),
    ],
)  # fmt: skip
def test_images_leave_a_smaller_fraction(config: dict[str, object], version: str, fraction: float) -> None:
    settle = engine_of("sglang", version).settle
    workload = settle(Workload(engine="sglang"), Device(memory_bytes=24564 * MIB), Config(config))
    assert workload.mem_fraction_static == pytest.approx(fraction)


def test_a_fraction_that_is_set_holds_with_images_too() -> None:
    asked = Workload(engine="sglang", mem_fraction_static=0.8)
    workload = engine_of("sglang").settle(asked, Device(memory_bytes=24 * GIB), Config({"vision_config": {}}))
    assert workload.mem_fraction_static == 0.8


@pytest.mark.parametrize(
    ("workload", "config", "fraction"),
    [
        # `0.828 for H100` (sgl-project/sglang#29092, Qwen3-32B, which one such device does not hold).
        pytest.param({"tp": 2}, {}, 0.828, id="58 graphs of prompts"),
        pytest.param({"tp": 2}, {"kv_lora_rank": 512}, 0.815, id="latents"),
        pytest.param({"tp": 2, "cuda_graphs": False}, {}, 0.84, id="no graphs"),
    ],
)
def test_graphs_of_prompts_leave_a_smaller_fraction(
    workload: dict[str, Any], config: dict[str, object], fraction: float
) -> None:
    settle = engine_of("sglang", "0.5.12").settle
    settled = settle(Workload(engine="sglang", **workload), Device(memory_bytes=81559 * MIB), Config(config))
    assert settled.mem_fraction_static == fraction
