"""Where an answer goes, and on what page it is written."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from hubmem.errors import UsageError
from hubmem.render.text import NARROWEST, WIDEST, Page


def page_for(output: Path | None) -> Page:
    """A terminal has its width and colour (unless NO_COLOR is set); a pipe or file has neither."""
    if output is not None or not sys.stdout.isatty():
        return Page()
    columns = shutil.get_terminal_size().columns
    return Page(
        width=min(max(columns, NARROWEST), WIDEST),
        colour=not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
        terminal=os.environ.get("TERM") != "dumb",
    )


def deliver(text: str, output: Path | None) -> None:
    """Write the answer to stdout, or whole or not at all to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    deliver_parts([text], output)


def deliver_parts(parts: Iterable[str], output: Path | None) -> None:
    """The same for an answer that is made while it is written.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None:
        for part in parts:
            _print(part)
        return
    with refusing(output), _writing(output) as stream:
        for part in parts:
            stream.write(part.encode("utf-8", "backslashreplace"))


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    """A stream to a file, which is replaced when it is whole, or straight to a pipe or a device."""
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    with replacing(path) as temporary, temporary.open("wb") as stream:
        yield stream


def _print(text: str) -> None:
    try:
        click.echo(text, nl=False, color=True)
    except BrokenPipeError:
        # The reader has what it wanted (`| head`).
        _forget_stdout()


def print_line(line: str) -> None:
    """Write a line to stdout at once; where nobody reads any more, there is no more to do.

    Raises:
        click.exceptions.Exit: the reader has gone.
    """
    try:
        click.echo(line)
    except BrokenPipeError:
        _forget_stdout()
        raise click.exceptions.Exit from None


def _forget_stdout() -> None:
    """Let stdout lead nowhere; Python would complain of a broken pipe once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never half."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of another when it is whole; of a link, what it leads to.

    Raises:
        UsageError: what is there is no file.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file.")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mode = path.stat().st_mode if path.exists() else 0o644
        temporary.chmod(mode & 0o777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Say in hubmem's words that a file cannot be written.

    Raises:
        UsageError: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
