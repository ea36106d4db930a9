"""Text for people: colour, width, and nothing a terminal would obey."""

import re
import textwrap
from dataclasses import dataclass

# C0 and C1 control characters, among them the escape that begins a terminal command; the separators of lines that
# Unicode adds to them; and what turns the direction of text, which can show a name as another.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_COLOURS = {"green": 32, "yellow": 33, "red": 31, "bold": 1, "dim": 2}
NARROWEST, WIDEST = 60, 100
# Names have some hundred characters, sentences some hundred more.
_LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the text is written on.

    Attributes:
        width: columns.
        colour: whether it may carry colour codes.
        terminal: whether it is a screen, on which a picture of blocks makes sense.
    """

    width: int = WIDEST
    colour: bool = False
    terminal: bool = False

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, where the page has colour."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colour and text else text

    def wrap(self, parts: list[str], *, indent: str = "", between: str = " · ") -> list[str]:
        """Parts joined in lines no wider than the page; a part is not broken unless it is wider than a line."""
        lines: list[str] = []
        current = ""
        for part in parts:
            joined = f"{current}{between}{part}" if current else part
            if current and len(indent) + len(joined) > self.width:
                lines.append(indent + current)
                current = part
            else:
                current = joined
        return [*lines, indent + current]

    def paragraph(self, text: str, *, first: str = "", rest: str = "") -> list[str]:
        """A sentence broken at spaces, with the first line's and the other lines' indents."""
        return textwrap.wrap(
            text, self.width, initial_indent=first, subsequent_indent=rest, break_long_words=False
        )

    def spread(self, left: str, right: str) -> list[str]:
        """Two texts at the ends of one line, or of two where one is too short."""
        gap = self.width - len(left) - len(right)
        return [f"{left}{' ' * gap}{right}"] if gap > 1 else [left, right.rjust(self.width)]


PLAIN = Page()
"""A file or a pipe: no colour."""


def plain(text: str) -> str:
    r"""Text from a repo without control characters, and not endless: a name must not be able to move the cursor.

    >>> plain("model\x1b[2Jname")
    'model[2Jname'
    """
    return shorten(_CONTROL.sub("", text), _LONGEST)


def escape(text: str) -> str:
    """Text from a repo, unable to be markup: a note must not become a link or a tag."""
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return plain(text)


def shorten(text: str, width: int) -> str:
    """The text, its end replaced by … where it is wider.

    >>> shorten("80 layers × 2 × 8 × 128", 12)
    '80 layers ×…'
    """
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
