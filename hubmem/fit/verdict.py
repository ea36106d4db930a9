"""Whether a plan fits an accelerator, and the smallest number of them that does.

Every question is answered by planning: a solver changes one number of the workload and asks for the plan again,
so no answer can disagree with the plan a user would get for that number.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from hubmem.errors import UsageError
from hubmem.fit.gpus import Gpu, Target
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload

Planner = Callable[[Workload], Plan]
"""The plan of a workload for the model at hand; raises `UsageError` for one the model cannot have."""

# Devices that one machine or one fast domain holds; more of them is a cluster, which has its own questions.
_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
# Where a model names no limit of its own, longer than any that is served today.
_LONGEST_CONTEXT = 2**24
_LARGEST_BATCH = 2**16


class Answer(str, Enum):
    """The three answers."""

    FITS = "fits"
    """Even when the allocator reserves as much as it has been seen to."""
    TIGHT = "tight"
    """What is allocated fits; what the allocator reserves beside it may not."""
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A plan held against a device.

    Attributes:
        required: bytes the fullest device needs: allocated at the peak, and overheads.
        usable: bytes the driver gives a process.
    """

    answer: Answer
    required: int
    usable: int

    @property
    def short(self) -> int:
        """Bytes that are missing, 0 where none are."""
        return max(0, self.required - self.usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The smallest number of one accelerator that runs a workload, or what one would need where none does."""

    gpus: int | None
    fit: Fit


def hold(plan: Plan, gpu: Gpu) -> Fit:
    """Hold a plan against one device.

    A card near its limit hands cached blocks back before it fails, so what is allocated decides between yes and
    no, and what is reserved between `fits` and `tight`.
    """
    overheads = plan.per_gpu_bytes - plan.allocated_bytes
    _, reserved_at_most = plan.reserved_bytes
    if plan.per_gpu_bytes > gpu.memory_bytes:
        answer = Answer.NO
    else:
        answer = Answer.FITS if reserved_at_most + overheads <= gpu.memory_bytes else Answer.TIGHT
    return Fit(answer=answer, required=plan.per_gpu_bytes, usable=gpu.memory_bytes)


def smallest(plan_for: Planner, workload: Workload, target: Target) -> Cell:
    """The smallest legal number of devices that runs the workload by tensor parallelism; just `count` where it is given.

    Raises:
        UsageError: the model can have it on no number of devices.
    """
    best: Fit | None = None
    refusal: UsageError | None = None
    for count in (target.count,) if target.count else _COUNTS:
        try:
            fit = hold(plan_for(replace(workload, tp=count)), target.gpu)
        except UsageError as error:
            refusal = refusal or error
            continue
        if fit.answer is not Answer.NO:
            return Cell(gpus=count, fit=fit)
        best = best or fit
    if best is None:
        assert refusal is not None
        raise refusal
    return Cell(gpus=None, fit=best)


def longest_context(plan_for: Planner, workload: Workload, gpu: Gpu, most: int | None) -> int | None:
    """The longest context that still fits, up to the model's own limit; None where no length does."""
    return _largest(
        lambda context: _room(plan_for(replace(workload, context=context)), gpu), most or _LONGEST_CONTEXT
    )


def largest_batch(plan_for: Planner, workload: Workload, gpu: Gpu) -> int | None:
    """The most sequences at once that still fit; None where not even one does."""
    return _largest(lambda batch: _room(plan_for(replace(workload, batch=batch)), gpu), _LARGEST_BATCH)


def _room(plan: Plan, gpu: Gpu) -> int:
    """Bytes left on the fullest device; negative where they are missing."""
    return gpu.memory_bytes - plan.per_gpu_bytes


def _largest(room: Callable[[int], int], most: int) -> int | None:
    """The largest number up to `most` that leaves room, where larger numbers never leave more.

    Memory is nearly linear in what is asked, so a straight line between a number that fits and one that does
    not guesses the border well; every other step halves the interval, which bounds the number of plans.

    >>> _largest(lambda n: 1000 - n * n, 10**6)
    31
    """
    low, high = 1, most
    room_low, room_high = room(low), room(high)
    if room_high >= 0:
        return most
    if room_low < 0:
        return None
    halve = False
    while high - low > 1:
        on_the_line = low + (high - low) * room_low // (room_low - room_high)
        guess = (low + high) // 2 if halve else min(max(on_the_line, low + 1), high - 1)
        room_guess = room(guess)
        if room_guess >= 0:
            low, room_low = guess, room_guess
        else:
            high, room_high = guess, room_guess
        halve = not halve
    return low
