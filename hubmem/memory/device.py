"""What a process holds on a device outside the framework's allocator, and what the allocator keeps unused."""

from hubmem.memory.plan import Basis, Term
from hubmem.units import MIB

# Total less free memory with an idle context, by device: MI300X 0.33 GiB, A100 424 MiB, RTX 4090 451 MiB,
# RTX 3090 0.51 GiB, and 1343 MiB on a V100 with all kernels of a torch of 2022 loaded (CUDA 11.2; since
# CUDA 11.7 a kernel is loaded when it is first called).
_CONTEXT_LOW = 338 * MIB
_CONTEXT_USUAL = 451 * MIB
_CONTEXT_HIGH = 1343 * MIB

# Default workspace of cuBLAS for each handle and stream: `:4096:2:16:8` before Hopper, 32 MiB from Hopper on.
_WORKSPACE_LOW = 8 * MIB
_WORKSPACE_HIGH = 32 * MIB

RESERVED_BY_INFERENCE = (1.04, 1.21)
"""Reserved over allocated bytes, median and 95th percentile of simulated runs of the caching allocator."""


def overheads() -> tuple[Term, ...]:
    """Held on every device all the time, by policy rather than by formula."""
    return (
        Term(
            name="CUDA context",
            nbytes=_CONTEXT_USUAL,
            basis=Basis.ASSUMED,
            formula="driver context and loaded kernels, as on an RTX 4090",
            source="ollama#10833 (A100), llama.cpp#15860 (RTX 4090), transformers docs (V100)",
            low=_CONTEXT_LOW,
            high=_CONTEXT_HIGH,
        ),
        Term(
            name="cuBLAS workspace",
            nbytes=_WORKSPACE_LOW,
            basis=Basis.ASSUMED,
            formula="2 × 4 MiB, 32 MiB from Hopper on",
            source="cuBLAS documentation, cublasSetWorkspace",
            low=_WORKSPACE_LOW,
            high=_WORKSPACE_HIGH,
        ),
    )
