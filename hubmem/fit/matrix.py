"""The fit matrix: accelerators down, precisions across, each cell the smallest number that does."""

from dataclasses import dataclass, replace
from functools import cached_property

from hubmem.fit.advise import Advice, changes_to_yes
from hubmem.fit.gpus import Gpu, Target
from hubmem.fit.verdict import Answer, Cell, Fit, Planner, hold, largest_batch, longest_context, smallest
from hubmem.memory.workload import Workload

# The precisions a checkpoint is commonly served in beside its own, by `hubmem.weights.precision`.
PRECISIONS: tuple[str | None, ...] = (None, "fp8", "nf4")


def columns(workload: Workload) -> tuple[str | None, ...]:
    """The precisions of the matrix: the workload's own first; training has no others to compare with."""
    return (workload.weight_dtype,) if workload.train else (workload.weight_dtype, *PRECISIONS[1:])


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One accelerator against one workload.

    Attributes:
        gpus: how many of it the verdict is about.
        named: whether the user asked about this accelerator, rather than being shown it.
        fit: of that many.
        cells: for each of the workload's `columns`, the smallest number that does (the asked number where one was asked).
        advice: what would turn a no into a yes.
        solver: answers the questions below, each when it is first asked.
    """

    gpu: Gpu
    gpus: int
    named: bool
    fit: Fit
    cells: tuple[Cell, ...]
    advice: tuple[Advice, ...]
    solver: "Solver"

    @cached_property
    def max_context(self) -> int | None:
        """The longest context for that many, the batch as asked; None where none fits or none is known."""
        return self.solver.longest_context(self.gpus, self.gpu)

    @cached_property
    def max_batch(self) -> int | None:
        """The most sequences for that many, the context as asked; None likewise."""
        return self.solver.largest_batch(self.gpus, self.gpu)

    @cached_property
    def context_at_smallest(self) -> int | None:
        """The longest context at the smallest number that does, the weights as asked."""
        needed = self.cells[0].gpus
        return self.solver.longest_context(needed, self.gpu) if needed else self.max_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """A model and a workload, to be asked what else would fit.

    Attributes:
        max_context: the model's own limit.
        depends_on_length: whether the plan knows a cache; without one, length and batch cost nothing it could see.
    """

    plan_for: Planner
    workload: Workload
    max_context: int | None
    depends_on_length: bool

    def longest_context(self, gpus: int, gpu: Gpu) -> int | None:
        """The longest context that many devices hold."""
        if not self.depends_on_length:
            return None
        return longest_context(self.plan_for, replace(self.workload, tp=gpus), gpu, self.max_context)

    def largest_batch(self, gpus: int, gpu: Gpu) -> int | None:
        """The most sequences that many devices hold."""
        if not self.depends_on_length:
            return None
        return largest_batch(self.plan_for, replace(self.workload, tp=gpus), gpu)

    def judge(self, target: Target, *, named: bool) -> Verdict:
        """Hold the workload against one accelerator in every precision.

        Args:
            target: the accelerator and how many of it.
            named: whether the user asked about it: then a bare name means one of it; of the usual ones the
                smallest number that does is meant.
        """
        plan_for, workload = self.plan_for, self.workload
        cells = tuple(
            smallest(plan_for, replace(workload, weight_dtype=dtype), target) for dtype in columns(workload)
        )
        gpus = target.count or (1 if named else cells[0].gpus) or 1
        asked = replace(workload, tp=gpus)
        fit = hold(plan_for(asked), target.gpu)
        no = fit.answer is Answer.NO
        return Verdict(
            gpu=target.gpu,
            gpus=gpus,
            named=named,
            fit=fit,
            cells=cells,
            advice=changes_to_yes(plan_for, asked, target.gpu, max_context=self.max_context)
            if no and named
            else (),
            solver=self,
        )
