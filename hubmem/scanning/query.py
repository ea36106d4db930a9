"""Questions to a store: a condition on its reports, or a whole SELECT over its views (`schema.sql`).

A condition is SQL's, over the columns of the view `repos`, with one word more: `fits='4090'` holds where one
such device is enough. The store is opened read-only and nothing but reading is allowed.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from hubmem.errors import UsageError
from hubmem.fit.gpus import parse_target
from hubmem.render.rows import csv_line, markdown_table
from hubmem.scanning.store import FORMAT

_FITS = re.compile(r"\bfits\s*=\s*'([^']*)'", re.IGNORECASE)
_STATEMENT = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
STORE_SUFFIX = ".sqlite"


def is_statement(query: str) -> bool:
    """Whether a query is a whole SELECT rather than a condition.

    >>> is_statement("SELECT count(*) FROM repos"), is_statement("fits='4090' and total < 20e9")
    (True, False)
    """
    return bool(_STATEMENT.match(query))


def select(store: Path, statement: str) -> Iterator[Sequence[Any]]:
    """The names of a statement's columns, then its rows.

    Raises:
        UsageError: the statement cannot be read, or does more than read.
    """
    with closing(_open(store)) as connection:
        try:
            rows = connection.execute(statement)
            yield [column for column, *_ in rows.description or ()]
            yield from rows
        except sqlite3.Error as error:
            raise UsageError(
                f"{statement!r} cannot be answered: {error}.",
                hint="Views: repos, verdicts, skipped. `SELECT * FROM repos LIMIT 1` shows the columns.",
            ) from error


def table(store: Path, statement: str, output_format: str) -> Iterator[str]:
    """The rows of a statement as lines of JSON, CSV or Markdown.

    Raises:
        UsageError: the statement cannot be read, or the format shows reports alone.
    """
    if output_format not in _TABLES:
        raise UsageError(f"--format {output_format} shows reports; a SELECT gives rows.", hint=_TABLES_HINT)
    rows = select(store, statement)
    return _TABLES[output_format](next(rows), rows)


def _json_lines(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    for row in rows:
        # A statement may make blobs, which JSON has not.
        yield json.dumps(dict(zip(columns, row, strict=True)), default=str) + "\n"


_TABLES: Mapping[str, Callable[[Sequence[Any], Iterable[Sequence[Any]]], Iterator[str]]] = {
    "jsonl": _json_lines,
    "csv": lambda columns, rows: map(csv_line, chain([columns], rows)),
    "markdown": markdown_table,
}
_TABLES_HINT = f"For rows: {', '.join(_TABLES)}."


def reports(store: Path, condition: str) -> Iterator[str]:
    """The JSON of each report that meets a condition.

    Raises:
        UsageError: the condition cannot be read, or names no accelerator.
    """
    rows = select(store, f"SELECT value FROM repos WHERE {spell_out(condition)}")  # noqa: S608 - read-only
    next(rows)
    return (value for (value,) in rows)


def spell_out(condition: str) -> str:
    """The condition with each `fits='…'` put into SQL.

    >>> spell_out("fits='24GiB' and model_type = 'llama'")
    "(per_gpu <= 25769803776) and model_type = 'llama'"

    Raises:
        UsageError: there is no such accelerator, or several of it are meant.
    """
    return _FITS.sub(lambda match: f"(per_gpu <= {_memory_of_one(match[1])})", condition)


def _memory_of_one(name: str) -> int:
    target = parse_target(name)
    if target.count not in (None, 1):
        raise UsageError(
            f"fits='{name}' asks about several devices; a store knows what one holds.",
            hint="The verdicts of a scan with --gpu are in the view verdicts.",
        )
    return target.gpu.memory_bytes


def asked(store: Path) -> str:
    """What the scan was asked, as `hubmem.scanning.fingerprint` wrote it.

    Raises:
        UsageError: the file is no store.
    """
    with closing(_open(store)) as connection:
        try:
            meta = dict(connection.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise UsageError(f"{store} is not a store of scan results: {error}.") from error
    if meta.get("format") != FORMAT:
        raise UsageError(f"{store} is not a store of scan results of this version.")
    return str(meta["request"])


def find_store(names: Sequence[str], folder: Path) -> Path:
    """The store to ask: the one named, the one beside the output named, or the only one in a folder.

    Raises:
        UsageError: none, or several.
    """
    if names:
        named = Path(names[0])
        candidates = [named if named.suffix == STORE_SUFFIX else store_beside(named)]
    else:
        candidates = sorted(folder.glob(f"*{STORE_SUFFIX}"))
    stores = [path for path in candidates if path.is_file()]
    if len(names) > 1 or len(stores) != 1:
        found = f"{len(stores)} stores are there" if len(stores) > 1 else "No store is there"
        raise UsageError(f"{found} to be asked.", hint="Name a scan's output, or its .sqlite file.")
    return stores[0]


def store_beside(output: Path) -> Path:
    """Where a scan keeps what it finds: `results.jsonl.sqlite` for `results.jsonl`."""
    return output.with_name(output.name + STORE_SUFFIX)


def _open(store: Path) -> sqlite3.Connection:
    # Without a log beside it nobody is writing: it can be read without leaving a trace.
    is_at_rest = not store.with_name(f"{store.name}-wal").exists()
    address = f"{store.resolve().as_uri()}?mode=ro{'&immutable=1' if is_at_rest else ''}"
    try:
        connection = sqlite3.connect(address, uri=True)
    except sqlite3.OperationalError as error:
        raise UsageError(f"{store} cannot be opened: {error}.") from error
    connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
    )
    return connection
