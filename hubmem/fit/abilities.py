"""What an accelerator can compute and which engines run on it: reasons for a no, and for a caution."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hubmem import dtypes
from hubmem.fit.gpus import Gpu
from hubmem.memory.workload import Workload

_Test = Callable[[Gpu], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """Accelerators that an engine does not run on."""

    engine: str
    applies: _Test
    reason: str


def _older_than(least: float) -> _Test:
    return lambda gpu: (gpu.device.capability or least) < least


# Source: vLLM documentation of 0.14, installation: GPU (compute capability 7.0 or higher, ROCm, XPU), CPU (its cache set
# by VLLM_CPU_KVCACHE_SPACE); of 0.31 for Apple's GPUs, which a plug-in with MLX runs.
_REFUSALS = (
    _Refusal(
        engine="vllm",
        applies=lambda gpu: gpu.vendor == "apple",
        reason="on Apple's GPUs vLLM is the plug-in vllm-metal, whose memory is MLX's; take --engine llama.cpp.",
    ),
    _Refusal(
        engine="vllm",
        applies=lambda gpu: gpu.kind == "cpu",
        reason="vLLM on a CPU takes its cache by VLLM_CPU_KVCACHE_SPACE, not as a part of the memory.",
    ),
    _Refusal(
        engine="vllm",
        applies=_older_than(7.0),
        reason="vLLM needs compute capability 7.0 or higher.",
    ),
    _Refusal(
        engine="sglang",
        applies=lambda gpu: gpu.vendor == "apple",
        reason="SGLang is planned on CUDA and ROCm alone; for Apple's GPUs take --engine llama.cpp.",
    ),
)


# Back ends of PyTorch whose kernels are neither CUDA's nor ROCm's.
_OTHER_BACK_ENDS = {"apple": "MPS", "intel": "XPU"}


def cannot_run(workload: Workload, gpu: Gpu) -> str:
    """Why an engine does not run on an accelerator whatever its memory, "" where it does."""
    found = (row.reason for row in _REFUSALS if row.engine == workload.engine and row.applies(gpu))
    return next(found, "")


def has_format(gpu: Gpu, name: str) -> bool | None:
    """Whether its matrix units compute in a narrow format (`bf16`, `fp8`, `fp4`); None where nobody knows."""
    return None if gpu.kind in ("size", "cpu") else name in gpu.dtypes


def compiles(gpu: Gpu) -> bool:
    """Whether it runs what a compiler of its own makes of a model (Neuron, XLA, Gaudi's), and no CUDA or ROCm code."""
    return gpu.kind in ("asic", "tpu")


def cautions(workload: Workload, gpu: Gpu, stored_dtype: str) -> Iterator[str]:
    """What an accelerator lacks of the formats a workload asks for; the plan is made all the same.

    Source: vLLM documentation, quantization: FP8 (weight-only by Marlin kernels before Ada), and
    quantized KV cache; compute capability 8.0 for bfloat16.
    """
    if compiles(gpu):
        yield (
            f"{gpu.name} runs what a compiler of its own makes of a model: weights and cache are as planned, what is"
            " computed beside them is as on a GPU, which it may not be."
        )
    elif gpu.vendor in _OTHER_BACK_ENDS and workload.engine == "transformers":
        yield (
            f"{gpu.name} has PyTorch's {_OTHER_BACK_ENDS[gpu.vendor]} back end: weights and cache are as planned, what is"
            " computed beside them is as on an NVIDIA GPU, which it may not be."
        )
    weights = _format_of(workload.weight_dtype or stored_dtype)
    if weights in ("fp8", "fp4") and has_format(gpu, weights) is False:
        yield (
            f"{gpu.name} has no {weights.upper()} units: {weights.upper()} weights take their {weights[-1]} bits"
            " there, but are computed in 16."
        )
    if workload.kv_dtype and _format_of(workload.kv_dtype) == "fp8" and has_format(gpu, "fp8") is False:
        yield f"{gpu.name} has no FP8 units: an FP8 cache takes 8 bits there, and is read more slowly."
    if weights == "bf16" and gpu.vendor == "nvidia" and _older_than(8.0)(gpu):
        yield f"{gpu.name} has no BF16 units: the same bytes in FP16, or more in FP32."


def _format_of(name: str) -> str:
    """The format of a precision or dtype, as the catalogue's `dtypes` name it; "" for another.

    >>> _format_of("fp8-block"), _format_of("F8_E4M3"), _format_of("nvfp4"), _format_of("BF16"), _format_of("q8_0")
    ('fp8', 'fp8', 'fp4', 'bf16', '')
    """
    lowered = name.lower()
    for narrow in ("fp8", "fp4"):
        if narrow in lowered:
            return narrow
    dtype = dtypes.find(name)
    if dtype is None or not dtype.floating:
        return ""
    return {8: "fp8", 4: "fp4"}.get(dtype.bits, dtype.name.lower())
