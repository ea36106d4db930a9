"""The bands of error around plans, by what makes the plan, and where they were measured."""

from collections.abc import Mapping

from hubmem.memory.workload import Workload

# What an overhead's own range is from stands in its term; this names what the whole band rests on.
_SOURCES: Mapping[str, str] = {
    "transformers": (
        "what PyTorch's allocator reserved in simulated runs, and CUDA contexts seen on A100, RTX 4090 and V100"
    ),
    "vllm": "what vLLM's published start-up logs show outside its allocator, CUDA graphs among it",
    "sglang": "what vLLM's published start-up logs show outside its allocator; few of SGLang's are published",
    "llama.cpp": "CUDA contexts seen on A100, RTX 4090 and V100",
}


def band_source(workload: Workload) -> str:
    """Where the band around a workload's plan was measured."""
    return _SOURCES.get(workload.engine, _SOURCES["transformers"])
