"""What a scan has found out, in one SQLite file: kept result by result, so that it may end at any moment.

Each result is stored as the JSON it is printed as; views make columns of it (`schema.sql`). The file is
write-ahead logged: it can be queried while a scan writes to it, and `kill -9` costs only what was under way.
"""

import errno
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from hubmem.errors import StoreUnavailable, UsageError

FORMAT = "hubmem.scan/1"
_T = TypeVar("_T")

# Of this run alone: which repos it was asked for, in which order, and which of them are answered.
_RUN = """
CREATE TEMP TABLE asked (position INTEGER PRIMARY KEY, repo TEXT UNIQUE NOT NULL, answered INTEGER DEFAULT 0)
"""
# How long a scan waits for another program's lock, or for room on the disk, before it gives up.
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One repo's answer: a row of `results`.

    Attributes:
        repo: as it was asked for.
        commit: what was judged, where it is known.
        is_report: whether it is a report rather than a skip.
        retryable: whether another try may end otherwise.
        value: its JSON, on one line.
    """

    repo: str
    commit: str | None
    is_report: bool
    retryable: bool
    value: str

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Result":
        """From a row."""
        repo, commit, is_report, retryable, value = row
        return cls(
            repo=repo, commit=commit, is_report=bool(is_report), retryable=bool(retryable), value=value
        )


class Store:
    """The results of one scan, and what this run was asked for. Used from one thread.

    Args:
        request: what every repo is asked; a store answers one request only.
        warn: hears of waits.

    Raises:
        UsageError: the file is no store, or holds the answers to another request.
        StoreUnavailable: it cannot be written.
    """

    def __init__(self, path: Path, *, request: str, warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        try:
            self._connection = self._patiently(lambda: _open(path, request))
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{path} is not a store of scan results: {error}.") from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def ask(self, repo: str) -> bool:
        """Note that this run was asked for a repo; False where it was asked for the same repo before."""
        return bool(self._write("INSERT OR IGNORE INTO asked (repo) VALUES (?)", (repo,)).rowcount)

    def find(self, repo: str) -> Result | None:
        """What is known of a repo."""
        rows = self._connection.execute("SELECT * FROM results WHERE repo = ?", (repo,))
        return next(map(Result.of, rows), None)

    def put(self, result: Result) -> None:
        """Keep an answer; it outlives this process once this returns."""
        self._write("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", astuple(result))

    def answered(self, repo: str) -> None:
        """Note that this run has its answer for a repo."""
        self._write("UPDATE asked SET answered = 1 WHERE repo = ?", (repo,))

    def answers(self, *, after: int = 0) -> Iterator[tuple[int, Result]]:
        """This run's answers beyond a position, in the order they were asked for; positions count from 1."""
        rows = self._connection.execute(
            "SELECT position, results.* FROM asked JOIN results USING (repo) "
            "WHERE position > ? AND answered ORDER BY position",
            (after,),
        )
        for position, *row in rows:
            yield position, Result.of(row)

    def skips(self) -> list[tuple[str, int, str]]:
        """Of the repos this run has passed over: a reason, how many, and the hint if all have one."""
        return self._connection.execute(
            "SELECT reason, count(*), CASE WHEN min(hint) = max(hint) THEN hint ELSE '' END "
            "FROM asked JOIN skipped USING (repo) WHERE answered "
            "GROUP BY reason ORDER BY count(*) DESC, reason"
        ).fetchall()

    def misfits(self) -> int:
        """How many of this run's reports name an accelerator that is not enough."""
        rows = self._connection.execute(
            "SELECT count(DISTINCT repo) FROM asked JOIN verdicts USING (repo) "
            "WHERE answered AND verdict = 'no'"
        )
        return int(rows.fetchone()[0])

    def _write(self, statement: str, row: Sequence[object]) -> sqlite3.Cursor:
        return self._patiently(lambda: self._connection.execute(statement, row))

    def _patiently(self, action: Callable[[], _T]) -> _T:
        return patiently(action, what=str(self.path), warn=self._warn)


def patiently(action: Callable[[], _T], *, what: str, warn: Callable[[str], None]) -> _T:
    """Do something that a lock or a full disk may prevent for a while; wait and try again.

    Raises:
        StoreUnavailable: it was prevented all the time.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    warned = False
    while True:
        try:
            return action()
        except (sqlite3.OperationalError, OSError) as error:
            if not _may_pass(error) or time.monotonic() >= until:
                raise StoreUnavailable(
                    f"{what} cannot be written: {error}.",
                    hint="What is done is kept: run the same command again when it can.",
                ) from error
            if not warned:
                warn(f"{what} cannot be written ({error}); waiting up to {_PATIENCE_SECONDS:.0f} s.")
            warned = True
            time.sleep(_POLL_SECONDS)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # SQLite's own codes are not in Python's exceptions before 3.11.
    return any(word in str(error) for word in ("locked", "full"))


def _open(path: Path, request: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_POLL_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        # A power cut may cost the last results, never the file.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript((files(__package__) / "schema.sql").read_text(encoding="utf-8"))
        connection.execute(_RUN)
        _check(connection, path, request)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path, request: str) -> None:
    """Refuse a store of another format or for another request; mark a new one."""
    for key, value, difference in (
        ("format", FORMAT, "was written by another version of hubmem"),
        ("request", request, "holds the answers to another request (other GPUs, context, dtype …)"),
    ):
        connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        (stored,) = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if stored != value:
            raise UsageError(f"{path} {difference}.", hint="Name another file, or delete it to begin anew.")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other scans away from a store, by a lock that the operating system drops with the process.

    Raises:
        UsageError: another scan holds it, or its folder cannot be written.
    """
    lock = path.with_name(f"{path.name}.lock")
    connection = None
    try:
        connection = sqlite3.connect(lock, timeout=0, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if connection:
            connection.close()
        taken = "locked" in str(error)
        raise UsageError(
            f"Another scan is writing {path}." if taken else f"{path} cannot be written: {error}.",
            hint="Wait for it, or name another file." if taken else "",
        ) from error
    try:
        yield
    finally:
        connection.close()
        with suppress(OSError):
            lock.unlink()
