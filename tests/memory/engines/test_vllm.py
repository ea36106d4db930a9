"""Predicted start-ups of vLLM against lines of public start-up logs.

Each row is a fact of a log with where it was published. Logs print GiB with two digits or four.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hubmem.memory.device import Device
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.engines.vllm_profile import V0, V1, Limits, sampler_bytes
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Basis, Plan
from hubmem.memory.workload import Workload
from hubmem.units import GIB

from tests.memory.models import llama, published

WEIGHTS_TOLERANCE = 0.005
TOTAL_TOLERANCE = 0.03
WEIGHTS = ("weights", "buffers", "weight padding", "zero points", "allocator blocks", "rotary positions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start-up.

    Attributes:
        model: whose tensors and config are bundled.
        version: whose rules it has; None for those of 0.11.
        max_context: of the config, where it differs from the bundled model's.
        gpu: its name; memory_gib: of it, as CUDA reports it; compute_capability: of it, where it matters.
        weights, outside, activations, pool: what the log prints, in GiB.
    """

    model: str
    source: str
    version: str | None = None
    max_context: int | None = None
    memory_gib: float = 80
    gpu: str = ""
    compute_capability: str | None = None
    workload: dict[str, Any] = field(default_factory=dict)
    weights: float | None = None
    outside: float | None = None
    activations: float | None = None
    pool: float | None = None

    @property
    def plan(self) -> Plan:
        """What is predicted."""
        architecture, tensors = published(self.model)
        if self.max_context:
            architecture = replace(architecture, max_context=self.max_context)
        asked = Workload(engine="vllm", engine_version=self.version, **self.workload)
        settle = engine_of("vllm", self.version).settle
        return plan_inference(architecture, tensors, settle(asked, self.device))

    @property
    def device(self) -> Device:
        """What it ran on."""
        return Device(
            memory_bytes=self.memory_bytes, name=self.gpu, compute_capability=self.compute_capability
        )

    @property
    def memory_bytes(self) -> int:
        """Of the device."""
        return int(self.memory_gib * GIB)


def gib_of(plan: Plan, *names: str) -> float:
    """Terms of a plan together, in GiB."""
    return sum(term.nbytes for term in plan.terms if term.name in names) / GIB


LLM_D = "llm-d-incubation/llm-d-planner, docs/empirical-vllm-memory-results.md, e50305a"
H100 = 79.18

