"""The precisions a checkpoint is commonly held in beside its own, from wide to narrow: one row an engine."""

from collections.abc import Mapping

PRECISIONS: tuple[str | None, ...] = (None, "fp8", "nf4")
"""As stored, and what transformers is commonly asked for; names as of `hubmem.weights.precision`."""

_NARROWER: Mapping[str, tuple[str, ...]] = {
    "transformers": ("fp8", "nf4"),
    # vLLM's own documentation prefers kernels for AWQ to bitsandbytes; both take as many bytes but for scales.
    "vllm": ("fp8", "awq-int4"),
    "llama.cpp": ("gguf:Q8_0", "gguf:Q4_K_M"),
}


def of_engine(engine: str) -> tuple[str, ...]:
    """The narrower precisions of an engine, from wide to narrow."""
    return _NARROWER.get(engine, _NARROWER["transformers"])
