"""How so many devices may share a workload: every division worth a plan, the usual one first."""

from collections.abc import Iterator
from dataclasses import replace

from hubmem.errors import UsageError
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.workload import Workload

_WHOLE_STATES = 3


def splits(workload: Workload, count: int) -> Iterator[Workload]:
    """The workload over that many devices: as it says itself, else in every way, tensor parallelism first.

    Training is also shared as its optimizer's states are (ZeRO-3, FSDP), each device with a batch of its own.

    >>> [label_of(each) for each in splits(Workload(), 4)]
    ['TP4', 'TP2·PP2', 'PP4']

    Raises:
        UsageError: it says how it is divided, and not over so many.
    """
    if is_divided(workload):
        if workload.devices != count:
            raise UsageError(
                f"{label_of(workload)} takes {workload.devices} GPUs, and {count} are named.",
                hint="Leave out the number of GPUs, or how they share the work.",
            )
        yield workload
        return
    if workload.train and count > 1:
        yield replace(workload, dp=count, zero=_WHOLE_STATES)
    if engine_of(workload.engine, workload.engine_version).splits_layers:
        yield replace(workload, pp=count)
        return
    for tp in range(count, 0, -1):
        if count % tp == 0:
            yield replace(workload, tp=tp, pp=count // tp)


def is_divided(workload: Workload) -> bool:
    """Whether the workload says itself over how many devices it goes."""
    return workload.devices > 1


def label_of(workload: Workload) -> str:
    """The division in a word, "" for one device.

    >>> label_of(Workload(tp=4, ep=4)), label_of(Workload(train="full", dp=8, zero=3)), label_of(Workload())
    ('TP4·EP4', 'ZeRO-3 DP8', '')
    """
    ranks = {"TP": workload.tp, "PP": workload.pp, "CP": workload.cp, "EP": workload.ep, "DP": workload.dp}
    label = "·".join(f"{name}{count}" for name, count in ranks.items() if count > 1)
    return f"ZeRO-{workload.zero} {label}" if workload.zero and workload.dp > 1 else label
