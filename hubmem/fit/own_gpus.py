"""Accelerators of the user's own: a file of theirs, in TOML or JSON, read into rows like the catalogue's.

[[gpu]]
name = "lab-4090"
memory = "23.5GiB"
bandwidth_gb_per_s = 1008
like = "RTX-4090"
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubmem.errors import UsageError
from hubmem.fit.gpus import Gpu, find, of_memory
from hubmem.hub.devices import read_device_file
from hubmem.units import parse_size

_TEXTS = ("title", "vendor", "kind", "architecture", "compute_capability")
_LISTS = ("dtypes", "aliases")
_KNOWN = {"name", "memory", "bandwidth_gb_per_s", "like", *_TEXTS, *_LISTS}
_EXAMPLE = 'A row needs a name and a memory: [[gpu]] name = "lab" memory = "23.5GiB".'


def read_own_gpus(path: Path) -> tuple[Gpu, ...]:
    """The accelerators a file describes: a list of tables called `gpu`.

    Raises:
        UsageError: it cannot be read, or a row says what cannot be; the message names file and row.
    """
    rows = read_device_file(path).get("gpu")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise UsageError(f"{path} has no list of tables called gpu.", hint=_EXAMPLE)
    return tuple(_read(rows, path))


def _read(rows: list[Mapping[str, Any]], path: Path) -> Iterator[Gpu]:
    names: set[str] = set()
    for number, row in enumerate(rows, 1):
        try:
            gpu = _gpu(row, str(path))
        except UsageError as error:
            raise UsageError(f"{path}, gpu {number}: {error}", hint=error.hint or _EXAMPLE) from error
        if gpu.name in names:
            raise UsageError(f"{path}, gpu {number}: there is a {gpu.name!r} already.")
        names.add(gpu.name)
        yield gpu


def _gpu(row: Mapping[str, Any], source: str) -> Gpu:
    unknown = set(row) - _KNOWN
    if unknown:
        raise UsageError(f"unknown key {min(unknown)!r}.", hint=f"Known: {', '.join(sorted(_KNOWN))}.")
    name, memory = _text(row, "name"), _text(row, "memory")
    alike = find(_text(row, "like")) if "like" in row else None
    gpu = replace(
        alike or of_memory(1, name, source=source),
        name=name,
        title=name,
        memory_bytes=parse_size(memory),
        memory_basis="assumed",
        aliases=(),
        sources=(source,),
    )
    changes: dict[str, Any] = {key: _text(row, key) for key in _TEXTS if key in row}
    changes |= {key: _texts(row, key) for key in _LISTS if key in row}
    if "bandwidth_gb_per_s" in row:
        changes["bandwidth_gb_per_s"] = _positive(row, "bandwidth_gb_per_s")
    return replace(gpu, **changes)


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{key} is {value!r}, not a text.")
    return value


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = row[key]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"{key} is {value!r}, not a list of texts.")
    return tuple(value)


def _positive(row: Mapping[str, Any], key: str) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise UsageError(f"{key} is {value!r}, not a positive number.")
    return float(value)
