"""The fit matrix: accelerators down, precisions across, each cell the smallest number that does."""

from dataclasses import dataclass, replace
from functools import cached_property

from hubmem.fit.abilities import cannot_run, cautions
from hubmem.fit.advise import Advice, changes_to_yes
from hubmem.fit.changes import Question
from hubmem.fit.gpus import Gpu, Target
from hubmem.fit.hosting import Host
from hubmem.fit.precisions import families, of_engine
from hubmem.fit.speed import Reading, most_tokens_per_second
from hubmem.fit.splits import is_divided
from hubmem.fit.verdict import (
    Answer,
    Cell,
    Fit,
    Planner,
    Settle,
    as_asked,
    largest_batch,
    longest_context,
    placed,
    smallest,
)
from hubmem.hub.siblings import Sibling
from hubmem.memory.device import on_device
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload


def columns(workload: Workload) -> tuple[str | None, ...]:
    """The precisions of the matrix: the workload's own first; training has no others to compare with."""
    if workload.train:
        return (workload.weight_dtype,)
    return tuple(dict.fromkeys((workload.weight_dtype, *of_engine(workload.engine).usual)))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One accelerator against one workload.

    Attributes:
        gpus: how many of it the verdict is about.
        named: whether the user asked about this accelerator, rather than being shown it.
        workload: as it is divided among that many.
        fit: of that many.
        cells: for each of the workload's `columns`, the smallest number that does (the asked number where one was asked).
        reason: why the answer is no whatever the memory, or "".
        cautions: what the accelerator lacks and the plan does not need.
        solver: answers the questions below, each when it is first asked.
    """

    gpu: Gpu
    gpus: int
    named: bool
    workload: Workload
    fit: Fit
    cells: tuple[Cell, ...]
    reason: str
    cautions: tuple[str, ...]
    solver: "Solver"

    @cached_property
    def plan(self) -> Plan:
        """The memory of each of them."""
        return on_device(self.solver.plan_for(self.workload), self.gpu.device)

    @cached_property
    def advice(self) -> tuple[Advice, ...]:
        """What would turn a no into a yes, the cheapest first; only for an accelerator the user named."""
        if self.fit.answer is not Answer.NO or not self.named or self.reason:
            return ()
        return changes_to_yes(self.solver.question(self.workload, self.gpu, self.gpus))

    @cached_property
    def max_context(self) -> int | None:
        """The longest context for that many, the batch as asked; None where none fits or none is known."""
        return None if self.reason else self.solver.longest_context(self.workload, self.gpu)

    @cached_property
    def max_batch(self) -> int | None:
        """The most sequences for that many, the context as asked; None likewise."""
        return None if self.reason else self.solver.largest_batch(self.workload, self.gpu)

    @property
    def users(self) -> int | None:
        """How many sequences of that context an engine with a pool of blocks serves at once; None for others."""
        if self.plan.pool is None or self.max_batch is None:
            return None
        return min(self.max_batch, self.workload.max_num_seqs or self.max_batch)

    @cached_property
    def context_at_smallest(self) -> int | None:
        """The longest context at the smallest number that does, the weights as asked."""
        cell = self.cells[0]
        return self.solver.longest_context(cell.workload, self.gpu) if cell.gpus else self.max_context

    @cached_property
    def largest_precision(self) -> str | None:
        """The widest precision that fits that many: `as stored`, or the name of one; None where none does."""
        if self.reason:
            return None
        return self.solver.largest_precision(self.gpu, self.gpus)

    @cached_property
    def tokens_per_second_at_most(self) -> float | None:
        """A bound on decoding by what must be read for a token; None where it does not fit or is not known."""
        if self.fit.answer is Answer.NO or self.workload.train:
            return None
        return most_tokens_per_second(self.solver.reading, self.workload, self.gpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """A model and a workload, to be asked what else would fit.

    Attributes:
        workload: as it was asked, whatever the device.
        settle: what its engine makes of it on a device.
        max_context: the model's own limit.
        depends_on_length: whether the plan knows a cache; without one, length and batch cost nothing it could see.
        layers: of its decoder, 0 where they are not known.
        stored_dtype: what most of its weights are stored in.
        reading: what a token must read; None where that is not known.
        siblings: quantized versions of it that others have published.
        host: what the machine beside the accelerators needs, where machines are to be advised.
    """

    plan_for: Planner
    workload: Workload
    settle: Settle = as_asked
    max_context: int | None
    depends_on_length: bool
    layers: int = 0
    stored_dtype: str = ""
    reading: Reading | None = None
    siblings: tuple[Sibling, ...] = ()
    host: Host | None = None

    def longest_context(self, workload: Workload, gpu: Gpu) -> int | None:
        """The longest context that the devices of a workload hold."""
        if not self.depends_on_length:
            return None
        return longest_context(self.plan_for, workload, gpu, self.max_context)

    def largest_batch(self, workload: Workload, gpu: Gpu) -> int | None:
        """The most sequences that the devices of a workload hold."""
        if not self.depends_on_length:
            return None
        return largest_batch(self.plan_for, workload, gpu)

    def largest_precision(self, gpu: Gpu, gpus: int) -> str | None:
        """The first of the workload's precisions, from wide to narrow, that fits that many."""
        target, here = Target(gpu=gpu, count=gpus), self.settle(self.workload, gpu)
        names = columns(self.workload)
        if names[0] is None and not self.workload.train:
            names = (None, *(family[0] for family in families(self.workload.engine, self.stored_dtype)))
        for name in names:
            cell = placed(self.plan_for, replace(here, weight_dtype=name), target)
            if cell and cell.fit.answer is not Answer.NO:
                return name or "as stored"
        return None

    def question(self, workload: Workload, gpu: Gpu, gpus: int) -> Question:
        """A workload that does not fit so many of an accelerator, to be advised on."""
        return Question(
            plan_for=self.plan_for,
            wanted=self.workload,
            settle=self.settle,
            asked=workload,
            gpu=gpu,
            gpus=gpus,
            max_context=self.max_context if self.depends_on_length else 0,
            layers=self.layers,
            stored_dtype=self.stored_dtype,
            host=self.host,
            siblings=self.siblings,
        )

    def judge(self, target: Target, *, named: bool) -> Verdict:
        """Hold the workload against one accelerator in every precision.

        Args:
            target: the accelerator and how many of it.
            named: whether the user asked about it: then a bare name means one of it; of the usual ones the
                smallest number that does is meant.

        Raises:
            UsageError: the model can have the workload on no number of devices.
        """
        here = self.settle(self.workload, target.gpu)
        cells = tuple(
            smallest(self.plan_for, replace(here, weight_dtype=dtype), target)
            for dtype in columns(self.workload)
        )
        gpus = target.count or self._gpus_meant(cells[0], named=named)
        asked = placed(self.plan_for, here, Target(gpu=target.gpu, count=gpus))
        assert asked, "a cell found a division, and this number is one it tried"
        reason = cannot_run(self.workload, target.gpu)
        return Verdict(
            gpu=target.gpu,
            gpus=gpus,
            named=named,
            workload=asked.workload,
            fit=replace(asked.fit, answer=Answer.NO) if reason else asked.fit,
            cells=tuple(map(_refused, cells)) if reason else cells,
            reason=reason,
            cautions=tuple(cautions(self.workload, target.gpu, self.stored_dtype)) if named else (),
            solver=self,
        )

    def _gpus_meant(self, cell: Cell, *, named: bool) -> int:
        """What a bare name means: as many as the workload is divided over, else one, else the smallest number."""
        if is_divided(self.workload):
            return self.workload.devices
        return 1 if named else cell.gpus or cell.workload.devices


def _refused(cell: Cell) -> Cell:
    return replace(cell, gpus=None, fit=replace(cell.fit, answer=Answer.NO))
