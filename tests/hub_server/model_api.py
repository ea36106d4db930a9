"""What ``/api/models`` says: the fields of one model, the listing of many, refs, trees, and their pages."""

import base64
import hashlib
import json
import posixpath
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlencode

from .blobs import Blob
from .repos import Commit, Repo, Tree
from .responses import HubError, Request

T = TypeVar("T")
Rank: TypeAlias = tuple[Any, ...]
Page: TypeAlias = tuple[list[T], dict[str, str]]

_UPLOADED = "2025-01-01T00:00:00.000Z"
_REDUCED_CONFIG = ("architectures", "model_type", "quantization_config")

# Every field is computed only when it is asked for: most need the repo's files.
_FIELDS: dict[str, Callable[[Repo, Commit], Any]] = {
    "author": lambda repo, _: posixpath.dirname(repo.id) or None,
    "cardData": lambda _repo, _: {},
    "config": lambda _repo, commit: reduced_config(commit.tree),
    "createdAt": lambda repo, _: repo.created_at,
    "disabled": lambda repo, _: repo.disabled,
    "downloads": lambda repo, _: repo.downloads,
    "gated": lambda repo, _: repo.gated,
    "lastModified": lambda repo, _: repo.last_modified,
    "library_name": lambda repo, _: repo.library_name,
    "likes": lambda repo, _: repo.likes,
    "pipeline_tag": lambda repo, _: repo.pipeline_tag,
    "private": lambda repo, _: repo.private,
    "safetensors": lambda _repo, commit: parameter_counts(commit.tree),
    "sha": lambda _repo, commit: commit.sha,
    "siblings": lambda _repo, commit: [{"rfilename": path} for path in commit.tree.blobs],
    "spaces": lambda _repo, _: [],
    "tags": lambda repo, _: list(repo.card_tags),
    "usedStorage": lambda _repo, commit: sum(blob.size for blob in commit.tree.blobs.values()),
}
# What else ``expand`` may ask for; a repo has it only through its ``api_fields``.
_FURTHER_FIELDS = {
    "baseModels", "childrenModelCount", "downloadsAllTime", "evalResults", "gguf", "inference",
    "inferenceProviderMapping", "mask_token", "model-index", "resourceGroup", "transformersInfo",
    "trendingScore", "widgetData",
}  # fmt: skip
_LISTED = ("createdAt", "downloads", "library_name", "likes", "pipeline_tag", "private", "tags")
_LISTED_IN_FULL = (*_LISTED, "author", "gated", "lastModified", "sha", "siblings")
_SORT_KEYS: dict[str, Callable[[Repo], int]] = {
    "createdAt": lambda repo: _digits(repo.created_at),
    "downloads": lambda repo: repo.downloads,
    "lastModified": lambda repo: _digits(repo.last_modified),
    "likes": lambda repo: repo.likes,
    "trendingScore": lambda _: 0,
}


def model_info(request: Request, repo: Repo, commit: Commit) -> dict[str, Any]:
    info = _model(repo, commit, _expanded(request) or [*_FIELDS, *repo.api_fields])
    if request.flag("blobs") and "siblings" in info:
        info["siblings"] = [_sibling(path, blob) for path, blob in commit.tree.blobs.items()]
    return info


def listing(request: Request, repos: Iterable[Repo], page_size: int) -> Page[dict[str, Any]]:
    """The models that match ``author``, ``search``, ``filter``, ``pipeline_tag``, in ``sort`` order."""
    sort_key = _SORT_KEYS.get(request.param("sort", "trendingScore"))
    if sort_key is None:
        raise HubError(400, None, f"Invalid sort parameter: {request.param('sort')}")
    ranked = [((-sort_key(repo), repo.id), repo) for repo in _matching(request, repos)]
    ranked.sort(key=itemgetter(0))
    chosen, headers = page(request, ranked, page_size)
    fields = _expanded(request) or (_LISTED_IN_FULL if request.flag("full") else _LISTED)
    if request.flag("config"):
        fields = (*fields, "config")
    return [_model(repo, repo.refs["refs/heads/main"], fields) for repo in chosen], headers


def refs(request: Request, repo: Repo) -> dict[str, Any]:
    def under(folder: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(folder), "ref": ref, "targetCommit": commit.sha}
            for ref, commit in repo.refs.items()
            if ref.startswith(folder)
        ]

    answer = {"branches": under("refs/heads/"), "converts": [], "tags": under("refs/tags/")}
    return {**answer, "pullRequests": under("refs/pr/")} if request.flag("include_prs") else answer


def tree_page(request: Request, commit: Commit, folder: str, page_size: int) -> Page[dict[str, Any]]:
    """The entries of a folder, or with ``recursive`` everything below it."""
    tree, root = commit.tree, f"{folder}/" if folder else ""
    inside = [path for path in sorted([*tree.blobs, *tree.folders]) if path.startswith(root)]
    if folder and not inside:
        raise HubError(404, "EntryNotFound", f"{folder} does not exist", {"X-Repo-Commit": commit.sha})
    if not request.flag("recursive"):
        inside = [path for path in inside if "/" not in path[len(root) :]]
    paths, headers = page(request, [((path,), path) for path in inside], page_size)
    return [_entry(commit, path, expand=request.flag("expand")) for path in paths], headers


