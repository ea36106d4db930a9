"""Predicted buffers of llama.cpp against lines of public start-up logs."""

from typing import Any

import pytest
from hubmem.memory.engines.llama_cpp import first_on_gpu
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload
from hubmem.units import MIB

from tests.memory.models import llama, published

LLAMA, TENSORS = llama(layers=8, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=32000)

# `compute buffer size`: model, workload, MiB, source.
NO_FLASH = {"flash_attention": False}
BUFFERS: list[tuple[str, dict[str, Any], float, str]] = [
    ("Qwen/Qwen3-1.7B", {"context": 1024}, 300.75, "public log, CPU"),
    ("meta-llama/Llama-3.2-1B", {"context": 1024}, 254.5, "public log, CPU"),
    ("Qwen/Qwen2.5-7B", {"context": 2048}, 304, "JamePeng/llama-cpp-python#1"),
    (
        "mistralai/Mistral-7B-Instruct-v0.3", {"context": 8192, "micro_batch": 256, **NO_FLASH}, 280,
        "public log, CPU",
    ),
    (
        "microsoft/Phi-3-mini-4k-instruct", {"context": 4096, "micro_batch": 256, **NO_FLASH}, 150,
        "public log, CUDA",
    ),
    ("meta-llama/Llama-3.1-405B", {"context": 4096, **NO_FLASH}, 1160, "public log, RPC"),
    # Of a fork that differs in what it makes of queries: 0.1 % less.
    ("deepseek-ai/DeepSeek-R1", {"context": 32768, **NO_FLASH}, 8470, "ikawrakow/ik_llama.cpp#259"),
]  # fmt: skip


def plan_of(model: str, **workload: Any) -> Plan:
    return plan_inference(*published(model), Workload(engine="llama.cpp", **workload))


def mib_of(plan: Plan, name: str) -> float:
    term = plan.of(name)
    assert term is not None
    return term.nbytes / MIB


@pytest.mark.parametrize(
    ("model", "workload", "mib"), [row[:3] for row in BUFFERS], ids=[f"{row[0]}, {row[3]}" for row in BUFFERS]
)
def test_the_compute_buffer_is_the_logged_one(model: str, workload: dict[str, Any], mib: float) -> None:
    assert mib_of(plan_of(model, **workload), "compute buffer") == pytest.approx(mib, rel=0.002)


def test_a_whole_model_is_as_large_as_its_log_says() -> None:
    """Phi-3-mini-4k Q4 on CUDA: 2228.82 + 1536 + 150 MiB there, 52.84 on the host (public log)."""
    plan = plan_of(
        "microsoft/Phi-3-mini-4k-instruct",
        context=4096,
        micro_batch=256,
        flash_attention=False,
        weight_dtype="gguf:Q4_K_M",
    )
    assert mib_of(plan, "weights") == pytest.approx(2228.82, rel=0.002)
    assert mib_of(plan, "KV cache") == 1536
    assert plan.allocated_bytes / MIB == pytest.approx(2228.82 + 1536 + 150, rel=0.001)
    assert sum(term.nbytes for term in plan.host) / MIB == pytest.approx(52.84, rel=0.0005)


def test_a_model_in_ram_is_as_large_as_its_log_says() -> None:
    """Mistral-7B-v0.3 Q4_K_M on a CPU: 4165.38 MiB (public log)."""
    plan = plan_of("mistralai/Mistral-7B-Instruct-v0.3", weight_dtype="gguf:Q4_K_M")
    whole = mib_of(plan, "weights") + sum(term.nbytes for term in plan.host) / MIB
    assert whole == pytest.approx(4165.38, rel=0.002)


@pytest.mark.parametrize(("cache_type", "bits"), [(None, 16), ("q8_0", 8.5), ("q4_0", 4.5)])
def test_a_cache_is_as_narrow_as_its_type(cache_type: str | None, bits: float) -> None:
    plan = plan_inference(LLAMA, TENSORS, Workload(engine="llama.cpp", kv_dtype=cache_type))
    cache = plan.of("KV cache")
    assert cache is not None
    assert cache.nbytes == 8 * 8192 * 2 * 4 * 64 * bits / 8


