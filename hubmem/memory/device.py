"""What a process holds on a device outside the framework's allocator, and what the allocator keeps unused."""

from dataclasses import dataclass

from hubmem.memory.plan import Basis, Term
from hubmem.memory.workload import Workload
from hubmem.units import KIB, MIB

# Total less free memory with an idle context, by device: MI300X 0.33 GiB, A100 424 MiB, RTX 4090 451 MiB,
# RTX 3090 0.51 GiB, and 1343 MiB on a V100 with all kernels of a torch of 2022 loaded (CUDA 11.2; since
# CUDA 11.7 a kernel is loaded when it is first called).
_CONTEXT_LOW = 338 * MIB
_CONTEXT_USUAL = 451 * MIB
_CONTEXT_HIGH = 1343 * MIB

# Default workspace of cuBLAS for each handle and stream: `:4096:2:16:8` before Hopper, 32 MiB from Hopper on.
_WORKSPACE_LOW = 8 * MIB
_WORKSPACE_HIGH = 32 * MIB
_WORKSPACE_EXACTLY = 2 * 4 * MIB + 8 * 16 * KIB
_HOPPER_ON = ("9.", "10.")

RESERVED_BY_INFERENCE = (1.04, 1.21)
"""Reserved over allocated bytes, median and 95th percentile of simulated runs of the caching allocator."""


# The same for one step of training, by precision without and with checkpointing.
_RESERVED_BY_TRAINING = {
    ("full", "bf16", False): (1.05, 1.12),
    ("full", "fp32", False): (1.09, 1.16),
    ("full", "amp", False): (1.08, 1.15),
    ("full", "bf16", True): (1.13, 1.26),
    ("full", "fp32", True): (1.13, 1.26),
    ("full", "amp", True): (1.16, 1.33),
    ("lora", False): (1.03, 1.10),
    ("lora", True): (1.12, 1.25),
    ("qlora", False): (1.04, 1.09),
    ("qlora", True): (1.15, 1.24),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What engines ask of a device before they decide on settings.

    Attributes:
        memory_bytes: that the driver reports.
        name: as the driver reports it.
        compute_capability: such as 9.0; None where it is not known.
    """

    memory_bytes: int
    name: str = ""
    compute_capability: str | None = None


def workspace_bytes(compute_capability: str | None) -> int:
    """Bytes cuBLAS has for one stream; from Hopper on more, and so where the device is not known.

    Source: PyTorch 2.8, aten/src/ATen/cuda/CublasHandlePool.cpp, parseChosenWorkspaceSize.

    >>> workspace_bytes("9.0") // MIB, workspace_bytes("8.9") / MIB
    (32, 8.125)
    """
    large = compute_capability is None or compute_capability.startswith(_HOPPER_ON)
    return _WORKSPACE_HIGH if large else _WORKSPACE_EXACTLY


def reserved_by_training(workload: Workload) -> tuple[float, float]:
    """Reserved over allocated bytes of a step: median and 95th percentile of simulated runs."""
    checkpointed = workload.checkpointing == "full"
    if workload.train == "full":
        return _RESERVED_BY_TRAINING["full", workload.precision, checkpointed]
    return _RESERVED_BY_TRAINING[workload.train or "lora", checkpointed]


def overheads() -> tuple[Term, ...]:
    """Held by a process of PyTorch all the time, by policy rather than by formula."""
    return (context_term(), _workspace_term())


def context_term() -> Term:
    """The driver's context, which every process on a device has."""
    return Term(
        name="CUDA context",
        nbytes=_CONTEXT_USUAL,
        basis=Basis.ASSUMED,
        formula="driver context and loaded kernels, as on an RTX 4090",
        source="ollama#10833 (A100), llama.cpp#15860 (RTX 4090), transformers docs (V100)",
        low=_CONTEXT_LOW,
        high=_CONTEXT_HIGH,
    )


def _workspace_term() -> Term:
    return Term(
        name="cuBLAS workspace",
        nbytes=_WORKSPACE_LOW,
        basis=Basis.ASSUMED,
        formula="2 × 4 MiB; 32 MiB on Hopper and later",
        source="cuBLAS documentation, cublasSetWorkspace",
        low=_WORKSPACE_LOW,
        high=_WORKSPACE_HIGH,
    )
