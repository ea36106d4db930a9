"""What turns a no into a yes: changes, each verified by planning it, the least painful first."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hubmem.errors import UsageError
from hubmem.fit.changes import OF_THE_MACHINE, OF_THE_WORKLOAD, Change, Question, is_yes
from hubmem.fit.verdict import Answer, hold, room
from hubmem.units import format_gib


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One change and what it leads to.

    Attributes:
        answer: the verdict after it.
        free: bytes left on the fullest device after it.
    """

    change: Change
    answer: Answer
    free: int

    def __str__(self) -> str:
        """The change with its outcome."""
        return f"{self.text} ({self.outcome})"

    @property
    def text(self) -> str:
        """The change in a few words, with the repo that has made it."""
        sibling = self.change.sibling
        return f"{self.change.text}, published as {sibling}" if sibling else self.change.text

    @property
    def outcome(self) -> str:
        """The verdict after it, what is left, and what the host must have."""
        host = f", {format_gib(self.change.host_bytes)} GiB of host RAM" if self.change.host_bytes else ""
        return f"{self.answer.value}, {format_gib(self.free)} GiB free{host}"


def changes_to_yes(question: Question) -> tuple[Advice, ...]:
    """Changes after which a workload that does not fit does, the cheapest first.

    Where no single change of the workload is enough, as few of them together as are.
    """
    single = [change for kind in OF_THE_WORKLOAD for change in kind(question)]
    here = [change for change in single if is_yes(question.plan_for, change)] or list(_together(question))
    elsewhere = (change for kind in OF_THE_MACHINE for change in kind(question))
    there = [change for change in elsewhere if is_yes(question.plan_for, change)]
    return tuple(_advice(question, change) for change in (*here, *there))


def _advice(question: Question, change: Change) -> Advice:
    fit = hold(question.plan_for(change.workload), change.gpu)
    return Advice(change=change, answer=fit.answer, free=fit.free)


def _together(question: Question) -> Iterator[Change]:
    """Changes of the workload one upon another, the cheapest first, until it fits; without those it fits without."""
    steps: list[Change] = []
    now = question
    for kind in OF_THE_WORKLOAD:
        furthest: Change | None = None
        for change in kind(now):
            if is_yes(question.plan_for, change):
                yield _joined(question, _needed(question, [*steps, change]))
                return
            if _gains(now, change):
                furthest = change
        if furthest:
            steps.append(furthest)
            now = replace(now, asked=furthest.workload)


def _gains(before: Question, change: Change) -> bool:
    """Whether a change leaves more room, enough or not."""
    try:
        after = room(before.plan_for(change.workload), change.gpu)
    except UsageError:
        return False
    return after > room(before.plan_for(before.asked), before.gpu)


def _needed(question: Question, steps: list[Change]) -> list[Change]:
    """The steps without which it would not fit, those that cost most left out first."""
    for step in reversed(steps[:-1]):
        others = [other for other in steps if other is not step]
        if is_yes(question.plan_for, _joined(question, others)):
            steps = others
    return steps


def _joined(question: Question, steps: list[Change]) -> Change:
    """Several changes as one."""
    fields: dict[str, Any] = {}
    for step in steps:
        fields |= step.fields
    return question.changed(
        " + ".join(step.text for step in steps),
        sibling=next((step.sibling for step in steps if step.sibling), None),
        **fields,
    )
