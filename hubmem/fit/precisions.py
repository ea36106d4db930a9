"""The precisions an engine holds weights and caches in beside a checkpoint's own: one row an engine."""

from collections.abc import Mapping
from dataclasses import dataclass

PRECISIONS: tuple[str | None, ...] = (None, "fp8", "nf4")
"""As stored, and what transformers is commonly asked for; names as of `hubmem.weights.precision`."""

WIDE = "F32"
"""The dtype in which half of all bytes are for nothing that a computation in 16 bits would show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowCache:
    """A cache narrower than the model's dtype.

    Attributes:
        label: as in advice.
        dtype: as `--kv-dtype` takes it.
        unit: the format that a GPU's units must have for it, "" for any GPU.
    """

    label: str
    dtype: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePrecisions:
    """What one engine is commonly asked for.

    Attributes:
        families: from wide to narrow, precisions of about the same quality; the first of each is the usual one.
        cache: its narrower cache, or None.
    """

    families: tuple[tuple[str, ...], ...]
    cache: NarrowCache | None = None

    @property
    def usual(self) -> tuple[str, ...]:
        """The usual one of each family."""
        return tuple(family[0] for family in self.families)


_ROWS: Mapping[str, EnginePrecisions] = {
    "transformers": EnginePrecisions(families=(("fp8", "int8"), ("nf4", "awq-int4", "gptq-int4"))),
    # vLLM's own documentation prefers kernels for AWQ to bitsandbytes; both take as many bytes but for scales.
    "vllm": EnginePrecisions(
        families=(("fp8", "int8"), ("awq-int4", "gptq-int4")),
        cache=NarrowCache(label="an FP8 cache", dtype="F8_E4M3", unit="fp8"),
    ),
    "sglang": EnginePrecisions(
        families=(("fp8", "int8"), ("awq-int4", "gptq-int4")),
        cache=NarrowCache(label="an FP8 cache", dtype="F8_E4M3", unit="fp8"),
    ),
    "llama.cpp": EnginePrecisions(
        families=(("gguf:Q8_0",), ("gguf:Q4_K_M",)), cache=NarrowCache(label="a q8_0 cache", dtype="q8_0")
    ),
}


def of_engine(engine: str) -> EnginePrecisions:
    """The row of an engine."""
    return _ROWS.get(engine, _ROWS["transformers"])


def families(engine: str, stored_dtype: str) -> tuple[tuple[str, ...], ...]:
    """The families of an engine, and 16 bits before them for weights that are stored in 32.

    >>> families("vllm", "F32")[0], families("vllm", "BF16")[0]
    (('bf16',), ('fp8', 'int8'))
    """
    return ((("bf16",),) if stored_dtype == WIDE else ()) + of_engine(engine).families
