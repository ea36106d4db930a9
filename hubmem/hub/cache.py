"""A content-addressed store of derived facts, in SQLite under huggingface_hub's assets folder.

Headers cannot live in huggingface_hub's own file cache, whose blobs are taken for complete files. The
assets folder is its documented place for data derived by other libraries.
"""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubmem.hub.source import DEFAULT_REVISION, FileEntry, Gate, Listing, Origin

# Bumped when the meaning of a stored value changes; an older file is left alone and a new one begun.
_FORMAT = 1
# Not WITHOUT ROWID: in such a table a search reads every value it passes, however large.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS content (id TEXT, kind TEXT, value BLOB, PRIMARY KEY (id, kind));
CREATE TABLE IF NOT EXISTS listing (repo TEXT, revision TEXT, value TEXT, PRIMARY KEY (repo, revision));
"""
# Another process may hold the lock while it writes a few kilobytes.
_LOCK_SECONDS = 5.0


@dataclass(slots=True)
class Cache:
    """The store, shared by threads and processes. Nothing in it is worth a crash.

    Every failure of SQLite makes the store forget for the rest of the run; a file that is not a
    database is set aside under another name. `warn` hears about it once.
    """

    path: Path
    warn: Callable[[str], None]
    _connection: sqlite3.Connection | None
    _lock: threading.RLock

    @classmethod
    def open(cls, folder: Path, *, warn: Callable[[str], None]) -> "Cache":
        """Open or begin the store in a folder."""
        cache = cls(folder / f"headers-{_FORMAT}.sqlite", warn, None, threading.RLock())
        cache._connection = cache._connect()
        return cache

    def get(self, content_id: str, kind: str) -> bytes | None:
        """The stored fact about some content, or None."""
        rows = self._run("SELECT value FROM content WHERE id = ? AND kind = ?", (content_id, kind))
        return rows[0][0] if rows else None

    def put(self, content_id: str, kind: str, value: bytes) -> None:
        """Remember a fact about some content."""
        self._run("INSERT OR REPLACE INTO content VALUES (?, ?, ?)", (content_id, kind, value))

    def listing(self, repo: str, revision: str | None) -> Listing | None:
        """The last listing seen of a repo at a revision (a name, or a commit it has resolved to)."""
        row = repo, revision or DEFAULT_REVISION
        rows = self._run("SELECT value FROM listing WHERE repo = ? AND revision = ?", row)
        return _decode_listing(json.loads(rows[0][0]), revision) if rows else None

    def put_listing(self, repo: str, listing: Listing) -> None:
        """Remember a listing under the revision asked for and under its commit."""
        value = json.dumps(_encode_listing(listing), separators=(",", ":"))
        for revision in filter(None, {listing.revision or DEFAULT_REVISION, listing.commit}):
            self._run("INSERT OR REPLACE INTO listing VALUES (?, ?, ?)", (repo, revision, value))

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Write everything inside as one transaction: one wait for the disk instead of one per entry.

        Other threads wait: a connection has one transaction at a time.
        """
        with self._lock:
            self._run("BEGIN IMMEDIATE", ())
            try:
                yield
            finally:
                self._run("COMMIT", ())

    def close(self) -> None:
        """Let go of the file; nothing is found or remembered from then on."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __del__(self) -> None:
        # Of reads that share a cache, none knows that it is the last. From Python 3.13 on, a connection that is
        # dropped while it is open is a ResourceWarning.
        self.close()

    def _run(self, statement: str, parameters: tuple[object, ...]) -> list[Any]:
        with self._lock:
            if self._connection is None:
                return []
            try:
                return self._connection.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                self._connection.close()
                self._connection = None
                self._set_aside(error) if _is_damage(error) else self._give_up(error)
                return []

    def _connect(self) -> sqlite3.Connection | None:
        for attempt in (1, 2):
            try:
                return _open(self.path)
            except (sqlite3.Error, OSError) as error:
                if attempt == 1 and _is_damage(error):
                    self._set_aside(error)
                    continue
                self._give_up(error)
        return None

    def _set_aside(self, error: Exception) -> None:
        damaged = self.path.with_suffix(".damaged")
        with contextlib.suppress(OSError):
            self.path.replace(damaged)
        self.warn(f"The header cache was damaged ({error}); it was set aside as {damaged} and begun anew.")

    def _give_up(self, error: Exception) -> None:
        self.warn(f"The header cache at {self.path} cannot be used ({error}); going on without it.")


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: Exception) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _encode_listing(listing: Listing) -> dict[str, Any]:
    return {
        "repo": listing.repo,
        "commit": listing.commit,
        "gated": listing.gated,
        "files": {path: [entry.nbytes, entry.content_id] for path, entry in listing.files.items()},
        "counts": dict(listing.published_counts),
    }


def _decode_listing(value: Mapping[str, Any], revision: str | None) -> Listing:
    gated: Gate = value["gated"]
    return Listing(
        repo=value["repo"],
        revision=revision,
        commit=value["commit"],
        gated=gated,
        origin=Origin.CACHE,
        files={
            path: FileEntry(nbytes=nbytes, content_id=content_id)
            for path, (nbytes, content_id) in value["files"].items()
        },
        published_counts=value["counts"],
    )
