"""What a model asks of the machine beside its accelerators, and which rented machines it would fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hubmem.fit.abilities import cannot_run
from hubmem.fit.gpus import Gpu, Machine, Target, find, machines
from hubmem.fit.splits import is_divided
from hubmem.fit.verdict import COUNTS, Answer, Cell, Planner, placed
from hubmem.memory.workload import Workload
from hubmem.units import GIB
from hubmem.weights.census import Census

USUAL_BANDWIDTH = "1Gbit/s"
"""Of the usual network card, for a download nobody has said the speed of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine's side of a model.

    Attributes:
        disk_bytes: of the files that are loaded.
        load_bytes: RAM to load them: loaders go through one file at a time, so the largest file.
        bits_per_second: of the network the download is reckoned with.
        resident_bytes: what stays in RAM while it runs.
    """

    disk_bytes: int
    load_bytes: int
    bits_per_second: int
    resident_bytes: int = 0

    @classmethod
    def of(cls, census: Census, bits_per_second: int) -> "Host":
        """Of a model's files, before a plan is made."""
        sizes = census.by_file().values()
        # A bundled snapshot has one entry for all its files: their mean then stands for the largest.
        all_known = len(sizes) == census.files
        return cls(
            disk_bytes=census.stored_bytes,
            load_bytes=max(sizes) if all_known else -(-census.stored_bytes // max(1, census.files)),
            bits_per_second=bits_per_second,
        )

    @property
    def ram_bytes(self) -> int:
        """RAM for loading, beside what stays there."""
        return self.load_bytes + self.resident_bytes

    @property
    def download_seconds(self) -> float:
        """Files ÷ bandwidth: no shorter time is possible."""
        return 8 * self.disk_bytes / self.bits_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A rented machine that a workload fits.

    Attributes:
        cell: how many of its accelerators are enough, and how they share the work.
    """

    machine: Machine
    cell: Cell


def offers(plan_for: Planner, on: Callable[[Gpu], Workload], host: Host) -> tuple[Offer, ...]:
    """Every known machine that a workload fits, by the memory of its accelerators, then by its RAM.

    Machines whose RAM cannot load the files are left out, unless their RAM is not known.

    Args:
        plan_for: the plan of a workload.
        on: the workload on an accelerator.
        host: what a machine must have beside it.

    Raises:
        UsageError: the model can have the workload on no number of devices.
    """
    found = (
        Offer(machine=machine, cell=cell)
        for machine in machines()
        if machine.host_ram_gib is None or machine.host_ram_gib * GIB >= host.ram_bytes
        if (cell := _on(machine, plan_for, on(find(machine.gpu))))
    )
    return tuple(sorted(found, key=lambda offer: (_memory(offer.machine), offer.machine.host_ram_gib or 0)))


def _on(machine: Machine, plan_for: Planner, workload: Workload) -> Cell | None:
    gpu = find(machine.gpu)
    if cannot_run(workload, gpu):
        return None
    for count in _counts(workload, machine.gpus):
        cell = placed(plan_for, workload, Target(gpu=gpu, count=count))
        if cell and cell.fit.answer is not Answer.NO:
            return cell
    return None


def _counts(workload: Workload, most: int) -> Sequence[int]:
    if is_divided(workload):
        return [workload.devices] if workload.devices <= most else []
    return sorted({*(count for count in COUNTS if count < most), most})


def _memory(machine: Machine) -> int:
    return machine.gpus * find(machine.gpu).memory_bytes