# `Model loading took … GiB`.
LOADED = [
    Start(
        model="meta-llama/Meta-Llama-3-8B", workload={"tp": 2}, weights=7.48,
        source="vllm-project/vllm#10511",
    ),
    Start(model="meta-llama/Meta-Llama-3-8B", weights=14.96, source="public log, A100-40GB"),
    Start(model="meta-llama/Llama-3.1-8B-Instruct", weights=14.9889, source="public log, 0.10, eager"),
    Start(
        model="meta-llama/Llama-3.1-8B-Instruct", workload={"tp": 2}, weights=7.5122,
        source="pytorch/serve#3315",
    ),
    Start(model="meta-llama/Llama-3.2-3B-Instruct", weights=6.02, source="public log, T4"),
    Start(model="Qwen/Qwen2.5-1.5B-Instruct", weights=2.89, source="public log, T4"),
    Start(model="Qwen/Qwen2.5-1.5B", max_context=4096, weights=2.88, source="public log of Qwen2.5-Math-1.5B"),
    Start(
        model="Qwen/Qwen3-8B", max_context=131072, workload={"tp": 4}, weights=3.85,
        source="public log of DeepSeek-R1-0528-Qwen3-8B, 4 × 2080 Ti",
    ),
    Start(model="Qwen/Qwen3-32B", weights=61.03, source=LLM_D),
    Start(model="Qwen/Qwen3-32B", workload={"tp": 2}, weights=30.59, source=LLM_D),
    Start(model="openai/gpt-oss-20b", weights=13.47, source=LLM_D),
    Start(model="openai/gpt-oss-120b", weights=64.38, source="alvarobartt/hf-mem#60"),
    Start(
        model="meta-llama/Llama-3.3-70B-Instruct", workload={"weight_dtype": "fp8"}, weights=67.72,
        source=LLM_D,
    ),
    Start(
        model="meta-llama/Llama-3.3-70B-Instruct", workload={"weight_dtype": "fp8", "tp": 2}, weights=33.88,
        source=LLM_D,
    ),
    Start(
        model="meta-llama/Llama-3.1-70B-Instruct", workload={"weight_dtype": "int8"}, weights=67.7229,
        source="vllm-project/vllm#12569",
    ),
    Start(
        model="Qwen/Qwen2.5-14B-Instruct", workload={"weight_dtype": "fp8"}, weights=15.2227,
        source="public log, GB10",
    ),
    Start(
        model="microsoft/phi-4", workload={"weight_dtype": "nf4-dq"}, weights=8.51,
        source="public log, quantized on loading",
    ),
    # Tensors whose blocks are larger than they are.
    Start(
        model="deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", workload={"tp": 2}, weights=30.73,
        source="public log, 2 × H20",
    ),
    Start(
        model="meta-llama/Llama-3.2-3B-Instruct", workload={"weight_dtype": "gguf:Q8_0"}, weights=3.26,
        source="public log, RTX 4070 Laptop",
    ),
    Start(model="google/gemma-3-1b-it", weights=1.9148, source="public log"),
    Start(model="facebook/opt-125m", weights=0.2389, source="vllm-project/vllm#3120"),
    Start(model="facebook/opt-6.7b", weights=12.4, source="public log, V100"),
    Start(model="meta-llama/Llama-2-7b-chat-hf", weights=12.5523, source="public log, 0.6, ROCm"),
    Start(model="meta-llama/Llama-3.2-1B", weights=2.3185, source="public logs, 0.6 and 0.10"),
    Start(
        model="meta-llama/Llama-3.1-8B-Instruct", workload={"weight_dtype": "fp8"}, weights=8.4926,
        source="public log, 0.6.3",
    ),
    Start(model="mistralai/Mistral-7B-Instruct-v0.3", weights=13.5084, source="public log"),
    Start(model="google/gemma-3-1b-it", weights=1.9134, source="vllm-project/vllm#14696"),
    Start(model="Qwen/Qwen2.5-7B-Instruct", weights=14.2488, source="public logs, 0.9.2 and 0.10"),
    Start(model="Qwen/Qwen2.5-3B-Instruct", weights=5.7916, source="public log, A10, 0.11"),
    Start(model="Qwen/Qwen2.5-1.5B-Instruct", weights=2.8871, source="public log, 0.11"),
    Start(model="Qwen/Qwen3-0.6B", weights=1.1201, source="public log, L4, 0.11"),
    Start(model="Qwen/Qwen3-1.7B", weights=3.22, source="public log"),
    Start(model="Qwen/Qwen3-4B", weights=7.5552, source="public log, RTX 2060, 0.8"),
    Start(model="Qwen/Qwen3-14B", weights=27.5185, source="public log, L40S"),
    Start(
        model="Qwen/Qwen3-8B", workload={"weight_dtype": "fp8-block"}, weights=8.8,
        source="public log of Qwen3-8B-FP8",
    ),
    Start(model="Qwen/Qwen3-30B-A3B-FP8", weights=29.0435, source="public log, GB10, 0.13"),
    Start(model="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", weights=3.3466, source="public log, 0.9"),
    Start(model="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", weights=14.2717, source="public log"),
    Start(
        model="deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", workload={"tp": 2}, weights=13.9476,
        source="vllm-project/vllm#13061",
    ),
    # Every stage has an embedding and a head.
    Start(
        model="Qwen/Qwen3-30B-A3B-Instruct-2507", workload={"tp": 4, "pp": 2}, weights=7.3272,
        source="public log, GH200, 0.10",
    ),
    # From 0.21 on a tensor of 20 MiB or more keeps its whole segment.
    Start(version="0.24", model="Qwen/Qwen3-8B", weights=15.27, source="public log, RTX 5090"),
    Start(version="0.27", model="Qwen/Qwen2.5-3B-Instruct", weights=5.79, source="public log"),
    Start(version="0.28", model="Qwen/Qwen2.5-1.5B-Instruct", weights=2.98, source="public logs, 0.28 and 0.30"),
    # Packed repos, from their originals.
    Start(
        version="0.7", model="Qwen/Qwen2.5-7B-Instruct", workload={"weight_dtype": "awq-int4"}, weights=5.2032,
        source="vllm-project/vllm#13882",
    ),
    Start(
        model="Qwen/Qwen3-8B", workload={"weight_dtype": "awq-int4"}, weights=5.7071,
        source="public log of Qwen3-8B-AWQ",
    ),
    Start(
        model="Qwen/Qwen3-14B", workload={"weight_dtype": "awq-int4"}, weights=9.3619,
        source="public log of Qwen3-14B-AWQ",
    ),
    Start(
        model="mistralai/Mistral-7B-Instruct-v0.3", workload={"weight_dtype": "awq-int4"}, weights=3.89,
        source="public log",
    ),
    Start(
        model="meta-llama/Meta-Llama-3-8B", workload={"weight_dtype": "gptq-int4"}, weights=5.3473,
        source="public log",
    ),
    # AWQ, with kernels that keep it as it is, and with one that wants its zero points in 16 bits.
    Start(version="0.7", model="Qwen/Qwen2.5-7B-Instruct-AWQ", weights=5.2032, source="vllm-project/vllm#13882"),
    Start(
        version="0.21", model="Qwen/Qwen2.5-7B-Instruct-AWQ", compute_capability="12.0", weights=5.29,
        source="public log, RTX 5060 Ti",
    ),
    Start(
        version="0.31", model="Qwen/Qwen2.5-7B-Instruct-AWQ", compute_capability="9.0", weights=5.38,
        source="public log, H200",
    ),
    # Kernels for MXFP4, which fill experts up.
    Start(model="openai/gpt-oss-20b", compute_capability="8.0", weights=13.7153, source="public log, A100"),
    Start(
        model="openai/gpt-oss-20b", compute_capability="8.9", weights=13.7164,
        source="public log, RTX 4000 Ada",
    ),
    Start(
        model="openai/gpt-oss-120b", compute_capability="9.0", weights=64.38,
        source="vllm-project/vllm#33155",
    ),
    # An H100 without Triton's kernels takes those of older devices.
    Start(
        model="openai/gpt-oss-120b", compute_capability="8.9", weights=65.9651,
        source="vllm-project/vllm#23278",
    ),
    # Positions stretched eightfold beyond those of the config.
    Start(
        model="google/gemma-3-27b-it", workload={"tp": 4}, weights=13.1665,
        source="vllm-project/vllm#15676",
    ),
]  # fmt: skip


