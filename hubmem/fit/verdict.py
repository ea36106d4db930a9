"""Whether a plan fits an accelerator, and the smallest number of them that does.

Every question is answered by planning: a solver changes one number of the workload and asks for the plan again,
so no answer can disagree with the plan a user would get for that number.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import cycle

from hubmem.errors import UsageError
from hubmem.fit.gpus import Gpu, Target
from hubmem.fit.splits import is_divided, splits
from hubmem.memory.device import on_device
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload

Planner = Callable[[Workload], Plan]
"""The plan of a workload for the model at hand; raises `UsageError` for one the model cannot have."""

Settle = Callable[[Workload, Gpu], Workload]
"""A workload with what its engine decides by the device it finds."""


def as_asked(workload: Workload, gpu: Gpu) -> Workload:  # noqa: ARG001 - decides nothing
    """The workload of an engine that decides nothing by the device."""
    return workload


COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
"""Devices that one machine or one fast domain holds; more of them is a cluster, which has its own questions."""
# Longer than any that is served today; some models name no limit of their own, or an absurd one.
_LONGEST_CONTEXT = 2**24
_LARGEST_BATCH = 2**16
# No model has more attention heads than this to divide.
_MOST_RANKS = 128


class Answer(str, Enum):
    """The three answers."""

    FITS = "fits"
    """Even at the upper end of what has been measured."""
    TIGHT = "tight"
    """What is expected fits; the upper end of what has been measured does not."""
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A plan held against a device.

    Attributes:
        required: bytes the fullest device is expected to need.
        at_most: the upper end of the band that measurements leave around it.
        usable: bytes it may have: the driver's memory, or an engine's share of it.
    """

    answer: Answer
    required: int
    at_most: int
    usable: int

    @property
    def short(self) -> int:
        """Bytes that are missing, 0 where none are."""
        return max(0, self.required - self.usable)

    @property
    def free(self) -> int:
        """Bytes that are left, 0 where none are."""
        return max(0, self.usable - self.required)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The smallest number of one accelerator that runs a workload, or what one would need where none does.

    Attributes:
        workload: as it is divided among them.
    """

    gpus: int | None
    fit: Fit
    workload: Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """So many bytes, at most so many, and how many there may be."""

    required: int
    at_most: int
    usable: int

    @property
    def room(self) -> int:
        return self.usable - self.required


def hold(plan: Plan, gpu: Gpu) -> Fit:
    """Hold a plan against one device.

    A card near its limit hands cached blocks back before it fails, so what is expected decides between yes and
    no, and the upper end of what has been measured between `fits` and `tight`.
    """
    whole, share = _limits(plan, gpu)
    deciding = min(whole, share, key=lambda limit: limit.room)
    if deciding.room < 0:
        answer = Answer.NO
    else:
        within = all(limit.at_most <= limit.usable for limit in (whole, share))
        answer = Answer.FITS if within else Answer.TIGHT
    return Fit(answer=answer, required=deciding.required, at_most=deciding.at_most, usable=deciding.usable)


def _limits(plan: Plan, gpu: Gpu) -> tuple[_Limit, _Limit]:
    """All that a device holds within its memory, and what an engine counts within its share of it.

    The band: the allocator's reserve at its 95th percentile, and each assumed overhead at its largest.
    """
    plan = on_device(plan, gpu.device)
    _, reserved = plan.reserved_bytes
    counted = [term for term in plan.overheads if term.name not in plan.beside_share]
    whole = _Limit(
        required=plan.per_gpu_bytes,
        at_most=reserved + sum(term.range[1] for term in plan.overheads),
        usable=gpu.memory_bytes,
    )
    share = _Limit(
        required=plan.allocated_bytes + sum(term.nbytes for term in counted),
        at_most=reserved + sum(term.range[1] for term in counted),
        usable=plan.share_bytes(gpu.memory_bytes),
    )
    return whole, share


def room(plan: Plan, gpu: Gpu) -> int:
    """Bytes left on the fullest device; negative where they are missing."""
    return min(limit.room for limit in _limits(plan, gpu))


def smallest(plan_for: Planner, workload: Workload, target: Target) -> Cell:
    """The smallest number of devices that runs the workload, and how they share it; just `count` where it is given.

    Raises:
        UsageError: the model can have it on no number of devices.
    """
    counts = (target.count,) if target.count else COUNTS
    if is_divided(workload) and not target.count:
        counts = (workload.devices,)
    best: Cell | None = None
    for count in counts:
        if best and _hopeless(plan_for, workload, target.gpu, count):
            continue
        cell = placed(plan_for, workload, Target(gpu=target.gpu, count=count))
        if cell and cell.fit.answer is not Answer.NO:
            return cell
        best = best or cell
    if best is None:
        raise _undividable(plan_for, workload, counts)
    return replace(best, gpus=None)


def _hopeless(plan_for: Planner, workload: Workload, gpu: Gpu, count: int) -> bool:
    """Whether the weights alone are more than all of them together: no division can help, and none is planned."""
    try:
        weights = plan_for(workload).of("weights")
    except UsageError:
        return False
    return weights is not None and weights.nbytes > count * gpu.memory_bytes


def weights_bytes(plan_for: Planner, workload: Workload) -> float:
    """Bytes of the weights alone; infinite for those the model cannot have."""
    try:
        term = plan_for(workload).of("weights")
    except UsageError:
        return math.inf
    return term.nbytes if term else 0


def placed(plan_for: Planner, workload: Workload, target: Target) -> Cell | None:
    """A workload on just so many devices: the first division that fits, else the first there is; None without one."""
    best: Cell | None = None
    assert target.count
    for divided in _possible(plan_for, splits(workload, target.count)):
        fit = hold(plan_for(divided), target.gpu)
        cell = Cell(gpus=target.count, fit=fit, workload=divided)
        if fit.answer is not Answer.NO:
            return cell
        best = best or cell
    return best


def legal_ranks(plan_for: Planner, workload: Workload) -> tuple[int, ...]:
    """Every number of tensor-parallel ranks the model can be split over."""
    candidates = (replace(workload, tp=count, pp=1) for count in range(1, _MOST_RANKS + 1))
    return tuple(each.tp for each in _possible(plan_for, candidates))


def _possible(plan_for: Planner, workloads: Iterator[Workload]) -> Iterator[Workload]:
    for workload in workloads:
        try:
            plan_for(workload)
        except UsageError:
            continue
        yield workload


def _undividable(plan_for: Planner, workload: Workload, counts: tuple[int, ...]) -> UsageError:
    """Why the model can have it on none of these numbers of devices, and on which it could."""
    try:
        plan_for(next(splits(workload, counts[0])))
    except UsageError as error:
        legal = ", ".join(map(str, legal_ranks(plan_for, replace(workload, tp=1, pp=1, ep=1))))
        divided = legal and counts[0] > 1 and (workload.tp > 1 or not is_divided(workload))
        return UsageError(
            str(error), hint=f"Tensor parallelism can be over {legal}." if divided else error.hint
        )
    raise AssertionError("one of these numbers has a plan")


def longest_context(plan_for: Planner, workload: Workload, gpu: Gpu, most: int | None) -> int | None:
    """The longest context that still fits, up to the model's own limit; None where no length does."""
    return largest(
        lambda context: room(plan_for(replace(workload, context=context)), gpu),
        min(most or _LONGEST_CONTEXT, _LONGEST_CONTEXT),
    )


