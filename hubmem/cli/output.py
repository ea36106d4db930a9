"""Where an answer goes, and on what page it is written."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

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
    )


def deliver(text: str, output: Path | None) -> None:
    """Write the answer to stdout, or whole or not at all to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None:
        _print(text)
        return
    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.") from error


def _print(text: str) -> None:
    try:
        click.echo(text, nl=False, color=True)
    except BrokenPipeError:
        # The reader has what it wanted (`| head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never half."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        mode = path.stat().st_mode if path.exists() else 0o644
        temporary.chmod(mode & 0o777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
