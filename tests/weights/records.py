"""Snapshot records as censuses, read by the package's own path."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from hubmem.hub.bundled import BundledSource
from hubmem.weights import layout
from hubmem.weights.census import Census
from hubmem.weights.reading import read_census

ROOT = Path(__file__).parents[2]
_FOLDERS = (ROOT / "hubmem" / "data" / "snapshots", ROOT / "fixtures" / "snapshots" / "built")

Record = dict[str, Any]


def records() -> dict[str, Record]:
    """Every record of the package and of the fixtures, by repo."""
    paths = [path for folder in _FOLDERS for path in sorted(folder.glob("*.json"))]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {record["repo"]: record for record in found}


RECORDS = records()


@cache
def stored_census(repo: str) -> Census:
    """The tensors of a record as its files hold them."""
    source = BundledSource(RECORDS[repo])
    return read_census(source, layout.choose(source.listing().files))