def paths_info(request: Request, commit: Commit) -> list[dict[str, Any]]:
    """Entries for the paths in the body, a form or JSON; a path that is not there is left out."""
    form = json.loads(request.body) if request.has_json else parse_qs(request.body.decode())
    expand = form.get("expand") in (True, ["true"])
    there = commit.tree.blobs.keys() | commit.tree.folders
    return [_entry(commit, path, expand=expand) for path in form["paths"] if path in there]


def page(request: Request, ranked: Iterable[tuple[Rank, T]], largest: int) -> Page[T]:
    """One page of what is sorted by rank, and a ``Link`` to the next; ``limit`` may ask for smaller pages.

    The cursor is the last rank shown, so that nothing is shown twice or left out when something is deleted
    between two pages.
    """
    size = min(int(request.param("limit", str(largest))), largest)
    after = _decoded(request.param("cursor"))
    rest = [(rank, item) for rank, item in ranked if after is None or rank > after]
    headers = {}
    if len(rest) > size:
        kept = {name: values for name, values in request.params.items() if name != "cursor"}
        query = urlencode({**kept, "cursor": _encoded(rest[size - 1][0])}, doseq=True)
        headers["Link"] = f'<http://{request.headers["host"]}{request.path}?{query}>; rel="next"'
    return [item for _, item in rest[:size]], headers


def reduced_config(tree: Tree) -> dict[str, Any]:
    return {key: tree.config[key] for key in _REDUCED_CONFIG if key in tree.config}


def parameter_counts(tree: Tree) -> dict[str, Any] | None:
    """Stored elements. The Hub unpacks some quantized formats and leaves out their scales; this does not."""
    counts = tree.elements_by_dtype
    return None if counts is None else {"parameters": counts, "total": sum(counts.values())}


def _model(repo: Repo, commit: Commit, fields: Iterable[str]) -> dict[str, Any]:
    _id = hashlib.sha256(repo.id.encode()).hexdigest()[:24]
    values = {name: _value(repo, commit, name) for name in fields}
    present = {name: value for name, value in values.items() if value is not None}
    return {"_id": _id, "id": repo.id, "modelId": repo.id, **present}


def _value(repo: Repo, commit: Commit, name: str) -> Any:
    if name in repo.api_fields:
        return repo.api_fields[name]
    return _FIELDS[name](repo, commit) if name in _FIELDS else None


def _expanded(request: Request) -> list[str]:
    """The fields ``expand`` asks for, in either spelling."""
    asked = [*request.params.get("expand", []), *request.params.get("expand[]", [])]
    unknown = [name for name in asked if name not in _FIELDS and name not in _FURTHER_FIELDS]
    if unknown:
        raise HubError(400, None, f"Invalid option: {', '.join(unknown)}")
    return asked


def _matching(request: Request, repos: Iterable[Repo]) -> Iterator[Repo]:
    author, task = request.param("author"), request.param("pipeline_tag")
    search = request.param("search").lower()
    tags = {tag for value in request.params.get("filter", []) for tag in value.split(",")}
    for repo in repos:
        if (
            (not author or author == posixpath.dirname(repo.id))
            and (not task or task == repo.pipeline_tag)
            and search in repo.id.lower()
            and tags.issubset(repo.card_tags)
        ):
            yield repo


def _sibling(path: str, blob: Blob) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path, "size": blob.size, "blobId": blob.oid}
    if blob.lfs:
        sibling["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}
    return sibling


def _entry(commit: Commit, path: str, *, expand: bool) -> dict[str, Any]:
    """A file or folder as ``/tree/`` and ``/paths-info/`` describe it."""
    blob = commit.tree.blobs.get(path)
    if blob is None:
        oid = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
        entry: dict[str, Any] = {"type": "directory", "oid": oid, "size": 0, "path": path}
    else:
        entry = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
        if blob.lfs:
            entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": len(blob.pointer)}
        if expand:
            entry["securityFileStatus"] = {"status": "safe", "avScan": None, "pickleImportScan": None}
    if expand:
        entry["lastCommit"] = {"id": commit.sha, "title": "Upload", "date": _UPLOADED}
    return entry


def _encoded(rank: Rank) -> str:
    return base64.urlsafe_b64encode(json.dumps(rank).encode()).decode()


def _decoded(cursor: str) -> Rank | None:
    return tuple(json.loads(base64.urlsafe_b64decode(cursor))) if cursor else None


def _digits(date: str) -> int:
    """A date in ISO 8601 as a number that sorts like it."""
    return int("".join(filter(str.isdigit, date)))
