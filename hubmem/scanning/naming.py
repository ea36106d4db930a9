"""The repos a user names: as arguments, in files, on standard input, or by an earlier scan's output."""

import json
import os
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from functools import partial
from io import BufferedReader, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import cast

from hubmem.errors import UsageError
from hubmem.scanning.query import STORE_SUFFIX, select

STANDARD_INPUT = "-"
# What is named so is a file that is missing, not a repo that is.
_FILE_SUFFIXES = (".txt", ".jsonl", ".json", ".csv", ".list", STORE_SUFFIX)
# An earlier scan's line is a report, thousands of times as long as a name; what is longer still is no list.
_LONGEST_LINE = 64 * 2**20
# Longer than any path; what is left of such a name is enough to find it by.
_LONGEST_NAME, _KEPT_OF_LONGER = 4096, 200


def named(arguments: Sequence[str]) -> Iterator[str]:
    """Each repo, in the order it is named; `-` is standard input, an existing file is read line by line.

    Raises:
        UsageError: a file is missing, or later, cannot be read.
    """
    for argument in arguments:
        if argument.endswith(_FILE_SUFFIXES) and not is_list(argument):
            raise UsageError(f"No file {as_text(argument)}.")
    return chain.from_iterable(map(_named_by, arguments))


def count(arguments: Sequence[str]) -> int | None:
    """How many names there are, repeated ones among them; None where a pipe is to tell, which is read once.

    Raises:
        UsageError: a file is missing or cannot be read.
    """
    if any(argument == STANDARD_INPUT or _is_pipe(argument) for argument in arguments):
        return None
    return sum(1 for _ in named(arguments))


def _is_pipe(argument: str) -> bool:
    return is_list(argument) and not Path(argument).is_file()


def is_list(argument: str) -> bool:
    """Whether a file or a pipe is named, which is read, rather than a repo or a folder."""
    # Not by pathlib, which raises for a name that is too long for a file.
    return os.path.exists(argument) and not os.path.isdir(argument)  # noqa: PTH110, PTH112


def _named_by(argument: str) -> Iterator[str]:
    if argument == STANDARD_INPUT:
        # Its bytes: how a list is encoded is not the terminal's to say.
        return _in_stream(cast("BufferedReader", sys.stdin.buffer), "standard input")
    if argument.endswith(STORE_SUFFIX):
        return _in_store(Path(argument))
    if is_list(argument):
        return _in_file(Path(argument))
    return iter([as_text(argument)])


def _in_store(path: Path) -> Iterator[str]:
    rows = select(path, "SELECT repo FROM results ORDER BY rowid")
    next(rows)
    return (str(repo) for (repo,) in rows)


def _in_file(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as stream:
            yield from _in_stream(stream, str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _in_stream(stream: BufferedReader, what: str) -> Iterator[str]:
    is_utf16 = stream.peek(2)[:2] in (BOM_UTF16_LE, BOM_UTF16_BE)
    encoding = "utf-16" if is_utf16 else "utf-8-sig"
    lines = TextIOWrapper(stream, encoding, errors="backslashreplace")
    try:
        for number, line in enumerate(iter(partial(lines.readline, _LONGEST_LINE), ""), start=1):
            repo = _in_line(line, f"{what}, line {number}")
            if repo:
                yield as_text(repo)
    finally:
        lines.detach()  # or it would close what is not its own


def _in_line(line: str, where: str) -> str:
    """The repo in a line: an id, the first column of CSV, or an object with `repo`; "" where it has none.

    >>> _in_line("org/name  # a remark", ""), _in_line('{"repo": "org/name"}', ""), _in_line("#", "")
    ('org/name', 'org/name', '')
    """
    if len(line) == _LONGEST_LINE:
        raise UsageError(f"{where} is too long for a list of repos.")
    line = line.strip()
    if not line.startswith("{"):
        return line.split("#")[0].split(",")[0].strip().strip('"')
    try:
        repo = json.loads(line).get("repo")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}.") from error
    if not isinstance(repo, str):
        raise UsageError(f"{where} names no repo.", hint="Each object needs a key repo.")
    return repo


def as_text(name: str) -> str:
    r"""A name that can be stored and shown: no half of a surrogate pair, and not longer than any path.

    A name that this changes is no repo's anyway.

    >>> as_text("org/n\udcffme"), len(as_text("a" * 5000))
    ('org/n\\udcffme', 201)
    """
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_KEPT_OF_LONGER]}…"
    return name.encode("utf-8", "backslashreplace").decode()
