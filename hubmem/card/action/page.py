"""What the Action says in Markdown, in the job's summary and in the comment."""

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from hubmem import diff
from hubmem.card.action.changes import Change
from hubmem.card.action.requirements import Judgement
from hubmem.card.action.result import NamedOutcome, Result
from hubmem.card.badge import badge_of
from hubmem.card.outcome import State
from hubmem.card.section import TITLE, section_text
from hubmem.fit.verdict import Answer
from hubmem.render.text import escape
from hubmem.units import format_gib

_SIGNS = {
    State.CURRENT: "✅ up to date",
    State.STALE: "❌ out of date",
    State.WRITTEN: "✏️ written",
    State.SKIPPED: "➖ skipped",
    State.FAILED: "⚠️ failed",
}
_ANSWERS = {Answer.FITS: "✅ fits", Answer.TIGHT: "🟡 tight", Answer.NO: "❌ does not fit"}


def page(result: Result) -> str:
    """The whole page."""
    blocks = [
        "## hubmem",
        _overview(result.outcomes),
        *_requirements(result.judgements),
        *_changes(result.changes),
        *(_details(each) for each in result.outcomes if each.outcome.card),
    ]
    return "\n\n".join(blocks)


def _overview(outcomes: Sequence[NamedOutcome]) -> str:
    headers = ["card", "model", "parameters", "GiB", "", "section"]
    return _table(headers, [row for each in outcomes for row in _rows(each)])


def _rows(named: NamedOutcome) -> Iterator[list[str]]:
    outcome = named.outcome
    sign = _SIGNS[outcome.state] + (f": {escape(outcome.message)}" if outcome.message else "")
    if not outcome.parts:
        yield [escape(named.name), "", "", "", "", sign]
    for part in outcome.parts:
        badge = badge_of(part.report)
        yield [
            escape(named.name),
            escape(part.subject.label),
            f"{part.report.census.parameters:,}",
            format_gib(part.report.plan.per_gpu_bytes),
            f"{badge.label} {badge.message}",
            sign,
        ]


def _requirements(judgements: Sequence[Judgement]) -> Iterator[str]:
    if judgements:
        rows = [
            [escape(each.model), escape(each.requirement.text), _ANSWERS[each.answer], escape(each.reason)]
            for each in judgements
        ]
        yield "### Requirements"
        yield _table(["model", "requirement", "", ""], rows)


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    for each in changes:
        yield f"### What this pull request changes for {escape(each.card)}"
        yield diff.render(each.difference, "markdown").rstrip("\n")


def _details(named: NamedOutcome) -> str:
    outcome = named.outcome
    assert outcome.card is not None
    text = section_text(outcome.parts, outcome.card.settings).removeprefix(TITLE).strip("\n")
    return f"<details><summary>{escape(named.name)}</summary>\n\n{text}\n\n</details>"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)
