"""The fit matrix: accelerators down, precisions across, each cell the smallest number that does."""

from dataclasses import dataclass, replace

from hubmem.fit.advise import Advice, changes_to_yes
from hubmem.fit.gpus import Gpu, Target
from hubmem.fit.verdict import Answer, Cell, Fit, Planner, hold, largest_batch, longest_context, smallest
from hubmem.memory.workload import Workload

# The precisions a checkpoint is commonly served in beside its own, by `hubmem.weights.precision`.
PRECISIONS: tuple[str | None, ...] = (None, "fp8", "nf4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One accelerator against one workload.

    Attributes:
        gpus: how many of it the verdict is about.
        fit: of that many.
        max_context, max_batch: for that many, the other held as asked; None where none fits or none is known.
        cells: for each of `PRECISIONS`, the smallest number that does (the asked number where one was asked).
        context_at_smallest: the longest context at the smallest number for the weights as asked.
        advice: what would turn a no into a yes.
    """

    gpu: Gpu
    gpus: int
    fit: Fit
    max_context: int | None
    max_batch: int | None
    cells: tuple[Cell, ...]
    context_at_smallest: int | None
    advice: tuple[Advice, ...]


def judge(
    plan_for: Planner, workload: Workload, target: Target, *, named: bool, max_context: int | None, solvable: bool
) -> Verdict:
    """Hold a workload against one accelerator in every precision, and solve for what would still fit.

    Args:
        named: whether the user asked about this accelerator: then a bare name means one of it; of the usual
            ones the smallest number is meant.
        max_context: the model's own limit.
        solvable: whether the plan depends on context and batch, which it does not for an unknown cache.
    """
    own_first = (workload.weight_dtype, *PRECISIONS[1:])
    cells = tuple(smallest(plan_for, replace(workload, weight_dtype=dtype), target) for dtype in own_first)
    needed = cells[0].gpus
    gpus = target.count or (1 if named else needed) or 1
    asked = replace(workload, tp=gpus)
    fit = hold(plan_for(asked), target.gpu)
    longest = longest_context(plan_for, asked, target.gpu, max_context) if solvable else None
    at_smallest = longest
    if solvable and needed and needed != gpus:
        at_smallest = longest_context(plan_for, replace(workload, tp=needed), target.gpu, max_context)
    return Verdict(
        gpu=target.gpu,
        gpus=gpus,
        fit=fit,
        max_context=longest,
        max_batch=largest_batch(plan_for, asked, target.gpu) if solvable else None,
        cells=cells,
        context_at_smallest=at_smallest,
        advice=changes_to_yes(plan_for, asked, target.gpu, max_context=max_context) if fit.answer is Answer.NO else (),
    )

