"""What is to be done about a card, and doing it."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from hubmem.card import files, splice
from hubmem.card.card import Card, find_card
from hubmem.card.refusal import CardRefused
from hubmem.card.section import Part, says_the_same, section_text
from hubmem.card.settings import Settings, to_marker
from hubmem.card.shelf import Shelf, assess_for
from hubmem.card.subject import NoSubject
from hubmem.errors import HubmemError
from hubmem.hub.opening import Access
from hubmem.render.text import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How cards are to be treated.

    Attributes:
        asked: what the command says; it comes before what a card says.
        insert: whether a card without markers is to get a section.
        root: the workspace that no link may lead out of; None for the git repository of each card.
    """

    asked: Settings = field(default_factory=Settings)
    access: Access = field(default_factory=Access)
    insert: bool = False
    root: Path | None = None


class State(str, Enum):
    """What became of a card."""

    CURRENT = "up to date"
    STALE = "out of date"
    WRITTEN = "written"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A card, and what is to be done about it.

    Attributes:
        message, hint, exit_code: why it is skipped or failed, and what that means for the exit code.
        line: of what the message is about, or of the section; 0 where there is none.
        card, parts: what was understood of it and the models it is about; None and () where that failed.
        before, after: its bytes as they are and as they should be.
    """

    path: Path
    state: State
    message: str = ""
    hint: str = ""
    exit_code: int = 0
    line: int = 0
    card: Card | None = None
    parts: tuple[Part, ...] = ()
    before: bytes = b""
    after: bytes = b""

    def diff(self, name: str) -> str:
        """A unified diff from the card as it is to what it should be, under the name given.

        Control characters are left out, but for tabs: it is made to be read.
        """
        old, new = (content.decode().splitlines() for content in (self.before, self.after))
        lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm="")
        return "".join(f"{_readable(line)}\n" for line in lines)

    def describe(self, name: str) -> str:
        """What became of the card, for people, under the name given."""
        models = ", ".join(part.subject.label for part in self.parts)
        about = self.message or f"about {models}."
        caution = self.card.caution if self.card else ""
        return plain(" ".join(filter(None, [f"{name}: {self.state.value}: {about}", self.hint, caution])))


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """What a command exits with that was about several cards: the gravest of theirs."""
    return max((int(each.state is State.STALE) or each.exit_code for each in outcomes), default=0)


def examine(paths: Iterable[Path], job: Job) -> list[Outcome]:
    """Say of each card whether its section is what it should be; nothing is written."""
    shelf = Shelf(job.access)
    found = [_find(path, job) for path in paths]
    for card in found:
        if isinstance(card, Card):
            shelf.order(card)
    return [_compare(card, shelf) if isinstance(card, Card) else card for card in found]


def write(outcome: Outcome, write_file: Callable[[Path, bytes], None]) -> Outcome:
    """Write the card if it is out of date; any other stays as it is.

    Args:
        outcome: of `examine`.
        write_file: writes a file whole or not at all.
    """
    if outcome.state is not State.STALE or outcome.card is None:
        return outcome
    try:
        files.write(outcome.card.file, outcome.before, outcome.after, write_file)
    except CardRefused as error:
        return _failed(outcome.path, error)
    return replace(outcome, state=State.WRITTEN)


def _find(path: Path, job: Job) -> Card | Outcome:
    try:
        card = find_card(path, root=job.root, asked=job.asked)
    except CardRefused as error:
        return _failed(path, error)
    if isinstance(card, NoSubject):
        return Outcome(path=path, state=State.SKIPPED, message=card.reason, hint=card.hint)
    if card.outline.section is None and not job.insert:
        hint = "--insert puts one after its first heading."
        return Outcome(path=path, state=State.SKIPPED, message="it has no hubmem section.", hint=hint)
    return card


def _compare(card: Card, shelf: Shelf) -> Outcome:
    try:
        parts = tuple(
            Part(subject=subject, report=assess_for(shelf.snapshot(card, subject), card.settings))
            for subject in card.subjects
        )
    except HubmemError as error:
        return _failed(card.path, error)
    before = card.outline.content
    after = _with_section(card, section_text(parts, card.settings))
    return Outcome(
        path=card.path,
        state=State.CURRENT if after == before else State.STALE,
        line=card.outline.section.first.number if card.outline.section else 0,
        card=card,
        parts=parts,
        before=before,
        after=after,
    )


def _with_section(card: Card, text: str) -> bytes:
    """The card's bytes with a section of that text; as they are where theirs says the same already."""
    present = splice.present(card.outline)
    if present is None:
        return splice.insert(card.outline, text, to_marker(card.settings))
    if card.settings != card.said:
        return splice.replace(card.outline, text, to_marker(card.settings))
    return card.outline.content if says_the_same(present, text) else splice.replace(card.outline, text)


def _readable(line: str) -> str:
    return "\t".join(plain(part) for part in line.split("\t"))


def _failed(path: Path, error: HubmemError) -> Outcome:
    return Outcome(
        path=path,
        state=State.FAILED,
        message=str(error),
        hint=error.hint,
        exit_code=error.exit_code,
        line=error.line if isinstance(error, CardRefused) else 0,
    )
