"""Predicted start-ups of SGLang against lines of public start-up logs."""

import pytest
from hubmem.memory.engines import engine_of
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload
from hubmem.units import GIB

from tests.memory.models import llama, published

LLAMA, TENSORS = llama()

# `Load weight … mem usage` and `avail mem` after it, `K size` + `V size`, and tokens: GiB, SGLang's "GB".
STARTS = [
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 1, 14.39, 8.37, 5.64, 105531, "public log, 24 GB"),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 4, 15.54, 6.09, 2.84, 46611, "public log, 4 × 22 GB"),
]
ROWS = pytest.mark.parametrize(
    ("model", "tp", "weights", "left", "pool", "tokens"),
    [row[:6] for row in STARTS],
    ids=[r[6] for r in STARTS],
)


def sizes(plan: Plan, *names: str) -> int:
    return sum(term.nbytes for term in plan.terms if term.name in names)


@ROWS
def test_the_pool_is_a_part_of_the_device_less_weights(
    model: str, tp: int, weights: float, left: float, pool: float, tokens: int
) -> None:
    """What was free before loading is weights and the rest; beside it lay what a log does not print."""
    plan = plan_inference(*published(model), Workload(engine="sglang", tp=tp))
    memory = int((weights + left) * GIB) + sizes(plan, "CUDA context", "non-torch memory")
    assert plan.pool_bytes(memory) / GIB == pytest.approx(pool, rel=0.03)
    assert plan.blocks is not None
    assert plan.blocks.tokens_in(int(pool * GIB)) == pytest.approx(tokens, rel=0.0025)


@ROWS
def test_the_driver_sees_little_more_than_the_weights(
    model: str, tp: int, weights: float, left: float, pool: float, tokens: int
) -> None:
    plan = plan_inference(*published(model), Workload(engine="sglang", tp=tp))
    assert 0 < weights - sizes(plan, "weights", "rotary positions") / GIB < 0.26


@pytest.mark.parametrize(("tp", "fraction"), [(1, 0.88), (2, 0.87), (4, 0.85), (8, 0.81), (16, 0.79)])
def test_more_ranks_leave_a_smaller_part(tp: int, fraction: float) -> None:
    assert plan_inference(LLAMA, TENSORS, Workload(engine="sglang", tp=tp)).share == fraction


def test_a_fraction_that_is_set_holds_whatever_the_ranks() -> None:
    """The pool of 16.46 GiB in `mem-fraction-static 0.93` of vllm-project/vllm#21348."""
    plan = plan_inference(LLAMA, TENSORS, Workload(engine="sglang", tp=4, mem_fraction_static=0.93))
    assert plan.share == 0.93


@pytest.mark.parametrize(("memory_gib", "chunk"), [(22, 2048), (80, 8192)])
def test_a_small_device_gets_smaller_chunks(memory_gib: int, chunk: int) -> None:
    workload = engine_of("sglang").settle(Workload(engine="sglang"), memory_gib * GIB, a100=False)
    assert workload.max_num_batched_tokens == chunk
    plan = plan_inference(LLAMA, TENSORS, workload)
    assert sizes(plan, "activations") == 2 * chunk * (3 * 28672 + 4 * 8192) + 32 * 2**20


def test_windows_are_kept_whole() -> None:
    architecture, tensors = published("google/gemma-3-1b-it")
    plan = plan_inference(architecture, tensors, Workload(engine="sglang", context=32768))
    assert sizes(plan, "KV cache") == 32768 * 26 * 2 * 256 * 2


def test_states_have_no_pool_here_and_a_note_says_so() -> None:
    plan = plan_inference(*published("state-spaces/mamba-130m-hf"), Workload(engine="sglang"))
    assert plan.blocks is None
    assert any("no cache is counted" in note for note in plan.notes)
