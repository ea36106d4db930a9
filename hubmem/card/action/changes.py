"""What a pull request changes about the models of its cards."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from hubmem import diff
from hubmem.card.card import Card, find_card
from hubmem.card.git import folder_before
from hubmem.card.outcome import Outcome
from hubmem.card.section import Part
from hubmem.card.settings import Settings
from hubmem.card.shelf import assess_for, read_model
from hubmem.errors import HubmemError
from hubmem.hub.opening import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One model of a card, as it was and as it would be."""

    card: str
    difference: diff.Difference


def changes_since(
    base: str, outcomes: Iterable[tuple[str, Outcome]], *, asked: Settings, access: Access
) -> Iterator[Change]:
    """Compare each card's models with those the card was about at a commit.

    A card that was not there, or about a model that cannot be read any more, has nothing to compare.

    Args:
        base: the commit.
        outcomes: cards by their names.
        asked: what the workflow says of every card.
        access: how models are read.
    """
    for name, outcome in outcomes:
        if outcome.card is None:
            continue
        with suppress(HubmemError):
            for difference in _differences(outcome.card, outcome.parts, base, asked=asked, access=access):
                yield Change(card=name, difference=difference)


def _differences(
    card: Card, parts: tuple[Part, ...], base: str, *, asked: Settings, access: Access
) -> list[diff.Difference]:
    with folder_before(card.file.parent, base) as folder:
        if folder is None or not (folder / card.file.name).is_file():
            return []
        old = find_card(folder / card.file.name, root=folder, asked=asked)
        if not isinstance(old, Card) or len(old.subjects) != len(parts):
            return []
        found = []
        for subject, part in zip(old.subjects, parts, strict=True):
            if subject.beside or subject != part.subject:
                before = assess_for(read_model(old, subject, access), card.settings)
                found.append(diff.compare(before, part.report))
        return [each for each in found if each.changed]
