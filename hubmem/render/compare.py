"""Several reports side by side, and the same rows as CSV and Markdown."""

from collections.abc import Callable, Iterator, Sequence

from tabulate import tabulate

from hubmem.fit.matrix import columns
from hubmem.fit.splits import label_of
from hubmem.render.matrix import cell_text, gpu_label, precision_label, stored_label
from hubmem.render.rows import csv_line
from hubmem.render.text import PLAIN, Page, escape, plain
from hubmem.report import Report
from hubmem.units import format_gib, format_tokens

_Row = tuple[str, Callable[[Report], str]]

_CSV_COLUMNS = (
    "repo",
    "commit",
    "model_type",
    "parameters",
    "stored_bytes",
    "context",
    "batch",
    "cache_bytes",
    "per_gpu_bytes",
    "gpu",
    "usable_bytes",
    "precision",
    "gpus",
    "verdict",
    "division",
    "required_bytes",
    "advice",
)


def _architecture(report: Report) -> str:
    return plain(report.architecture.model_type) if report.architecture else "unknown"


def _cache(report: Report) -> str:
    return format_gib(report.cache.nbytes) if report.cache else "unknown"


def _context(report: Report) -> str:
    limit = report.architecture.max_context if report.architecture else None
    return format_tokens(limit) if limit else "–"


_ROWS: tuple[_Row, ...] = (
    ("repo", lambda report: plain(report.snapshot.listing.repo)),
    ("model type", _architecture),
    ("parameters", lambda report: f"{report.census.parameters:,}"),
    ("active", lambda report: f"{report.active_parameters:,}"),
    ("weights", stored_label),
    ("files GiB", lambda report: format_gib(report.census.stored_bytes)),
    ("max context", _context),
    ("batch × tokens", lambda report: f"{report.workload.batch} × {report.workload.context:,}"),
    ("cache GiB", _cache),
    ("total GiB", lambda report: format_gib(report.plan.per_gpu_bytes)),
)


def rows(reports: Sequence[Report], page: Page = PLAIN) -> list[list[str]]:
    """A heading and one text a report for each fact, then for each accelerator in the weights' own precision."""
    table = [[name, *(text(report) for report in reports)] for name, text in _ROWS]
    for number, verdict in enumerate(reports[0].verdicts):
        cells = [cell_text(report.verdicts[number].cells[0], page) for report in reports]
        table.append([gpu_label(verdict), *cells])
    return table


def render(reports: Sequence[Report], page: Page) -> str:
    """A table for a terminal."""
    heading, *body = rows(reports, page)
    return tabulate(body, headers=heading, tablefmt="plain", disable_numparse=True) + "\n"


def render_markdown(reports: Sequence[Report]) -> str:
    """A Markdown table."""
    heading, *body = ([escape(text) for text in row] for row in rows(reports))
    return tabulate(body, headers=heading, tablefmt="pipe", disable_numparse=True) + "\n"


def render_csv(reports: Sequence[Report]) -> str:
    """One line for each report and accelerator and precision, numbers bare, bytes as integers."""
    return "".join(map(csv_line, (_CSV_COLUMNS, *_csv_rows(reports))))


def _csv_rows(reports: Sequence[Report]) -> Iterator[Sequence[int | str]]:
    for report in reports:
        for verdict in report.verdicts:
            for name, cell in zip(columns(report.workload), verdict.cells, strict=True):
                yield [
                    report.snapshot.listing.repo,
                    report.snapshot.listing.commit or "",
                    report.architecture.model_type if report.architecture else "",
                    report.census.parameters,
                    report.census.stored_bytes,
                    report.workload.context,
                    report.workload.batch,
                    report.cache.nbytes if report.cache else "",
                    report.plan.per_gpu_bytes,
                    verdict.gpu.name,
                    verdict.fit.usable,
                    precision_label(name, report),
                    cell.gpus or "",
                    cell.fit.answer.value,
                    label_of(cell.workload) if cell.gpus else "",
                    cell.fit.required,
                    "; ".join(map(str, verdict.advice)) if name == report.workload.weight_dtype else "",
                ]
