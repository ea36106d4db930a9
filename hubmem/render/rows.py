"""The results of a scan as flat rows, and the rows as CSV and Markdown, one after the other.

A row is made from the JSON of a result, so a scan of any size is rendered without holding it.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubmem.render.text import escape, plain
from hubmem.units import format_gib, format_tokens

# A spreadsheet takes text that begins so for a formula, and a config may hold any text.
_FORMULA_STARTS = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One accelerator's verdict.

    Attributes:
        gpus: how many of it the verdict is about.
        verdict: `fits`, `tight` or `no`.
        required, usable: bytes on each of them.
    """

    gpus: int
    verdict: str
    required: int
    usable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One repo of a scan; what is not known, or does not apply to a skip, is None.

    Attributes:
        skipped: the reason there is no report, or "".
        message: the same in a sentence.
        cells: a verdict for each accelerator of the scan; empty for a skip.
    """

    repo: str
    commit: str | None
    skipped: str
    message: str
    model_type: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    format: str | None = None
    quantization: str | None = None
    stored_bytes: int | None = None
    max_context: int | None = None
    context: int | None = None
    batch: int | None = None
    cache_bytes: int | None = None
    total_bytes: int | None = None
    cells: tuple[Cell, ...] = ()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Row":
        """From a result's JSON: `hubmem.report/1` or `hubmem.skipped/1`."""
        if "reason" in value:
            return cls(
                repo=value["repo"],
                commit=value["commit"],
                skipped=value["reason"],
                message=value["message"],
            )
        architecture = value["architecture"] or {}
        parameters, weights, workload = value["parameters"], value["weights"], value["workload"]
        return cls(
            repo=value["repo"],
            commit=value["commit"],
            skipped="",
            message="",
            model_type=architecture.get("model_type"),
            parameters=parameters["total"],
            active_parameters=parameters["active"],
            format=weights["format"],
            quantization=(weights["quantization"] or {}).get("method"),
            stored_bytes=weights["stored_bytes"],
            max_context=architecture.get("max_context"),
            context=workload["context"],
            batch=workload["batch"],
            cache_bytes=(value["cache"] or {}).get("bytes"),
            total_bytes=value["plan"]["total_bytes"],
            cells=tuple(map(_cell, value["verdicts"])),
        )


def _cell(verdict: Mapping[str, Any]) -> Cell:
    return Cell(
        gpus=verdict["gpus"],
        verdict=verdict["verdict"],
        required=verdict["required_bytes"],
        usable=verdict["usable_bytes"],
    )


FIELDS = (
    "repo", "commit", "skipped", "model_type", "parameters", "active_parameters", "format", "quantization",
    "stored_bytes", "max_context", "context", "batch", "cache_bytes", "total_bytes",
)  # fmt: skip
"""The columns of a table of rows, before those of the accelerators."""


def flat_columns(gpus: Sequence[str]) -> list[str]:
    """All columns: for each accelerator its verdict, and how many of it the verdict is about."""
    return [*FIELDS, *(column for gpu in gpus for column in (gpu, f"{gpu} count"))]


def flat_values(row: Row, gpus: Sequence[str]) -> list[Any]:
    """A row's values in those columns, None where there is none."""
    cells = row.cells or (None,) * len(gpus)
    verdicts = [value for cell in cells for value in ((cell.verdict, cell.gpus) if cell else (None, None))]
    return [*(getattr(row, field) for field in FIELDS), *verdicts]


def render_csv(rows: Iterable[Row], gpus: Sequence[str]) -> Iterator[str]:
    """One line a repo, numbers bare, sizes in bytes."""
    yield csv_line(flat_columns(gpus))
    for row in rows:
        yield csv_line(flat_values(row, gpus))


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV, in which no text is taken for a formula."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(map(_no_formula, values))
    return out.getvalue()


def _no_formula(value: Any) -> Any:
    """Text that a spreadsheet shows and does not compute, on one line.

    >>> _no_formula("=1+1"), _no_formula("llama"), _no_formula(-1)
    ("'=1+1", 'llama', -1)
    """
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def render_markdown(rows: Iterable[Row], gpus: Sequence[str]) -> Iterator[str]:
    """A table with one line a repo."""
    headings = ["repo", "type", "parameters", "files GiB", "max context", "total GiB", *gpus]
    return markdown_table(headings, (_markdown_cells(row, gpus) for row in rows))


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A table; None is an empty cell, and no text can be markup."""
    yield _markdown_line(headings)
    yield _markdown_line(["---"] * len(headings))
    for row in rows:
        yield _markdown_line(["" if value is None else escape(str(value)) for value in row])


def _markdown_cells(row: Row, gpus: Sequence[str]) -> list[str]:
    if row.skipped:
        return [row.repo, f"skipped: {row.skipped}", *[""] * (4 + len(gpus))]
    return [
        row.repo,
        row.model_type or "unknown",
        f"{row.parameters or 0:,}",
        format_gib(row.stored_bytes or 0),
        format_tokens(row.max_context) if row.max_context else "–",
        format_gib(row.total_bytes or 0),
        *map(cell_text, row.cells),
    ]


def cell_text(cell: Cell) -> str:
    """A verdict in a word or two.

    >>> cell_text(Cell(gpus=2, verdict="tight", required=9, usable=9))
    '2× tight'
    """
    return cell.verdict if cell.verdict == "no" or cell.gpus == 1 else f"{cell.gpus}× {cell.verdict}"


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
