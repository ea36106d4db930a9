"""The files of cards: which they are, and how they are read and written without harm."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from hubmem.card.refusal import CardRefused
from hubmem.errors import UsageError
from hubmem.units import format_binary

_CARD_NAME = "readme.md"
_MARKDOWN = ".md"
_MARKER = b"<!-- hubmem:start"
# The longest cards are a few hundred kB, images in them included.
_LARGEST = 16 * 2**20
# Installed packages bring hundreds of READMEs of their own.
_NOT_OURS = frozenset({"node_modules", "site-packages", "__pycache__"})


def find(arguments: Iterable[Path]) -> list[Path]:
    """The cards a user names: files as they are, folders by the cards in them, each once.

    Raises:
        UsageError: no such file or folder.
    """
    found: dict[Path, None] = {}
    for path in arguments:
        if path.is_dir():
            found |= dict.fromkeys(sorted(_cards_in(path)))
        elif path.exists() or path.is_symlink():
            found[path] = None
        else:
            raise UsageError(f"No card {path}.")
    return list(found)


def matching(root: Path, patterns: Iterable[str]) -> list[Path]:
    """The files of a workspace that match any of several glob patterns; `**` crosses folders.

    Raises:
        UsageError: a pattern that leads out of the workspace.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise UsageError(f"{pattern!r} leads out of the workspace.", hint="Patterns start at its root.")
        matches = (path for path in root.glob(pattern) if not path.is_dir() and _is_ours(path, root))
        found |= dict.fromkeys(sorted(matches))
    return list(found)


def workspace_of(path: Path) -> Path:
    """The git repository a file lies in, or its folder."""
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - links must not be followed yet
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)


def inside(path: Path, root: Path) -> Path:
    """The file itself, links followed.

    Raises:
        CardRefused: it is outside of the workspace, or no file.
    """
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise CardRefused("it is a link that leads out of the workspace.")
    if not real.is_file():
        raise CardRefused("it is not a file.")
    return real


def read(path: Path) -> bytes:
    """The bytes of a card.

    Raises:
        CardRefused: it cannot be read, or is too long for a card.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise CardRefused(f"it cannot be read: {error.strerror}.") from error
    if len(content) > _LARGEST:
        raise CardRefused(f"it is longer than {format_binary(_LARGEST)}.")
    return content


def write(path: Path, before: bytes, after: bytes, write_file: Callable[[Path, bytes], None]) -> None:
    """Replace a card, unless somebody else has in the meantime.

    Args:
        path: the card, links followed.
        before: what it was when it was read.
        after: what it is to be.
        write_file: writes a file whole or not at all.

    Raises:
        CardRefused: it is read-only, has changed, or cannot be written.
    """
    # Replacing a file needs no permission of the file's own: ask for it all the same.
    if not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise CardRefused("it is read-only.")
    if read(path) != before:
        raise CardRefused("it changed while its section was computed.", hint="Run the command again.")
    try:
        write_file(path, after)
    except OSError as error:
        raise CardRefused(f"it cannot be written: {error.strerror}.") from error


def _cards_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob(f"*{_MARKDOWN}"):
        if _is_ours(path, folder) and path.is_file() and _is_card(path):
            yield path


def _is_ours(path: Path, root: Path) -> bool:
    folders = path.relative_to(root).parts[:-1]
    return not any(name.startswith(".") or name in _NOT_OURS for name in folders)


def _is_card(path: Path) -> bool:
    """By its name, or by a section; a file that cannot be read is none."""
    if path.name.lower() == _CARD_NAME:
        return True
    with suppress(CardRefused):
        return _MARKER in read(path)
    return False