@pytest.mark.parametrize("start", LOADED, ids=lambda start: f"{start.model} {start.weights}, {start.source}")
def test_a_rank_loads_what_its_log_says(start: Start) -> None:
    assert gib_of(start.plan, *WEIGHTS) == pytest.approx(start.weights, rel=WEIGHTS_TOLERANCE)


@pytest.mark.parametrize(
    ("model", "nbytes"),
    [
        ("meta-llama/Llama-3.1-8B", 131072 * 128 * 2),
        # Three axes: four times as many positions.
        ("Qwen/Qwen2.5-VL-7B-Instruct", 4 * 128000 * 128 * 2),
        # Windows turn by another base than full layers.
        ("google/gemma-3-1b-it", 2 * 32768 * 256 * 2),
        # Full layers' positions are stretched by 8.
        ("google/gemma-3-4b-it", (8 + 1) * 131072 * 256 * 2),
        # A quarter of each head turns.
        ("EleutherAI/pythia-1b", 2048 * 64 * 2),
        # Of a latent, its rotary part alone.
        ("deepseek-ai/DeepSeek-V3", 163840 * 64 * 2),
    ],
)
def test_positions_are_tabled_for_all_the_config_allows(model: str, nbytes: int) -> None:
    term = Start(model=model, source="").plan.of("rotary positions")
    assert term is not None
    assert term.nbytes == nbytes


@pytest.mark.parametrize(
    ("version", "compute_capability", "wider"),
    [("0.31", "9.0", True), ("0.31", "8.9", False), ("0.31", None, False), ("0.11", "9.0", False)],
)
def test_zero_points_are_wider_where_machete_runs(
    version: str, compute_capability: str | None, wider: bool
) -> None:
    start = Start(
        model="Qwen/Qwen2.5-7B-Instruct-AWQ",
        version=version,
        compute_capability=compute_capability,
        source="",
    )
    _, tensors = published(start.model)
    zeros = sum(group.nbytes for group in tensors.kinds if group.template.endswith(".qzeros"))
    assert gib_of(start.plan, "zero points") * GIB == (3 * zeros if wider else 0)


def test_machete_leaves_out_zero_points_of_gptq() -> None:
    start = Start(
        model="RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16",
        version="0.31",
        compute_capability="9.0",
        source="",
    )
    assert start.plan.of("zero points") is None


def test_padding_of_a_device_nobody_named_is_assumed_between_two_kernels() -> None:
    """A device nobody named may have Triton's kernels, which fill inputs alone, or Marlin's."""
    unknown, triton, marlin = (
        Start(model="openai/gpt-oss-20b", compute_capability=capability, source="").plan.of("weight padding")
        for capability in (None, "9.0", "8.0")
    )
    assert unknown is not None
    assert triton is not None
    assert marlin is not None
    assert (unknown.nbytes, unknown.low, unknown.high) == (triton.nbytes, triton.nbytes, marlin.nbytes)


