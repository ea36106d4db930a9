"""Memory against context as a picture: terms stacked, and a line for each accelerator's usable memory.

Drawn by matplotlib, the `plot` extra; what is drawn is computed without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hubmem.errors import UsageError
from hubmem.render.text import plain
from hubmem.report import Report
from hubmem.units import GIB, format_tokens

FORMATS = (".svg", ".png")
_POINTS = 33
# Where a model names no limit of its own, the picture ends at so many times what was asked.
_BEYOND = 4
# Okabe and Ito's colours, which people with any kind of colour vision tell apart.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
_INCHES = (9.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn, in GiB on the fullest device.

    Attributes:
        contexts: along the x axis, ascending.
        terms: by name, in the order they are stacked, a value for each context; 0 where a term is not there.
        devices: usable memory by the accelerator's name.
    """

    title: str
    contexts: tuple[int, ...]
    terms: Mapping[str, tuple[float, ...]]
    devices: Mapping[str, float]


def check_can_draw(path: Path) -> None:
    """Refuse a picture that could not be drawn, before any work is done for it.

    Raises:
        UsageError: matplotlib is missing, or the file's name says no format.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: the name must end in {' or '.join(FORMATS)}.")
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib.", hint="pip install 'hubmem[plot]'")


def picture_of(report: Report) -> Picture:
    """The plan at contexts up to the model's limit, each planned as the report's own.

    Raises:
        UsageError: the model's layers are not known, so that its memory depends on nothing that is drawn.
    """
    if report.architecture is None:
        raise UsageError(
            "--plot needs a model whose layers are known: else no memory depends on the context."
        )
    longest = max(
        report.architecture.max_context or _BEYOND * report.workload.context, report.workload.context
    )
    contexts = _spread(longest)
    plan_for = report.verdicts[0].solver.plan_for
    plans = [plan_for(replace(report.workload, context=context)) for context in contexts]
    sizes = [{term.name: term.nbytes / GIB for term in plan.terms} for plan in plans]
    names = dict.fromkeys(name for each in sizes for name in each)
    workload = report.workload
    return Picture(
        title=f"{plain(report.snapshot.listing.repo)}: {workload.mode}, {workload.engine}, batch {workload.batch}",
        contexts=contexts,
        terms={name: tuple(each.get(name, 0.0) for each in sizes) for name in names},
        devices={
            each.gpu.name: plans[0].share_bytes(each.gpu.memory_bytes) / GIB for each in report.verdicts
        },
    )


def _spread(longest: int) -> tuple[int, ...]:
    """Contexts from one token to the longest, at even distances.

    >>> _spread(5)
    (1, 2, 3, 4, 5)
    """
    steps = min(_POINTS, longest) - 1
    return (
        tuple(dict.fromkeys(1 + (longest - 1) * step // steps for step in range(steps + 1)))
        if steps
        else (1,)
    )


def draw(picture: Picture, path: Path, file_format: str) -> None:
    """Write a picture as `svg` or `png`; the same picture gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "hubmem", "svg.fonttype": "none"}):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.stackplot(
            picture.contexts, *picture.terms.values(), labels=list(picture.terms), colors=_COLOURS, alpha=0.9
        )
        for name, gib in picture.devices.items():
            axes.axhline(gib, color="#333333", linewidth=0.9, linestyle="--")
            axes.annotate(f"{name}, {gib:.1f} GiB", (picture.contexts[0], gib), fontsize=8, va="bottom")
        _label(axes, picture)
        figure.savefig(path, format=file_format, metadata={"Date": None} if file_format == "svg" else None)


def _label(axes: Any, picture: Picture) -> None:
    axes.set_title(picture.title)
    axes.set_xlabel("tokens of a sequence")
    axes.set_ylabel("GiB on the fullest device")
    axes.set_xlim(picture.contexts[0], picture.contexts[-1])
    axes.set_ylim(bottom=0)
    ticks = picture.contexts[:: max(1, len(picture.contexts) // 8)]
    axes.set_xticks(ticks, [format_tokens(tick) for tick in ticks])
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True, frameon=False)
