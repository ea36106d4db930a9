"""Repos: refs that point to commits, commits that hold a tree of files, trees built when first asked for."""

import hashlib
import json
import math
import posixpath
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeAlias

from .blobs import Blob, Virtual, safetensors_header_end

Files: TypeAlias = Mapping[str, bytes | Virtual]
Loader: TypeAlias = Callable[[], Files]

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_TREES_KEPT = 256


class Tree:
    """The files of one commit, and what the Hub derives from them."""

    def __init__(self, files: Files) -> None:
        self.blobs = {path: Blob.of(path, files[path]) for path in sorted(files)}
        self._metadata: dict[str, Blob | None] = {}

    @cached_property
    def folders(self) -> frozenset[str]:
        found = set()
        for path in self.blobs:
            while path := posixpath.dirname(path):
                found.add(path)
        return frozenset(found)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json, or nothing where it is absent or no JSON object."""
        config = _json_object(self.blobs["config.json"].prefix) if "config.json" in self.blobs else None
        return config or {}

    @cached_property
    def elements_by_dtype(self) -> dict[str, int] | None:
        """Stored elements by dtype from the headers at the root; None where the Hub would show no count."""
        if SINGLE_FILE in self.blobs:
            headers: list[Any] = [_header(self.blobs[SINGLE_FILE])]
        else:
            headers = list((self._headers_of(INDEX_FILE) or {}).values())
        try:
            return _count_elements(headers) or None
        except (AttributeError, KeyError, TypeError):
            return None

    def safetensors_metadata(self, index_path: str) -> Blob | None:
        """The one-call answer: index metadata and every shard's header; None if one is unreadable."""
        if index_path not in self._metadata:
            self._metadata[index_path] = self._build_metadata(index_path)
        return self._metadata[index_path]

    def _build_metadata(self, index_path: str) -> Blob | None:
        headers = self._headers_of(index_path)
        if headers is None or None in headers.values():
            return None
        index = _json_object(self.blobs[index_path].prefix) or {}
        answer = {"index": {"metadata": index.get("metadata")}, "headers": headers}
        return Blob.plain(json.dumps(answer, separators=(",", ":")).encode())

    def _headers_of(self, index_path: str) -> dict[str, Any] | None:
        """Shard name to header, in order; None for a shard that is missing or unreadable."""
        index = _json_object(self.blobs[index_path].prefix) if index_path in self.blobs else None
        if index is None or not isinstance(index.get("weight_map"), dict):
            return None
        folder = posixpath.dirname(index_path)
        shards = sorted({str(name) for name in index["weight_map"].values()})
        return {name: _header(self.blobs.get(posixpath.join(folder, name))) for name in shards}


class Commit:
    """A tree under a 40-hex id made from the repo's name and the files' hashes."""

    def __init__(self, repo_id: str, load: Loader) -> None:
        self.repo_id = repo_id
        self.load = load
        self._lock = threading.Lock()

    @property
    def tree(self) -> Tree:
        with self._lock:  # or several connections would build the same tree at once
            return _tree_of(self)

    @cached_property
    def sha(self) -> str:
        digest = hashlib.sha1(self.repo_id.encode(), usedforsecurity=False)
        for path, blob in self.tree.blobs.items():
            digest.update(f"{path} {blob.sha256}\n".encode())
        return digest.hexdigest()


@lru_cache(maxsize=_TREES_KEPT)
def _tree_of(commit: Commit) -> Tree:
    """Thousands of repos stay cheap: only the trees in use are held."""
    return Tree(commit.load())


@dataclass(eq=False)
class Repo:
    """One model repo.

    Attributes:
        id: "org/name".
        files: path to content on ``main``, or a function that gives them when they are first needed.
        branches, tags, pull_requests: further refs, each with all its files.
        card_tags: the tags of the model card, which ``filter=`` looks at.
        former_ids: ids that redirect here, as the Hub does after a rename.
        api_fields: what ``/api/models`` says beyond or against the files: ``gguf``, a false ``safetensors`` …
    """

    id: str
    files: Files | Loader
    _: KW_ONLY
    gated: Literal[False, "auto", "manual"] = False
    private: bool = False
    disabled: bool = False
    branches: Mapping[str, Files] = field(default_factory=dict)
    tags: Mapping[str, Files] = field(default_factory=dict)
    pull_requests: Mapping[int, Files] = field(default_factory=dict)
    library_name: str | None = None
    pipeline_tag: str | None = None
    card_tags: tuple[str, ...] = ()
    former_ids: tuple[str, ...] = ()
    api_fields: Mapping[str, Any] = field(default_factory=dict)
    downloads: int = 0
    likes: int = 0
    created_at: str = "2024-01-01T00:00:00.000Z"
    last_modified: str = "2025-01-01T00:00:00.000Z"
    refs: dict[str, Commit] = field(init=False, default_factory=dict)
    history: list[Commit] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._point("refs/heads/main", self.files)
        for name, files in self.branches.items():
            self._point(f"refs/heads/{name}", files)
        for name, files in self.tags.items():
            self._point(f"refs/tags/{name}", files)
        for number, files in self.pull_requests.items():
            self._point(f"refs/pr/{number}", files)

    def push(self, files: Files, *, branch: str = "main") -> str:
        """Move a branch to a new commit with exactly these files; older commits stay readable by their id."""
        return self._point(f"refs/heads/{branch}", files).sha

    def commit(self, revision: str = "main") -> Commit | None:
        """The commit a branch, a tag, a full ref or a commit id (7 digits or more) names."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return self.refs[ref]
        if len(revision) < 7:
            return None
        return next((commit for commit in self.history if commit.sha.startswith(revision)), None)

    def _point(self, ref: str, files: Files | Loader) -> Commit:
        commit = Commit(self.id, files if callable(files) else lambda: files)
        self.history.append(commit)
        self.refs[ref] = commit
        return commit


def _json_object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _header(blob: Blob | None) -> dict[str, Any] | None:
    return None if blob is None else _json_object(blob.prefix[8 : safetensors_header_end(blob.prefix)])


def _count_elements(headers: list[dict[str, Any]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for header in headers:
        for name, tensor in header.items():
            if name != "__metadata__":
                counts[tensor["dtype"]] += math.prod(tensor["shape"])
    return dict(counts)
