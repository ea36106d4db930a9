"""The badge: the smallest place a model fits, as an image from shields.io."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from hubmem.fit.matrix import Verdict
from hubmem.fit.precisions import PRECISIONS
from hubmem.fit.verdict import Answer, Cell
from hubmem.render.matrix import precision_label
from hubmem.report import Report
from hubmem.units import format_binary

_BASE = "https://img.shields.io/badge/"
_LABEL_OF = {Answer.FITS: "fits", Answer.TIGHT: "just fits"}
_COLOUR_OF = {Answer.FITS: "brightgreen", Answer.TIGHT: "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A label, a message and a colour.

    >>> Badge(label="fits", message="1× RTX 4090 in 4-bit", colour="brightgreen").to_markdown()
    '![fits 1× RTX 4090 in 4-bit](https://img.shields.io/badge/fits-1%C3%97%20RTX%204090%20in%204--bit-brightgreen)'
    """

    label: str
    message: str
    colour: str

    def to_markdown(self) -> str:
        """An image with its text as the alternative."""
        path = "-".join(_escape(part) for part in (self.label, self.message, self.colour))
        return f"![{self.label} {self.message}]({_BASE}{path})"


def badge_of(report: Report) -> Badge:
    """Where a model fits: with the least memory in all, then with room to spare, then nearest to as stored.

    Args:
        report: of the weights as stored.

    A model whose cache is not known gets its weights and no promise.
    """
    if report.architecture is None:
        return Badge(label="weights", message=format_binary(report.census.stored_bytes), colour="lightgrey")
    choices = list(_choices(report))
    if not choices:
        names = ", ".join(dict.fromkeys(_device(verdict) for verdict in report.verdicts))
        return Badge(label="does not fit", message=names, colour="red")
    verdict, cell, column = min(choices, key=_order)
    precision = precision_label(PRECISIONS[column], report).split(" (")[0]
    return Badge(
        label=_LABEL_OF[cell.fit.answer],
        message=f"{cell.gpus}× {_device(verdict)} in {precision}",
        colour=_COLOUR_OF[cell.fit.answer],
    )


def _choices(report: Report) -> Iterator[tuple[Verdict, Cell, int]]:
    for verdict in report.verdicts:
        for column, cell in enumerate(verdict.cells):
            if cell.gpus:
                yield verdict, cell, column


def _order(choice: tuple[Verdict, Cell, int]) -> tuple[int, bool, int]:
    verdict, cell, column = choice
    return (cell.gpus or 0) * verdict.gpu.memory_bytes, cell.fit.answer is Answer.TIGHT, column


def _device(verdict: Verdict) -> str:
    return verdict.gpu.name.replace("-", " ")


def _escape(text: str) -> str:
    """Text in a path of shields.io, where a dash separates and an underscore is a space."""
    return quote(text.replace("-", "--").replace("_", "__"), safe="")