def largest_batch(plan_for: Planner, workload: Workload, gpu: Gpu) -> int | None:
    """The most sequences at once that still fit; None where not even one does."""
    return largest(lambda batch: room(plan_for(replace(workload, batch=batch)), gpu), _LARGEST_BATCH)


def largest(room_at: Callable[[int], int], most: int, *, least: int = 1) -> int | None:
    """The largest number from `least` to `most` that leaves room, where larger numbers never leave more.

    Memory is nearly linear in what is asked, so a straight line between a number that fits and one that does
    not guesses the border well, and the number beside it settles that; else the interval is halved, which bounds
    the number of plans.

    >>> largest(lambda n: 1000 - n * n, 10**6)
    31
    """
    low, high = least, most
    room_low, room_high = room_at(low), room_at(high)
    if room_high >= 0:
        return most
    if room_low < 0:
        return None
    guess, steps = low, cycle(("line", "beside", "halve"))
    while high - low > 1:
        step = next(steps)
        if step == "line":
            on_the_line = low + (high - low) * room_low // (room_low - room_high)
            guess = min(max(on_the_line, low + 1), high - 1)
        elif step == "beside":
            guess = low + 1 if guess == low else high - 1
        else:
            guess = (low + high) // 2
        room_guess = room_at(guess)
        if room_guess >= 0:
            low, room_low = guess, room_guess
        else:
            high, room_high = guess, room_guess
    return low
