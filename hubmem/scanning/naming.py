"""The repos a user names: as arguments, in files, on standard input, or by an earlier scan's output."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from hubmem.errors import UsageError
from hubmem.scanning.query import STORE_SUFFIX, select

STANDARD_INPUT = "-"
# What is named so is a file that is missing, not a repo that is.
_FILE_SUFFIXES = (".txt", ".jsonl", ".json", ".csv", ".list", STORE_SUFFIX)


def named(arguments: Sequence[str]) -> Iterator[str]:
    """Each repo, in the order it is named; `-` is standard input, an existing file is read line by line.

    Raises:
        UsageError: a file is missing, or later, cannot be read.
    """
    for argument in arguments:
        if argument.endswith(_FILE_SUFFIXES) and not Path(argument).is_file():
            raise UsageError(f"No file {argument}.")
    return chain.from_iterable(map(_named_by, arguments))


def _named_by(argument: str) -> Iterator[str]:
    if argument == STANDARD_INPUT:
        return _in_lines(sys.stdin, "standard input")
    if argument.endswith(STORE_SUFFIX):
        return _in_store(Path(argument))
    if Path(argument).is_file():
        return _in_file(Path(argument))
    return iter([_as_text(argument)])


def _in_store(path: Path) -> Iterator[str]:
    rows = select(path, "SELECT repo FROM results ORDER BY rowid")
    next(rows)
    return (str(repo) for (repo,) in rows)


def _in_file(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            yield from _in_lines(lines, str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def _in_lines(lines: Iterable[str], what: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        repo = _in_line(line, f"{what}, line {number}")
        if repo:
            yield repo


def _in_line(line: str, where: str) -> str:
    """The repo in a line: an id, the first column of CSV, or an object with `repo`; "" where it has none.

    >>> _in_line("org/name  # a remark", ""), _in_line('{"repo": "org/name"}', ""), _in_line("#", "")
    ('org/name', 'org/name', '')
    """
    line = _as_text(line.strip())
    if not line.startswith("{"):
        return line.split("#")[0].split(",")[0].strip().strip('"')
    try:
        repo = json.loads(line).get("repo")
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}.") from error
    if not isinstance(repo, str):
        raise UsageError(f"{where} names no repo.", hint="Each object needs a key repo.")
    return repo


def _as_text(name: str) -> str:
    r"""A name whose bytes are no UTF-8, as text that can be stored and shown; it names no repo either way.

    >>> _as_text("org/n\udcffme")
    'org/n\\udcffme'
    """
    return name.encode("utf-8", "backslashreplace").decode()
