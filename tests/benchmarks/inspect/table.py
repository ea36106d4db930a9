"""What was measured as Markdown and as JSON."""

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from tests.benchmarks.inspect.measuring import Case, Measured, Target
from tests.benchmarks.inspect.traffic import LATENCY_SECONDS

Results = Sequence[tuple[Case, Sequence[Measured]]]

_COSTS = (
    "case", "program", "wall, ms", "ratio", "CPU, ms", "ratio",
    "requests", "waves", "received, kB", "of headers", "weight bytes", "peak, MB",
)  # fmt: skip
_TARGETS = ("case", "target", "at most", "measured", "met")


def as_markdown(results: Results, rounds: int) -> str:
    """Two tables: what each program took, and which targets are met."""
    conditions = (
        f"{LATENCY_SECONDS * 1000:.0f} ms per response, medians of {rounds} rounds, "
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs. "
        "Ratios are to hf-mem, for help to `import click`."
    )
    costs = [_cost_row(case, each) for case, measured in results for each in measured]
    targets = [row for case, measured in results for row in _target_rows(case, measured[0])]
    return "\n\n".join((conditions, _table(_COSTS, costs), _table(_TARGETS, targets)))


def as_json(results: Results, rounds: int) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "latency_seconds": LATENCY_SECONDS,
        "rounds": rounds,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "cases": [_case_json(case, measured) for case, measured in results],
    }


def _case_json(case: Case, measured: Sequence[Measured]) -> dict[str, Any]:
    return {
        "case": case.name,
        "repo": case.repo,
        "programs": [asdict(each) for each in measured],
        "targets": [
            {"target": target.name, "most": target.most, "measured": value, "met": value <= target.most}
            for target, value in _judged(case, measured[0])
        ],
    }


def _cost_row(case: Case, measured: Measured) -> list[str]:
    return [
        case.name,
        measured.program,
        f"{measured.wall_seconds * 1000:.0f}",
        _ratio(measured.wall_ratio),
        f"{measured.cpu_seconds * 1000:.0f}",
        _ratio(measured.cpu_ratio),
        *_traffic_cells(measured),
        f"{measured.peak_bytes / 1e6:.0f}",
    ]


def _traffic_cells(measured: Measured) -> list[str]:
    traffic = measured.traffic
    if not traffic.requests:
        return [""] * 5
    return [
        f"{traffic.requests}",
        f"{traffic.waves}",
        f"{traffic.nbytes / 1000:,.1f}",
        f"{measured.per_header_byte:.2f}",
        f"{traffic.weight_nbytes:,}",
    ]


def _target_rows(case: Case, measured: Measured) -> Iterator[list[str]]:
    for target, value in _judged(case, measured):
        met = "yes" if value <= target.most else "**no**"
        yield [case.name, target.name, f"{target.most:g}", _figure(value), met]


def _judged(case: Case, measured: Measured) -> Iterator[tuple[Target, float]]:
    """The targets that could be measured: without hf-mem there is no ratio to it."""
    for target in case.targets:
        value = target.of(measured)
        if value is not None:
            yield target, value


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)
