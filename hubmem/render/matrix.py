"""The fit matrix in words: GPUs down, precisions across, each cell the smallest number that does."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tabulate import tabulate

from hubmem.fit.bands import band_source
from hubmem.fit.matrix import Verdict, columns
from hubmem.fit.splits import label_of
from hubmem.fit.verdict import Answer, Cell, weights_bytes
from hubmem.render.text import Page
from hubmem.report import Report
from hubmem.units import format_gib, format_tokens
from hubmem.weights import precision

TRAINING_LABELS = {"lora": "LoRA", "qlora": "QLoRA", "full": "Full"}
_COLOUR_OF = {Answer.FITS: "green", Answer.TIGHT: "yellow", Answer.NO: "red"}
# Of the weights as they are: FP8 by another rule, or 4 bits beside other scales, is no choice worth a column.
_NARROWER = 0.9
_PARALLELISM = {"TP": "tensor", "PP": "pipeline", "CP": "context", "EP": "expert", "DP": "data"}


def matrix(report: Report, page: Page, *, tablefmt: str = "plain", corner: str = "Fits?") -> str:
    """The whole table.

    Args:
        report: whose verdicts are shown.
        page: for its colours.
        tablefmt: as `tabulate` names it.
        corner: the heading of the GPUs.
    """
    names = _columns(report)
    headings = [corner, "usable GiB", *(precision_label(name, report) for name in names)]
    rows = [_row(verdict, names, page) for verdict in report.verdicts]
    if report.cache is not None:
        headings.append("longest context")
        for row, verdict in zip(rows, report.verdicts, strict=True):
            longest = verdict.context_at_smallest
            row.append(format_tokens(longest) if longest else "–")
    alignment = ("left", "right", *["left"] * (len(headings) - 2))
    return tabulate(rows, headers=headings, tablefmt=tablefmt, disable_numparse=True, colalign=alignment)


def _columns(report: Report) -> list[str | None]:
    """The workload's own precision and the narrower ones: FP8 says nothing new of a checkpoint in FP8."""
    own, *others = columns(report.workload)
    solver = report.verdicts[0].solver

    def weights_in(name: str | None) -> float:
        return weights_bytes(solver.plan_for, replace(solver.workload, weight_dtype=name))

    return [own, *(name for name in others if weights_in(name) < _NARROWER * weights_in(own))]


def _row(verdict: Verdict, names: Sequence[str | None], page: Page) -> list[str]:
    cells = _cells(verdict)
    usable = format_gib(verdict.fit.usable)
    return [gpu_label(verdict), usable, *(cell_text(cells[name], page) for name in names)]


def _cells(verdict: Verdict) -> dict[str | None, Cell]:
    return dict(zip(columns(verdict.solver.workload), verdict.cells, strict=True))


def gpu_label(verdict: Verdict) -> str:
    """What a verdict is about, with the number of GPUs where the user named one."""
    return f"{verdict.gpus}× {verdict.gpu.name}" if verdict.named and verdict.gpus > 1 else verdict.gpu.name


def cell_text(cell: Cell, page: Page) -> str:
    """The smallest number that does and how well, or `no`."""
    answer = cell.fit.answer
    if cell.gpus is None:
        return page.paint("no", "red")
    text = division(cell) + ("" if answer is Answer.FITS else f" {answer.value}")
    return page.paint(text, _COLOUR_OF[answer])


def division(cell: Cell) -> str:
    """How many GPUs, and how they share the work: `4× TP2·PP2`."""
    return f"{cell.gpus}× {label_of(cell.workload)}".strip() if cell.gpus else "no"


def precision_label(name: str | None, report: Report) -> str:
    """What a precision is called at the head of a column; None is that of the weights as stored."""
    if report.workload.train:
        return TRAINING_LABELS[report.workload.train]
    return stored_label(report) if name is None else precision.parse(name).label


def stored_label(report: Report) -> str:
    """What the weights are stored in: how they are quantized, else their dtype.

    >>> from hubmem import inspect
    >>> stored_label(inspect("openai/gpt-oss-20b", offline=True))
    '4-bit (mxfp4)'
    """
    packed = report.quantization
    if packed is None or packed.bits is None:
        return report.census.main_dtype
    return f"{packed.bits}-bit ({packed.method})"


def legend(report: Report) -> Iterator[str]:
    """What the cells of the matrix mean, a sentence each."""
    names = _columns(report)
    cells = [_cells(verdict)[name] for verdict in report.verdicts for name in names]
    labels = " ".join(label_of(cell.workload) for cell in cells if cell.gpus)
    ways = ", ".join(f"{way} ({name})" for name, way in _PARALLELISM.items() if name in labels)
    counts = "1×, 2×: GPUs needed" + (f", which share the work by {ways} parallelism." if ways else ".")
    compares = report.cache is not None and len(names) > 1
    yield counts + (
        " The longest context is that of the first precision, on so many GPUs." if compares else ""
    )
    plan = report.verdicts[0].plan
    if plan.share < 1:
        beside = " and ".join(term.name for term in plan.overheads if term.name in plan.beside_share)
        yield f"usable GiB: the {plan.share:.0%} that {report.workload.engine} may take; {beside} come on top."
    fits = [cell.fit for cell in cells] + [verdict.fit for verdict in report.verdicts if verdict.named]
    if any(fit.answer is Answer.TIGHT for fit in fits):
        yield f"tight: expected to fit, but not in the worst case, which counts {band_source(report.workload)}."
