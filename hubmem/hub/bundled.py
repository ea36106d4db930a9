"""Snapshots of much-used repos that ship with the package, for machines without a network or without access.

A record holds the published config.json and the folded tensor names, so a bundled answer is computed by the
same path as any other: its tensors are what the header cache would hold.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hubmem.errors import NotCached
from hubmem.hub.source import ContentStore, Cost, FileEntry, HeadRequest, Listing, Origin

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # new in 3.11

_FOLDER = files("hubmem") / "data" / "snapshots"
# What stands for the weight files of a bundled repo, by their format; their number is `Listing.weight_files`.
_WEIGHTS = {"safetensors": "model.safetensors", "pytorch": "pytorch_model.bin"}


class BundledSource:
    """One bundled snapshot, read from the package."""

    cost = Cost()

    def __init__(self, record: dict[str, Any]) -> None:
        self._texts = {"config.json": json.dumps(record["config"]), **record.get("texts", {})}
        weights = FileEntry(nbytes=0, content_id=f"bundled:{record['repo']}")
        self._listing = Listing(
            repo=record["repo"],
            revision=None,
            commit=None,
            gated=record["gated"] or None,
            origin=Origin.BUNDLED,
            files={
                **{path: FileEntry(nbytes=len(text)) for path, text in self._texts.items()},
                _WEIGHTS[record["weights"]["format"]]: weights,
            },
            weight_files=record["weights"]["files"],
        )
        self.contents: ContentStore = _BundledContents(record)

    def listing(self) -> Listing:
        """The repo as it was when the snapshot was made; no commit, because none was seen."""
        return self._listing

    def text(self, path: str) -> str | None:
        """A small file of the snapshot."""
        return self._texts.get(path)

    def heads(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        """Nothing: a snapshot's tensors are in its `contents`."""
        if requests:
            raise NotCached(f"The bundled snapshot of {self._listing.repo} has no {requests[0].path}.")
        return []

    def shard_headers(self, index: str) -> bytes | None:  # noqa: ARG002 - the protocol's signature
        """None: a snapshot has one folded header."""
        return None


class _BundledContents:
    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    def get(self, content_id: str, kind: str) -> bytes | None:
        own = content_id == f"bundled:{self._record['repo']}" and kind == "tensors"
        return json.dumps(self._record["tensors"]).encode() if own else None

    def put(self, content_id: str, kind: str, value: bytes) -> None:
        """Nothing: the package is read-only."""

    def batch(self) -> AbstractContextManager[None]:
        """Nothing to store, so nothing to gather."""
        return nullcontext()


def find(repo: str) -> BundledSource | None:
    """The snapshot of a repo, by any case of its id, or None."""
    wanted = f"{repo.replace('/', '--')}.json".lower()
    for entry in _entries():
        if entry.name.lower() == wanted:
            return BundledSource(json.loads(entry.read_text(encoding="utf-8")))
    return None


def repos() -> list[str]:
    """The ids of all bundled repos, sorted."""
    return sorted(entry.name.removesuffix(".json").replace("--", "/", 1) for entry in _entries())


def _entries() -> list["Traversable"]:
    return [entry for entry in _FOLDER.iterdir() if entry.name.endswith(".json")] if _FOLDER.is_dir() else []
