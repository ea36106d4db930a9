"""What data-parallel ranks share: ZeRO's stages, FSDP, plain copies, and what lies in the host's memory."""

from dataclasses import dataclass

from hubmem.errors import UsageError
from hubmem.memory.training.optimizers import Optimizer
from hubmem.memory.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """By how much a rank holds less of each part of the model's states.

    Attributes:
        weights, gradients, states: ranks that share them; 0 where they lie in the host's memory.
        master: whether there is a float32 copy of half-precision weights beside the optimizer's states.
        gathers: whether weights are brought together layer by layer.
        buckets: whether gradients have a second copy in the buckets they are reduced in.
    """

    weights: int = 1
    gradients: int = 1
    states: int = 1
    master: bool = False
    gathers: bool = False
    buckets: bool = False


def partition_of(workload: Workload, optimizer: Optimizer) -> Partition:
    """What the workload's stage and offload share or send away.

    Raises:
        UsageError: two of them contradict each other.
    """
    check_offload(workload, optimizer)
    n, stage = workload.dp * workload.cp, workload.zero
    away = workload.offload != "none"
    return Partition(
        weights=0 if workload.offload == "parameters" else n if stage == 3 else 1,
        gradients=0 if away and stage >= 2 else n if stage >= 2 else 1,
        states=0 if away else n if stage >= 1 else 1,
        master=has_master(workload),
        gathers=stage == 3,
        buckets=stage == 0 and n > 1,
    )


def has_master(workload: Workload) -> bool:
    """Mixed precision under ZeRO has bf16 weights and a float32 copy; autocast has float32 alone."""
    return workload.zero > 0 and workload.train == "full" and workload.precision == "amp"


def shared(nbytes: int, ranks: int) -> int:
    """Bytes on one of so many ranks, the last filled up; none where there is no rank.

    >>> shared(10, 4), shared(10, 0)
    (3, 0)
    """
    return -(-nbytes // ranks) if ranks else 0


def check_offload(workload: Workload, optimizer: Optimizer) -> None:
    """Nothing, if the stage and the optimizer allow what lies in the host's memory.

    Raises:
        UsageError: they do not, both named.
    """
    if workload.offload != "none" and not workload.zero:
        raise UsageError(
            f"--offload {workload.offload} is ZeRO's, and --zero is 0.", hint="Ask for --zero 1, 2 or 3."
        )
    if workload.offload == "parameters" and workload.zero < 3:
        raise UsageError(
            f"--offload parameters needs --zero 3, which shares them, not --zero {workload.zero}."
        )
    if workload.offload != "none" and optimizer.device_only:
        raise UsageError(
            f"{optimizer.label} runs on a GPU, and --offload {workload.offload} puts it on the host.",
            hint="Take adamw.",
        )
