"""A bar of how memory splits into terms, one line for a terminal."""

from collections.abc import Sequence
from itertools import cycle

from hubmem.memory.plan import Term
from hubmem.render.text import Page

# Told apart without colour, which a terminal may not have or a user not want.
_FILLS = "█▓▒░"
_COLOURS = ("green", "yellow", "red", "dim")
# Below this a bar would say less than the numbers under it.
_NARROWEST = 72
_INDENT = "  "


def bar(terms: Sequence[Term], page: Page) -> list[str]:
    """One line, a cell for each part of the width, and one that names the parts; none but on a wide terminal."""
    shown = [term for term in terms if term.nbytes]
    if not page.terminal or page.width < _NARROWEST or not shown:
        return []
    width = page.width - 2 * len(_INDENT)
    cells = split([term.nbytes for term in shown], width)
    looks = list(zip(shown, cells, cycle(_FILLS), cycle(_COLOURS), strict=False))
    line = "".join(page.paint(fill * count, colour) for _, count, fill, colour in looks)
    total = sum(term.nbytes for term in shown)
    names = [f"{fill} {term.name} {term.nbytes / total:.0%}" for term, count, fill, _ in looks if count]
    return [_INDENT + line, *page.wrap(names, indent=_INDENT, between="  ")]


def split(sizes: Sequence[int], width: int) -> list[int]:
    """Whole cells in proportion to sizes, the largest remainders filled up, so that they sum to the width.

    >>> split([96, 3, 1], 50)
    [48, 2, 0]
    """
    total = sum(sizes)
    cells = [size * width // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda index: -(sizes[index] * width % total))
    for index in by_remainder[: width - sum(cells)]:
        cells[index] += 1
    return cells
