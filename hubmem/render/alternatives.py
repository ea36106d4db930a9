"""The models of a repo that are alternatives to each other, one a line: the one reported on and the others."""

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from hubmem.fit.alternatives import Alternative
from hubmem.fit.verdict import Answer, Fit
from hubmem.render.text import Page, plain
from hubmem.report import Report
from hubmem.units import format_gib
from hubmem.weights.layout import label_of

_MARKS = {Answer.FITS: "yes", Answer.TIGHT: "tight", Answer.NO: "no"}
# Accelerators beside the four columns of figures, on a page of a hundred.
_MOST_COLUMNS = 4


def table(report: Report, page: Page) -> list[str]:
    """Size, width, memory and fit of each, smallest first; the one reported on has a star."""
    others = report.alternatives()
    rows = [(report.census.stored_bytes, _own_row(report)), *((each.nbytes, _row(each)) for each in others)]
    text = tabulate(
        [row for _, row in sorted(rows, key=lambda row: row[0])],
        headers=["Alternatives", "weights GiB", "bits", "total GiB", *_accelerators(report)],
        tablefmt="plain",
        disable_numparse=True,
        colalign=("left", "right", "right", "right", *["left"] * len(_accelerators(report))),
    )
    told = f"* as reported above; the others by the length of their files. --file {plain(others[0].file)} reads one."
    return [*text.splitlines(), *page.paragraph(told, rest="  ")]


def _accelerators(report: Report) -> list[str]:
    """Those there is room for."""
    return [f"{verdict.gpus}× {verdict.gpu.name}" for verdict in report.verdicts[:_MOST_COLUMNS]]


def _own_row(report: Report) -> list[str]:
    fits = [verdict.fit for verdict in report.verdicts]
    bits = 8 * report.census.stored_bytes / report.census.parameters if report.census.parameters else None
    label = plain(label_of(next(iter(report.census.by_file()))))
    return [
        f"* {label}",
        *_figures(report.census.stored_bytes, bits, report.plan.per_gpu_bytes),
        *_marks(fits),
    ]


def _row(alternative: Alternative) -> list[str]:
    total = alternative.plan.per_gpu_bytes if alternative.plan else None
    figures = _figures(alternative.nbytes, alternative.bits_per_weight, total)
    return [f"  {plain(alternative.label)}", *figures, *_marks(alternative.fits)]


def _figures(nbytes: int, bits: float | None, total: int | None) -> Iterator[str]:
    yield format_gib(nbytes)
    yield f"{bits:.2f}" if bits else "–"
    yield format_gib(total) if total else "–"


def _marks(fits: Sequence[Fit]) -> list[str]:
    return [_MARKS[fit.answer] for fit in fits[:_MOST_COLUMNS]]
