"""What a repo adds to a model, or is made of: an adapter, the components of a pipeline."""

from collections.abc import Iterator

from tabulate import tabulate

from hubmem.render.text import Page, plain
from hubmem.report import Report
from hubmem.units import format_gib
from hubmem.weights.adapters import Adapter
from hubmem.weights.reading import largest
from hubmem.weights.roles import Role

# A target may be a pattern as long as its author liked.
_MOST_TARGETS = 8


def lines(report: Report, page: Page) -> list[str]:
    """A paragraph on the adapter or a table of the components; nothing for a plain model."""
    snapshot = report.snapshot
    adapter = page.wrap(list(_adapter(report, snapshot.adapter))) if snapshot.adapter else []
    return [*adapter, *(_components(report, page) if snapshot.parts else [])]


def _adapter(report: Report, adapter: Adapter) -> Iterator[str]:
    own = [group for group in report.census.groups if group.role is Role.ADAPTER]
    yield f"{plain(adapter.kind)} adapter" + (f" on {plain(adapter.base)}" if adapter.base else "")
    if adapter.rank:
        yield f"rank {adapter.rank}"
    if adapter.targets:
        more = (
            f" and {len(adapter.targets) - _MOST_TARGETS} more"
            if len(adapter.targets) > _MOST_TARGETS
            else ""
        )
        yield f"on {plain(', '.join(adapter.targets[:_MOST_TARGETS]))}{more}"
    yield f"{sum(group.parameters for group in own):,} parameters"
    yield f"{format_gib(sum(group.nbytes for group in own))} GiB"


def _components(report: Report, page: Page) -> list[str]:
    parts = report.snapshot.parts
    rows = [
        [
            plain(part.name) or ".",
            plain(part.kind),
            f"{part.census.parameters:,}",
            part.census.main_dtype,
            format_gib(part.census.stored_bytes),
        ]
        for part in parts
    ]
    table = tabulate(
        rows,
        headers=["Components", "class", "parameters", "", "GiB"],
        tablefmt="plain",
        disable_numparse=True,
        colalign=("left", "left", "right", "left", "right"),
    )
    part = largest(parts)
    if part is None:
        return table.splitlines()
    held = format_gib(part.census.loaded_bytes)
    told = f"One at a time (enable_model_cpu_offload), a device holds {held} GiB of weights at most: {plain(part.name)}."
    return [*table.splitlines(), *page.paragraph(told, rest="  ")]
