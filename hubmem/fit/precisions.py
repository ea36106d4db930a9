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


def halved(stored_dtype: str) -> tuple[str, ...]:
    """What weights stored in 32 bits lose nothing by that a computation in 16 would show; none for others.

    >>> halved("F32"), halved("BF16")
    (('bf16',), ())
    """
    return ("bf16",) if stored_dtype == "F32" else ()
