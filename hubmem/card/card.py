"""A card as it is found, and which models it is about; no model is read here."""

from dataclasses import dataclass
from pathlib import Path

from hubmem.card import files
from hubmem.card.checkout import has_weights
from hubmem.card.front_matter import Metadata, read_metadata
from hubmem.card.git import hub_remote
from hubmem.card.outline import Outline, outline
from hubmem.card.refusal import CardRefused
from hubmem.card.settings import Settings, parse_marker
from hubmem.card.subject import NoSubject, Subject, subjects_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card that is about one model or several.

    Attributes:
        path: as it was named.
        file: the file itself, links followed.
        root: of its workspace.
        said: the settings in its own start marker.
        settings: these, after what the command asks for.
        caution: what is wrong with its front matter, where its models are known without it; or "".
    """

    path: Path
    file: Path
    root: Path
    outline: Outline
    said: Settings
    settings: Settings
    subjects: tuple[Subject, ...]
    caution: str = ""


def find_card(path: Path, *, root: Path | None, asked: Settings) -> Card | NoSubject:
    """Read a card and tell what it is about.

    Args:
        path: the card.
        root: the workspace that no link may lead out of; None for the card's git repository.
        asked: what the command says; it comes before what the card says.

    Raises:
        CardRefused: it cannot be read, or not be understood.
    """
    root = root or files.workspace_of(path)
    file = files.inside(path, root)
    structure = outline(files.read(file))
    marked = structure.section
    said = parse_marker(marked.settings, marked.first.number) if marked else Settings()
    settings = asked.over(said)
    metadata, caution = _metadata(structure)
    subjects = subjects_of(
        asked=settings.repo,
        metadata=metadata,
        remote=hub_remote(file.parent),
        weights_beside=has_weights(file.parent),
    )
    if isinstance(subjects, NoSubject):
        if caution:
            raise caution
        return subjects
    return Card(
        path=path,
        file=file,
        root=root,
        outline=structure,
        said=said,
        settings=settings,
        subjects=subjects,
        caution=str(caution or ""),
    )


def _metadata(structure: Outline) -> tuple[Metadata, CardRefused | None]:
    try:
        return read_metadata(structure.front_matter) if structure.front_matter else Metadata(), None
    except CardRefused as error:
        return Metadata(), error
