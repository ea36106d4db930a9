"""What turns a no into a yes: single changes, each verified by planning it, the least painful first.

The order is of cost to what the user wanted: first what changes nothing but memory layout, then precision, then
length, then money.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hubmem.fit.gpus import Gpu, Target, catalogue
from hubmem.fit.verdict import Answer, Fit, Planner, hold, longest_context, smallest
from hubmem.memory.workload import Workload
from hubmem.units import format_gib, format_tokens

# Precisions in the order of what they cost in quality; published evaluations agree on it.
_PRECISIONS = (("fp8", "FP8 weights"), ("nf4", "4-bit weights (nf4)"))
# Contexts are advised in steps of this many tokens; one shorter than a step answers another question.
_ROUND_CONTEXT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One change and what it leads to.

    Attributes:
        change: what to do, in a few words.
        answer: the verdict after it.
        free: bytes left on the fullest device after it.
    """

    change: str
    answer: Answer
    free: int

    def __str__(self) -> str:
        """The change with its outcome."""
        return f"{self.change} ({self.answer.value}, {format_gib(self.free)} GiB free)"


def changes_to_yes(
    plan_for: Planner, asked: Workload, gpu: Gpu, *, max_context: int | None
) -> tuple[Advice, ...]:
    """Single changes after which a workload that does not fit does, the cheapest first."""
    return tuple(_changes(plan_for, asked, gpu, max_context))


def _changes(plan_for: Planner, asked: Workload, gpu: Gpu, max_context: int | None) -> Iterator[Advice]:
    if asked.weight_dtype is None:
        for dtype, label in _PRECISIONS:
            yield from _if_yes(label, hold(plan_for(replace(asked, weight_dtype=dtype)), gpu))
    context = longest_context(plan_for, asked, gpu, max_context)
    if context and context >= _ROUND_CONTEXT:
        round_context = context - context % _ROUND_CONTEXT
        shorter = replace(asked, context=round_context)
        yield from _if_yes(f"a context of {format_tokens(round_context)}", hold(plan_for(shorter), gpu))
    more = smallest(plan_for, asked, Target(gpu=gpu, count=None))
    if more.gpus:
        yield from _if_yes(f"{more.gpus}× {gpu.name} (TP{more.gpus})", more.fit)
    bigger = _next_bigger(plan_for, asked, gpu)
    if bigger:
        yield bigger


def _next_bigger(plan_for: Planner, asked: Workload, gpu: Gpu) -> Advice | None:
    """The accelerator of the same maker and kind with the least memory that is enough."""
    plan = plan_for(asked)
    alike = [other for other in catalogue() if (other.vendor, other.kind) == (gpu.vendor, gpu.kind)]
    for other in sorted(alike, key=lambda other: other.memory_bytes):
        fit = hold(plan, other)
        if fit.answer is Answer.FITS:
            return next(_if_yes(f"{asked.tp}× {other.name}", fit))
    return None


def _if_yes(change: str, fit: Fit) -> Iterator[Advice]:
    if fit.answer is not Answer.NO:
        yield Advice(change=change, answer=fit.answer, free=fit.usable - fit.required)
