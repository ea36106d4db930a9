"""Results as lines of JSON: each as it comes, or held back until its turn."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from hubmem.errors import StoreUnavailable, UsageError
from hubmem.scanning.store import Result, Store, patiently

WriteLine = Callable[[str], None]


@contextmanager
def open_lines(path: Path, *, warn: Callable[[str], None]) -> Iterator[WriteLine]:
    """A function that appends a line to a new file, whole or not at all.

    Raises:
        UsageError: the file cannot be opened.
        StoreUnavailable: the disk stayed full; from the function.
    """
    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error

    def write_line(line: str) -> None:
        end = file.tell() if file.seekable() else 0
        try:
            patiently(_Rest(file, f"{line}\n".encode()), what=str(path), warn=warn)
        except StoreUnavailable:
            with suppress(OSError):
                file.truncate(end)
            raise

    with file:
        yield write_line


class _Rest:
    """Writes what is left of a line: a full disk may have taken a part of it."""

    def __init__(self, file: FileIO, line: bytes) -> None:
        self._file = file
        self._rest = memoryview(line)

    def __call__(self) -> None:
        while self._rest:
            self._rest = self._rest[self._file.write(self._rest) :]


class InOrder:
    """Writes answers in the order they were asked for; the store keeps those that have to wait."""

    def __init__(self, store: Store, write_line: WriteLine) -> None:
        self._store = store
        self._write_line = write_line
        self._position = 0

    def __call__(self, _: Result) -> None:
        """Write the answers whose turn has come now that the store has one more."""
        for position, result in self._store.answers(after=self._position):
            if position != self._position + 1:
                return
            self._write_line(result.value)
            self._position = position
