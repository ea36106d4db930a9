"""Putting a section into a card: every byte outside the markers stays where and what it is."""

from hubmem.card.outline import Outline

_START = "<!-- hubmem:start{settings} -->"
_END = "<!-- hubmem:end -->"


def present(card: Outline) -> str | None:
    """The text between the markers with plain newlines, or None where there are no markers."""
    if card.section is None:
        return None
    between = card.content[card.section.first.next_start : card.section.last.start].decode()
    return "\n".join(between.splitlines()).strip("\n")


def replace(card: Outline, text: str, settings: str | None = None) -> bytes:
    """The card with another text between its markers.

    Args:
        card: one that has markers.
        text: of the section, without the markers.
        settings: for a new start marker; None leaves the marker's line as it is.
    """
    section = card.section
    assert section is not None
    marker = section.first.text if settings is None else _start_marker(settings).encode()
    before, after = card.content[: section.first.start], card.content[section.last.start :]
    return before + marker + section.newline + _with_newlines(f"\n{text}\n\n", section.newline) + after


def insert(card: Outline, text: str, settings: str) -> bytes:
    """The card with a section after its first heading, set off by blank lines."""
    newline, line = card.newline, card.insertion
    at = line.next_start if line else card.top
    before, after = card.content[:at], card.content[at:]
    block = _with_newlines(f"{_start_marker(settings)}\n\n{text}\n\n{_END}\n", newline)
    if line:
        block = newline + block if line.ending else newline * 2 + block
    if after and not after.startswith((b"\n", b"\r")):
        block += newline
    return before + block + after


def _start_marker(settings: str) -> str:
    return _START.format(settings=f" {settings}" if settings else "")


def _with_newlines(text: str, newline: bytes) -> bytes:
    return text.encode().replace(b"\n", newline)
