"""Where things lie in a card, in bytes: its front matter, its first heading, its memory section.

Only what Markdown takes for block structure counts: a marker or a heading inside front matter, fenced or
indented code, or a comment is text. The rules are CommonMark's, for blocks that are not nested in others.

Source: https://spec.commonmark.org/0.31.2/#leaf-blocks
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hubmem.card.refusal import CardRefused

_FENCE = re.compile(rb" {0,3}(?P<fence>`{3,}(?=[^`]*$)|~{3,})")
_MARKER = re.compile(rb" {0,3}<!--[ \t]*hubmem:(?P<kind>start|end)(?P<settings>(?:[ \t].*?)?)-->(?P<rest>.*)")
_MARKER_OPENING = re.compile(rb" {0,3}<!--[ \t]*hubmem:(?:start|end)\b")
_COMMENT_OPENING = re.compile(rb" {0,3}<!--")
_ATX_HEADING = re.compile(rb" {0,3}#{1,6}(?:[ \t]|$)")
_SETEXT_UNDERLINE = re.compile(rb" {0,3}(?:=+|-+)[ \t]*$")
# A line that can be the text of an underlined heading: neither indented code nor another kind of block.
_PARAGRAPH = re.compile(rb" {0,3}(?![>|]|[-*+][ \t]|<)\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a card.

    Attributes:
        number: counted from 1.
        start, stop: of its text in the card's bytes, the line ending left out.
        text: those bytes.
        ending: its line ending, empty at the end of the file.
    """

    number: int
    start: int
    text: bytes
    ending: bytes

    @property
    def stop(self) -> int:
        """Where the text ends and the line ending begins."""
        return self.start + len(self.text)

    @property
    def next_start(self) -> int:
        """Where the next line begins."""
        return self.stop + len(self.ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMatter:
    """The YAML at a card's head, between its two `---` lines.

    Attributes:
        line: number of its first line.
    """

    text: bytes
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The lines of the two markers; what lies between them is hubmem's.

    Attributes:
        settings: what the start marker says after `hubmem:start`.
    """

    first: Line
    last: Line
    settings: str

    @property
    def newline(self) -> bytes:
        """How the section's lines end: as its start marker's does."""
        return self.first.ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The structure of a card.

    Attributes:
        section: None where the card has no markers.
        insertion: the line after which a new section belongs: the first heading, or else the end of the front
            matter; None for the very top.
        newline: how the card's lines end.
        top: where the text begins, after a byte order mark.
    """

    content: bytes
    front_matter: FrontMatter | None
    section: Section | None
    insertion: Line | None
    newline: bytes
    top: int


def outline(content: bytes) -> Outline:
    """Read the structure of a card.

    Raises:
        CardRefused: not UTF-8, or its markers are not exactly one start before one end.
    """
    _refuse_other_encodings(content)
    lines = _lines(content)
    front_matter, body = _front_matter(content, lines)
    blocks = list(_outside_code(body))
    before_body = lines[len(lines) - len(body) - 1] if front_matter else None
    return Outline(
        content=content,
        front_matter=front_matter,
        section=_section(blocks),
        insertion=_first_heading(blocks) or before_body,
        newline=next((line.ending for line in lines if line.ending), b"\n"),
        top=_top(content),
    )


def _refuse_other_encodings(content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CardRefused(
            f"not UTF-8 text (byte 0x{content[error.start]:02x}).",
            line=line,
            hint="Save the card as UTF-8; the Hub reads no other encoding.",
        ) from error


def _top(content: bytes) -> int:
    return len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0


def _lines(content: bytes) -> Sequence[Line]:
    lines = []
    start = _top(content)
    for number, raw in enumerate(content[start:].splitlines(keepends=True), start=1):
        text = raw.rstrip(b"\r\n")
        lines.append(Line(number=number, start=start, text=text, ending=raw[len(text) :]))
        start += len(raw)
    return lines


def _front_matter(content: bytes, lines: Sequence[Line]) -> tuple[FrontMatter | None, Sequence[Line]]:
    """The YAML and the lines after it; a `---` that is never closed is a thematic break."""
    rulers = (index for index, line in enumerate(lines) if line.text.rstrip() == b"---")
    first = next(rulers, None)
    last = next(rulers, None)
    if first is None or last is None or any(line.text.strip() for line in lines[:first]):
        return None, lines
    text = content[lines[first].next_start : lines[last].start]
    return FrontMatter(text=text, line=lines[first].number + 1), lines[last + 1 :]


def _outside_code(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines that are neither in fenced code nor in a comment of several lines."""
    fence: bytes | None = None
    in_comment = False
    for line in lines:
        if in_comment:
            in_comment = b"-->" not in line.text
        elif fence:
            fence = None if _closes(fence, line.text) else fence
        elif opening := _FENCE.match(line.text):
            fence = opening["fence"]
        elif _opens_comment(line):
            in_comment = True
        else:
            yield line


def _closes(fence: bytes, text: bytes) -> bool:
    closing = _FENCE.match(text)
    return closing is not None and closing["fence"].startswith(fence) and closing["fence"] == text.strip()


def _opens_comment(line: Line) -> bool:
    is_open = _COMMENT_OPENING.match(line.text) and b"-->" not in line.text
    if is_open and _MARKER_OPENING.match(line.text):
        raise CardRefused("the marker is not closed on its line.", line=line.number)
    return bool(is_open)


def _first_heading(blocks: Sequence[Line]) -> Line | None:
    previous: Line | None = None
    for line in blocks:
        if _ATX_HEADING.match(line.text):
            return line
        follows = previous is not None and previous.number + 1 == line.number
        if previous and follows and _SETEXT_UNDERLINE.match(line.text) and _PARAGRAPH.match(previous.text):
            return line
        previous = line
    return None


def _section(blocks: Sequence[Line]) -> Section | None:
    """The one pair of markers, or None where there is none.

    Raises:
        CardRefused: any other number or order of markers.
    """
    start: tuple[Line, str] | None = None
    section: Section | None = None
    for line, kind, settings in _markers(blocks):
        if section:
            raise CardRefused(
                f"a second hubmem:{kind}; the section ends on line {section.last.number}.",
                line=line.number,
                hint="A card has one section; it may be about several models.",
            )
        if kind == "start" and start:
            raise CardRefused(
                f"hubmem:start inside the section that begins on line {start[0].number}.", line=line.number
            )
        if kind == "end" and not start:
            raise CardRefused("hubmem:end before any hubmem:start.", line=line.number)
        if kind == "start":
            start = (line, settings)
        elif start:
            section = Section(first=start[0], last=line, settings=start[1])
    if start and not section:
        raise CardRefused("hubmem:start without a hubmem:end.", line=start[0].number)
    return section


def _markers(blocks: Sequence[Line]) -> Iterator[tuple[Line, str, str]]:
    for line in blocks:
        marker = _MARKER.match(line.text)
        if marker is None:
            continue
        kind, settings = marker["kind"].decode(), marker["settings"].decode().strip()
        if marker["rest"].strip():
            raise CardRefused(f"hubmem:{kind} must be alone on its line.", line=line.number)
        if kind == "end" and settings:
            raise CardRefused("hubmem:end takes no settings.", line=line.number)
        yield line, kind, settings
