"""What a process holds on a device outside the framework's allocator, and what the allocator keeps unused."""

from dataclasses import dataclass, replace

from hubmem.memory.plan import Basis, Plan, Term
from hubmem.memory.workload import Workload
from hubmem.units import KIB, MIB, format_binary


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

    @property
    def capability(self) -> float | None:
        """The compute capability as a number."""
        return float(self.compute_capability) if self.compute_capability else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """Total less free memory with an idle context.

    Attributes:
        since: the first compute capability it holds for.
    """

    since: float
    nbytes: int
    device: str
    source: str


# The first row holds where the capability is not known, too.
_CONTEXTS = (
    _Context(since=8.9, nbytes=451 * MIB, device="an RTX 4090", source="llama.cpp#15860"),
    _Context(since=8.6, nbytes=400 * MIB, device="an RTX 3090", source="genesis-vllm-patches#24"),
    _Context(since=8.0, nbytes=424 * MIB, device="an A100", source="ollama#10833"),
    _Context(since=0.0, nbytes=451 * MIB, device="an RTX 4090", source="llama.cpp#15860"),
)
# An MI300X has least (0.33 GiB); most is a V100 with all kernels of a torch of 2022 loaded (CUDA 11.2; since
# CUDA 11.7 a kernel is loaded when it is first called).
_CONTEXT_LOW = 338 * MIB
_CONTEXT_HIGH = 1343 * MIB

# Workspace of cuBLAS for each handle and stream: `:4096:2:16:8`, and 32 MiB on Hopper and data-centre Blackwell.
_WORKSPACE = 2 * 4 * MIB + 8 * 16 * KIB
_LARGE_WORKSPACE = 32 * MIB
_LARGE_ON = ("9.", "10.")

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


def workspace_bytes(compute_capability: str | None) -> int:
    """Bytes cuBLAS has for one stream; the most where the device is not known.

    Source: PyTorch 2.8, aten/src/ATen/cuda/CublasHandlePool.cpp, parseChosenWorkspaceSize.

    >>> workspace_bytes("9.0") // MIB, workspace_bytes("8.9") / MIB
    (32, 8.125)
    """
    large = compute_capability is None or compute_capability.startswith(_LARGE_ON)
    return _LARGE_WORKSPACE if large else _WORKSPACE


def reserved_by_training(workload: Workload) -> tuple[float, float]:
    """Reserved over allocated bytes of a step: median and 95th percentile of simulated runs."""
    checkpointed = workload.checkpointing == "full"
    if workload.train == "full":
        return _RESERVED_BY_TRAINING["full", workload.precision, checkpointed]
    return _RESERVED_BY_TRAINING[workload.train or "lora", checkpointed]


def overheads(device: Device | None = None) -> tuple[Term, ...]:
    """Held by a process of PyTorch all the time, by policy rather than by formula."""
    return (context_term(device), _workspace_term(device))


def on_device(plan: Plan, device: Device) -> Plan:
    """The plan with the context and the workspace of a process on that device."""
    here = {term.name: term for term in overheads(device)}
    return replace(plan, overheads=tuple(here.get(term.name, term) for term in plan.overheads))


def context_term(device: Device | None = None) -> Term:
    """The driver's context, which every process on a device has."""
    capability = device.capability if device else None
    context = next((row for row in _CONTEXTS if capability is None or capability >= row.since), _CONTEXTS[-1])
    return Term(
        name="CUDA context",
        nbytes=context.nbytes,
        basis=Basis.ASSUMED,
        formula=f"driver context and loaded kernels, as on {context.device}",
        source=f"{context.source}; range: vLLM on an MI300X, transformers docs (V100)",
        low=_CONTEXT_LOW,
        high=_CONTEXT_HIGH,
    )


def _workspace_term(device: Device | None) -> Term:
    low, high, formula = _WORKSPACE, _LARGE_WORKSPACE, "2 × 4 MiB + 8 × 16 KiB; 32 MiB on Hopper"
    if device and device.compute_capability:
        low = high = workspace_bytes(device.compute_capability)
        formula = (
            f"{format_binary(low)}, as PyTorch asks for on compute capability {device.compute_capability}"
        )
    return Term(
        name="cuBLAS workspace",
        nbytes=low,
        basis=Basis.ASSUMED,
        formula=formula,
        source="PyTorch 2.8, CublasHandlePool.cpp",
        low=low,
        high=high,
    )