def test_layers_that_draft_tokens_are_not_loaded() -> None:
    """DeepSeek-V3 has 671 billion parameters and 14 billion more that draft, mostly in 8 bits."""
    architecture, tensors = published("deepseek-ai/DeepSeek-V3")
    plan = plan_inference(architecture, tensors, Workload(engine="vllm"))
    drafting = tensors.stored_bytes - gib_of(plan, "weights", "buffers") * GIB
    assert 14e9 < drafting < 16e9
    assert any("draft" in note for note in plan.notes)


@pytest.mark.parametrize("model", ["facebook/opt-125m", "openai-community/gpt2", "bigscience/bloom-560m"])
def test_learned_positions_and_slopes_need_no_table(model: str) -> None:
    assert Start(model=model, source="").plan.of("rotary positions") is None


# Weights, what start-up adds outside the allocator, the peak of the profile run, and the pool that is left.
STARTED = [
    Start(
        model="openai/gpt-oss-20b", memory_gib=H100, workload={"context": 16000},
        weights=13.47, outside=0.13, activations=7.38, pool=50.28, source=LLM_D,
    ),
    Start(
        model="meta-llama/Llama-3.3-70B-Instruct", memory_gib=H100,
        workload={"context": 16000, "tp": 2, "weight_dtype": "fp8"},
        weights=33.88, outside=0.55, activations=4.84, pool=32.0, source=LLM_D,
    ),
    Start(
        model="Qwen/Qwen3-32B", memory_gib=H100, workload={"context": 16000},
        weights=61.03, outside=0.14, activations=5.64, pool=4.45, source=LLM_D,
    ),
    Start(
        model="Qwen/Qwen3-32B", memory_gib=H100, workload={"context": 16000, "tp": 2},
        weights=30.59, outside=0.54, activations=5.64, pool=34.49, source=LLM_D,
    ),
    # A prompt in one step, in eager code: the layers' peak and not the sampler's.
    Start(
        version="0.7", model="Qwen/Qwen2.5-1.5B-Instruct", memory_gib=14.56, compute_capability="7.5",
        workload={"context": 32768, "gpu_memory_utilization": 0.5},
        weights=2.89, outside=0.01, activations=2.02, source="public log, T4",
    ),
    Start(
        version="0.7", model="Qwen/Qwen2.5-1.5B", max_context=4096, memory_gib=22.06,
        compute_capability="8.9",
        workload={"context": 4096},
        weights=2.88, outside=0.05, activations=1.4, pool=15.52, source="public log of Qwen2.5-Math-1.5B, L4",
    ),
    Start(
        version="0.7", model="deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", memory_gib=95,
        workload={"tp": 2}, weights=30.73, outside=0.74, activations=1.41, source="public log, 2 × H20",
    ),
    Start(
        version="0.7", model="meta-llama/Llama-3.2-3B-Instruct", memory_gib=7.65, compute_capability="8.9",
        workload={"context": 10000, "weight_dtype": "gguf:Q8_0"},
        weights=3.26, outside=0.02, activations=1.22, source="public log, RTX 4070 Laptop",
    ),
    Start(
        version="0.7", model="Qwen/Qwen2.5-1.5B", max_context=4096, memory_gib=44.39, compute_capability="8.9",
        workload={"context": 4096, "gpu_memory_utilization": 0.85},
        weights=2.88, outside=0.08, activations=1.4, pool=33.37, source="public log, L40S",
    ),
    Start(
        version="0.7", model="Qwen/Qwen2.5-7B-Instruct-AWQ", memory_gib=8, compute_capability="8.9",
        workload={"context": 4096, "gpu_memory_utilization": 0.7},
        weights=5.2, outside=0.03, activations=1.42, source="vllm-project/vllm#13882",
    ),
    Start(
        version="0.7", model="Qwen/Qwen3-4B", memory_gib=11.6, compute_capability="7.5",
        workload={"context": 10000, "max_num_seqs": 1, "gpu_memory_utilization": 0.95},
        weights=7.56, outside=0.04, activations=0.74, source="public log, RTX 2060, engine V0 of 0.8",
    ),
    Start(
        version="0.7", model="microsoft/phi-4", memory_gib=79.25,
        workload={"context": 2048, "weight_dtype": "nf4-dq", "gpu_memory_utilization": 0.15},
        weights=8.51, outside=0.26, activations=0.94, source="public log, quantized on loading",
    ),
]  # fmt: skip


