"""What a change of a model changes: its parameters, its memory, and where it fits.

Both sides are reports of the same workload, so whatever differs is the model's.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tabulate import tabulate

from hubmem.fit.precisions import PRECISIONS
from hubmem.fit.verdict import Cell
from hubmem.render.matrix import cell_text, precision_label
from hubmem.render.text import PLAIN, escape, plain
from hubmem.report import Report
from hubmem.units import format_binary

SCHEMA = "hubmem.diff/1"
_ABSENT = "–"

Value = int | str | None


class Unit(str, Enum):
    """How a value is written."""

    COUNT = "count"
    BYTES = "bytes"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something a report says, as one value.

    Attributes:
        essential: whether it is shown though it has not changed.
    """

    name: str
    unit: Unit
    value: Callable[[Report], Value]
    essential: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fact of both sides."""

    fact: Fact
    old: Value
    new: Value

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.old != self.new

    @property
    def change(self) -> int | None:
        """By how much a number grew, or None for what is no number on both sides."""
        if isinstance(self.old, int) and isinstance(self.new, int):
            return self.new - self.old
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """One accelerator and precision on both sides."""

    gpu: str
    precision: str
    old: Cell
    new: Cell

    @property
    def changed(self) -> bool:
        """Whether the number of devices or the answer differs."""
        return (self.old.gpus, self.old.fit.answer) != (self.new.gpus, self.new.fit.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two reports of one workload, side by side.

    Attributes:
        rows: every fact, changed or not.
        verdicts: every accelerator and precision that both were held against.
    """

    old: Report
    new: Report
    rows: tuple[Row, ...]
    verdicts: tuple[VerdictRow, ...]

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        facts = any(row.changed for row in self.rows)
        return facts or any(verdict.changed for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """The difference as JSON values, schema `hubmem.diff/1`."""
        return {
            "schema": SCHEMA,
            "old": _side(self.old),
            "new": _side(self.new),
            "changed": self.changed,
            "facts": [_row_dict(row) for row in self.rows],
            "verdicts": [_verdict_dict(verdict) for verdict in self.verdicts],
        }


def compare(old: Report, new: Report) -> Difference:
    """What lies between two reports of the same workload and accelerators."""
    facts = (*_FACTS, *_by_name("parameters", old, new, _roles), *_by_name("elements", old, new, _dtypes))
    return Difference(
        old=old,
        new=new,
        rows=tuple(Row(fact=fact, old=fact.value(old), new=fact.value(new)) for fact in facts),
        verdicts=tuple(_verdicts(old, new)),
    )


def _architecture(attribute: str) -> Callable[[Report], Value]:
    """Of a model whose architecture is known."""
    return lambda report: getattr(report.architecture, attribute, None)


def _cache(attribute: str) -> Callable[[Report], Value]:
    """Of a model that has a cache."""
    return lambda report: getattr(report.cache, attribute, None)


def _layers(report: Report) -> Value:
    return len(report.architecture.layers) if report.architecture else None


def _active(report: Report) -> Value:
    """Of a mixture of experts alone; in other models every parameter is active."""
    return report.active_parameters if report.active_parameters != report.census.parameters else None


_FACTS: tuple[Fact, ...] = (
    Fact(name="model type", unit=Unit.TEXT, value=_architecture("model_type")),
    Fact(name="layers", unit=Unit.COUNT, value=_layers),
    Fact(name="hidden size", unit=Unit.COUNT, value=_architecture("hidden_size")),
    Fact(name="vocabulary", unit=Unit.COUNT, value=_architecture("vocab_size")),
    Fact(name="max context", unit=Unit.COUNT, value=_architecture("max_context")),
    Fact(name="parameters", unit=Unit.COUNT, value=lambda report: report.census.parameters, essential=True),
    Fact(name="active parameters", unit=Unit.COUNT, value=_active),
    Fact(name="stored dtype", unit=Unit.TEXT, value=lambda report: report.census.main_dtype),
    Fact(
        name="weight files", unit=Unit.BYTES, value=lambda report: report.census.stored_bytes, essential=True
    ),
    Fact(name="planned context", unit=Unit.COUNT, value=lambda report: report.workload.context),
    Fact(name="cache", unit=Unit.BYTES, value=_cache("nbytes")),
    Fact(name="cache of a token", unit=Unit.BYTES, value=_cache("bytes_per_token")),
    Fact(name="memory of a device", unit=Unit.BYTES, value=lambda r: r.plan.per_gpu_bytes, essential=True),
)


_Counts = Callable[[Report], dict[str, int]]


def _by_name(what: str, old: Report, new: Report, counts: _Counts) -> Iterator[Fact]:
    """A fact for each name either side counts under."""

    def of(name: str) -> Callable[[Report], Value]:
        return lambda report: counts(report).get(name, 0)

    for name in {**counts(old), **counts(new)}:
        yield Fact(name=f"{name} {what}", unit=Unit.COUNT, value=of(name))


def _roles(report: Report) -> dict[str, int]:
    return {role.value.replace("_", " "): count for role, count in report.census.by_role().items()}


def _dtypes(report: Report) -> dict[str, int]:
    return report.census.by_dtype()


def _verdicts(old: Report, new: Report) -> Iterator[VerdictRow]:
    for before, after in zip(old.verdicts, new.verdicts, strict=True):
        for column, (old_cell, new_cell) in enumerate(zip(before.cells, after.cells, strict=True)):
            label = "as stored" if PRECISIONS[column] is None else precision_label(PRECISIONS[column], new)
            yield VerdictRow(gpu=after.gpu.name, precision=label, old=old_cell, new=new_cell)


def render(difference: Difference, output_format: str) -> str:
    """The difference as `table`, `json` or `markdown`."""
    if output_format == "json":
        return json.dumps(difference.to_dict(), indent=2, ensure_ascii=False) + "\n"
    markdown = output_format == "markdown"
    write = escape if markdown else plain
    headers = ["", write(_label(difference.old)), write(_label(difference.new)), "change"]
    rows = [*_fact_rows(difference, write), *_verdict_rows(difference)]
    table = tabulate(
        rows,
        headers=headers,
        tablefmt="pipe" if markdown else "plain",
        disable_numparse=True,
        colalign=("left", "right", "right", "right"),
    )
    return table + "\n" if difference.changed else f"{table}\n\nNothing else differs.\n"


def _fact_rows(difference: Difference, write: Callable[[str], str]) -> Iterator[Sequence[str]]:
    for row in difference.rows:
        if row.changed or row.fact.essential:
            old, new = (write(_text(value, row.fact.unit)) for value in (row.old, row.new))
            yield row.fact.name, old, new, _change_text(row)


def _verdict_rows(difference: Difference) -> Iterator[Sequence[str]]:
    for row in difference.verdicts:
        if row.changed:
            old, new = (cell_text(cell, PLAIN) for cell in (row.old, row.new))
            yield f"{row.gpu}, {row.precision}", old, new, ""


def _text(value: Value, unit: Unit) -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, str):
        return value
    return format_binary(value) if unit is Unit.BYTES else f"{value:,}"


def _change_text(row: Row) -> str:
    if not row.change:
        return ""
    sign = "+" if row.change > 0 else "−"
    share = f" ({row.change / row.old:+,.1%})" if isinstance(row.old, int) and row.old else ""
    return f"{sign}{_text(abs(row.change), row.fact.unit)}{share.replace('-', '−')}"


def _label(report: Report) -> str:
    listing = report.snapshot.listing
    return f"{listing.repo}@{listing.commit[:7]}" if listing.commit else listing.repo


def _side(report: Report) -> dict[str, Any]:
    listing = report.snapshot.listing
    return {"repo": listing.repo, "revision": listing.revision, "commit": listing.commit}


def _row_dict(row: Row) -> dict[str, Any]:
    return {
        "name": row.fact.name,
        "unit": row.fact.unit.value,
        "old": row.old,
        "new": row.new,
        "change": row.change,
    }


def _verdict_dict(row: VerdictRow) -> dict[str, Any]:
    old, new = ({"gpus": cell.gpus, "verdict": cell.fit.answer.value} for cell in (row.old, row.new))
    return {"gpu": row.gpu, "precision": row.precision, "old": old, "new": new}