def test_windows_are_kept_whole_where_all_layers_have_one() -> None:
    assert mib_of(plan_of("mistralai/Mistral-7B-v0.1", context=32768), "KV cache") == 4096


@pytest.mark.parametrize("gpu_layers", [0, 1, 3, 8, 9, 99])
def test_layers_are_on_the_gpu_or_in_ram(gpu_layers: int) -> None:
    workload = Workload(engine="llama.cpp", gpu_layers=gpu_layers)
    plan, whole = (plan_inference(LLAMA, TENSORS, each) for each in (workload, Workload(engine="llama.cpp")))
    for name in ("weights", "KV cache"):
        here = sum(term.nbytes for term in (*plan.terms, *plan.host) if term.name == name)
        assert here == sum(term.nbytes for term in (*whole.terms, *whole.host) if term.name == name)
    assert plan.per_gpu_bytes <= whole.per_gpu_bytes


def test_the_last_layers_go_to_the_gpu_first_and_the_output_before_them() -> None:
    assert [first_on_gpu(8, count) for count in (None, 9, 8, 1, 0)] == [0, 0, 1, 8, 9]
    nothing = plan_inference(LLAMA, TENSORS, Workload(engine="llama.cpp", gpu_layers=0))
    output = plan_inference(LLAMA, TENSORS, Workload(engine="llama.cpp", gpu_layers=1))
    assert mib_of(nothing, "weights") == 0
    assert mib_of(output, "weights") * MIB == 2 * (32000 * 512 + 512)


def test_the_embedding_stays_in_ram_and_is_copied_where_it_is_the_output() -> None:
    tied = llama(
        layers=8, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=1024, vocabulary=32000, tied=True
    )
    apart, together = (
        plan_inference(*model, Workload(engine="llama.cpp")) for model in ((LLAMA, TENSORS), tied)
    )
    assert mib_of(apart, "weights") == mib_of(together, "weights")
    assert [term.nbytes for term in apart.host] == [term.nbytes for term in together.host]


def test_several_devices_share_layers_and_not_matrices() -> None:
    one, two = (plan_inference(LLAMA, TENSORS, Workload(engine="llama.cpp", tp=n)) for n in (1, 2))
    layer = 2 * (2 * 512 * 512 + 2 * 256 * 512 + 3 * 512 * 1024 + 2 * 512)
    assert two.devices == 2
    # Of eight layers and the output, the first device takes five.
    assert mib_of(one, "weights") - mib_of(two, "weights") == pytest.approx(5 * layer / MIB)
    # Three devices would not divide eight heads, but they divide layers.
    plan_inference(LLAMA, TENSORS, Workload(engine="llama.cpp", tp=3))


def test_several_devices_share_the_layers_that_are_on_a_gpu_at_all() -> None:
    both = plan_inference(LLAMA, TENSORS, Workload(engine="llama.cpp", tp=2, gpu_layers=4))
    layer = 2 * (2 * 512 * 512 + 2 * 256 * 512 + 3 * 512 * 1024 + 2 * 512)
    # The last layer and the output; two more layers are on the other device, and five in RAM.
    assert mib_of(both, "weights") == pytest.approx((layer + 2 * (32000 + 1) * 512) / MIB)


@pytest.mark.parametrize("micro_batch", [128, 512, 2048])
def test_the_buffer_is_the_largest_of_output_and_layers(micro_batch: int) -> None:
    output = micro_batch * (32000 + 512) * 4
    for context in (256, 32768):
        workload = Workload(engine="llama.cpp", micro_batch=micro_batch, context=context)
        attention = micro_batch * ((2 * 512 + 2 * 512) * 4 + context * 6)
        buffer = plan_inference(LLAMA, TENSORS, workload).of("compute buffer")
        assert buffer is not None
        assert buffer.nbytes == max(output, attention)