@pytest.mark.parametrize("start", STARTED, ids=lambda start: f"{start.model} {start.weights}, {start.source}")
def test_start_up_takes_what_its_log_says(start: Start) -> None:
    assert start.weights is not None
    assert start.outside is not None
    assert start.activations is not None
    total = gib_of(start.plan, *WEIGHTS, "non-torch memory", "activations")
    assert total == pytest.approx(start.weights + start.outside + start.activations, rel=TOTAL_TOLERANCE)


@pytest.mark.parametrize(
    "start", [start for start in STARTED if start.pool], ids=lambda start: f"{start.model} {start.pool}"
)
def test_the_pool_is_what_is_left_of_the_share(start: Start) -> None:
    pool = start.plan.pool_bytes(start.memory_bytes)
    budget = start.workload.get("gpu_memory_utilization", 0.9) * start.memory_gib
    assert start.pool is not None
    assert pool / GIB == pytest.approx(start.pool, abs=0.005 * budget)


def test_a_model_that_is_too_large_leaves_a_negative_pool() -> None:
    """The log says -1.44 GiB."""
    start = Start(
        model="meta-llama/Llama-3.3-70B-Instruct",
        memory_gib=H100,
        workload={"weight_dtype": "fp8"},
        source=LLM_D,
    )
    assert start.plan.pool_bytes(start.memory_bytes) / GIB == pytest.approx(-1.44, abs=0.05)


def test_the_sampler_asks_for_what_an_out_of_memory_error_names() -> None:
    """`Tried to allocate 786.00 MiB` for float32 logits of gpt-oss on an H100 (vllm-project/vllm#27508)."""
    sequences = Limits.of(Workload(), V1, Device(memory_bytes=int(79.11 * GIB))).sequences
    assert sequences * 201088 * 4 / 2**20 == pytest.approx(786, abs=1)
    assert sampler_bytes(sequences, 201088, 2) == sequences * 201088 * 38


@pytest.mark.parametrize(
    ("memory_gib", "gpu", "limits"),
    [
        (24, "NVIDIA GeForce RTX 4090", (256, 2048)),
        (79.1, "NVIDIA H100 80GB HBM3", (1024, 8192)),
        (79.1, "NVIDIA A100-SXM4-80GB", (256, 2048)),
    ],
)
def test_the_device_decides_how_large_a_step_is(memory_gib: float, gpu: str, limits: tuple[int, int]) -> None:
    found = Limits.of(Workload(), V1, Device(memory_bytes=int(memory_gib * GIB), name=gpu))
    assert (found.sequences, found.tokens) == limits


def test_a_step_of_a_device_nobody_named_is_assumed_with_a_range() -> None:
    activations = plan_inference(*llama(), Workload(engine="vllm")).of("activations")
    assert activations is not None
    assert activations.basis is Basis.ASSUMED
    assert activations.low <= activations.nbytes < activations.high


def test_before_chunks_a_prompt_was_one_step() -> None:
    assert [Limits.of(Workload(context=tokens), V0).tokens for tokens in (512, 20000, 40000)] == [
        2048, 20000, 2048,
    ]  # fmt: skip


def test_graphs_are_counted_from_0_21_on_and_are_none_in_eager_code() -> None:
    before, since, eager = (
        plan_inference(*llama(), Workload(engine="vllm", engine_version=version, cuda_graphs=graphs))
        for version, graphs in (("0.11", True), ("0.21", True), ("0.11", False))
    )
    graphs = before.of("CUDA graphs")
    assert graphs is not None
    assert since.counted_bytes - before.counted_bytes == graphs.nbytes
    assert eager.of("CUDA graphs") is None


def test_less_of_a_device_is_less_pool_and_nothing_else() -> None:
    some, most = (
        plan_inference(*llama(), Workload(engine="vllm", gpu_memory_utilization=share))
        for share in (0.5, 0.9)
    )
    assert some.per_gpu_bytes == most.per_gpu_bytes
    memory = 200 * GIB
    assert most.pool_bytes(memory) - some.pool_bytes(memory) == pytest.approx(0.4 * memory, abs=2)


def test_pages_of_the_pool_say_how_many_sequences_it_holds() -> None:
    """5.36 sequences of 131,072 tokens, 702,800 tokens, in a pool of 85.79 GiB (public log, Llama-3.1-8B)."""
    blocks = Start(model="meta-llama/Llama-3.1-8B-Instruct", source="").plan.pool
    assert blocks is not None
    pool = int(85.79 * GIB)
    assert blocks.concurrency(pool, 131072) == pytest.approx(5.36, rel=0.0025)
    assert blocks.tokens_in(pool) == pytest.approx(702800, rel=0.0025)
    assert blocks.request_bytes(131072) == 16 * GIB
