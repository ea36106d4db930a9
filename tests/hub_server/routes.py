"""The endpoints, one row each: a pattern of the path, and the function that answers."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, unquote

from . import model_api
from .access import Shelf, commit_of
from .blobs import Blob
from .faults import Settings
from .repos import Commit
from .responses import HubError, Request, Response, file_response, json_response, redirect, text_response


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a handler may look at."""

    shelf: Shelf
    settings: Settings
    cdn_url: str


Groups: TypeAlias = dict[str, str]
Handler: TypeAlias = Callable[[Site, Request, Groups], Response]


def answer_hub(site: Site, request: Request) -> Response:
    """The Hub's response to any request.

    Raises:
        HubError: the request is refused, or asks for what is not there.
    """
    method = "GET" if request.method == "HEAD" else request.method
    for route_method, pattern, handler in _ROUTES:
        match = pattern.fullmatch(request.path)
        if match and method == route_method:
            groups = {name: unquote(text or "") for name, text in match.groupdict().items()}
            return _redirect_if_renamed(site, request, groups) or handler(site, request, groups)
    raise HubError(404, None, "Sorry, we can't find the page you are looking for.")


def answer_cdn(site: Site, request: Request) -> Response:
    """A file in LFS by its signed URL; the CDN knows nothing of tokens."""
    match = _CDN_PATH.fullmatch(request.path)
    repo = site.shelf.repos.get(unquote(match["id"])) if match else None
    commit = repo.commit(match["revision"]) if match and repo else None
    blob = commit.tree.blobs.get(unquote(match["path"])) if match and commit else None
    if blob is None or request.param("Signature") != _signature(request.path):
        raise HubError(403, None, "AccessDenied")
    return file_response(request, blob)


def _redirect_if_renamed(site: Site, request: Request, groups: Groups) -> Response | None:
    new_id = site.shelf.new_id(groups.get("id", ""))
    if new_id is None:
        return None
    path = request.path.replace(f"/{groups['id']}", f"/{new_id}", 1)
    return redirect(307, f"{path}?{request.query}" if request.query else path)


def _list_models(site: Site, request: Request, _: Groups) -> Response:
    repos = site.shelf.visible(request)
    models, headers = model_api.listing(request, repos, site.settings.list_page_size)
    return json_response(request, models, headers)


def _model_info(site: Site, request: Request, groups: Groups) -> Response:
    repo = site.shelf.open(request, groups["id"])
    commit = commit_of(repo, groups.get("revision", "main"))
    return json_response(request, model_api.model_info(request, repo, commit))


def _refs(site: Site, request: Request, groups: Groups) -> Response:
    return json_response(request, model_api.refs(request, site.shelf.open(request, groups["id"])))


def _tree(site: Site, request: Request, groups: Groups) -> Response:
    commit = commit_of(site.shelf.open(request, groups["id"]), groups["revision"])
    entries, headers = model_api.tree_page(request, commit, groups["path"], site.settings.tree_page_size)
    return json_response(request, entries, {"X-Repo-Commit": commit.sha, **headers})


def _paths_info(site: Site, request: Request, groups: Groups) -> Response:
    commit = commit_of(site.shelf.open(request, groups["id"]), groups["revision"])
    return json_response(request, model_api.paths_info(request, commit))


def _safetensors_metadata(site: Site, request: Request, groups: Groups) -> Response:
    """Every shard's header in one answer, always of ``main``.

    What the Hub says where a header cannot be read is not known; 404 sends a client to the shards themselves.
    """
    if not site.settings.one_call:
        raise HubError(404, None, "Not Found")
    commit = commit_of(site.shelf.open_files(request, groups["id"]), "main")
    metadata = commit.tree.safetensors_metadata(groups["path"])
    if metadata is None:
        raise HubError(404, "EntryNotFound", "Entry not found")
    return text_response(request, metadata)


def _agent_harnesses(_site: Site, request: Request, _: Groups) -> Response:
    return json_response(request, {})


def _resolve(site: Site, request: Request, groups: Groups) -> Response:
    """A redirect with the file's metadata: to the CDN for LFS, to the cache of small files for the rest."""
    commit, blob = _file(site, request, groups)
    repo_id, path = groups["id"], quote(groups["path"])
    headers = {
        "X-Repo-Commit": commit.sha,
        "X-Linked-Size": str(blob.size),
        "X-Linked-Etag": blob.etag,
        "ETag": blob.etag,
        "Accept-Ranges": "bytes",
    }
    if not blob.lfs:
        location = f"/api/resolve-cache/models/{repo_id}/{commit.sha}/{path}?{quote(request.path, safe='')}="
        return redirect(307, location, headers)
    cdn_path = f"/repos/{repo_id}/{commit.sha}/{path}"
    signed = f"Expires=1893456000&Signature={_signature(cdn_path)}&Key-Pair-Id=TEST"
    return redirect(302, f"{site.cdn_url}{cdn_path}?{signed}", headers)


def _resolve_cache(site: Site, request: Request, groups: Groups) -> Response:
    commit, blob = _file(site, request, groups)
    return _small_file(request, commit, blob)


def _raw(site: Site, request: Request, groups: Groups) -> Response:
    """What git holds: a small file itself, the pointer of one in LFS."""
    commit, blob = _file(site, request, groups)
    return _small_file(request, commit, Blob.plain(blob.pointer) if blob.lfs else blob)


def _small_file(request: Request, commit: Commit, blob: Blob) -> Response:
    headers = {"X-Repo-Commit": commit.sha, "Content-Type": "text/plain; charset=utf-8"}
    if request.accepts_gzip:
        return text_response(request, blob, {"ETag": blob.etag, **headers})
    return file_response(request, blob, headers)


def _file(site: Site, request: Request, groups: Groups) -> tuple[Commit, Blob]:
    commit = commit_of(site.shelf.open_files(request, groups["id"]), groups["revision"])
    blob = commit.tree.blobs.get(groups["path"])
    if blob is None:
        raise HubError(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit.sha})
    return commit, blob


def _signature(cdn_path: str) -> str:
    return hashlib.sha256(cdn_path.encode()).hexdigest()


_ID, _REVISION, _PATH = "(?P<id>[^/]+(?:/[^/]+)?)", "(?P<revision>[^/]+)", "(?P<path>.+)"
_CDN_PATH = re.compile(f"/repos/{_ID}/{_REVISION}/{_PATH}")
# An id has one or two segments, so the bare id is tried last: "/api/models/gpt2/refs" are the refs of gpt2.
_ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = (
    ("GET", re.compile("/api/models"), _list_models),
    ("GET", re.compile(f"/api/models/{_ID}/revision/{_REVISION}"), _model_info),
    ("GET", re.compile(f"/api/models/{_ID}/tree/{_REVISION}(?:/{_PATH})?"), _tree),
    ("POST", re.compile(f"/api/models/{_ID}/paths-info/{_REVISION}"), _paths_info),
    ("GET", re.compile(f"/api/models/{_ID}/refs"), _refs),
    ("GET", re.compile(f"/api/models/{_ID}/safetensors-metadata/{_PATH}"), _safetensors_metadata),
    ("GET", re.compile(f"/api/models/{_ID}"), _model_info),
    ("GET", re.compile("/api/agent-harnesses"), _agent_harnesses),
    ("GET", re.compile(f"/api/resolve-cache/models/{_ID}/{_REVISION}/{_PATH}"), _resolve_cache),
    ("GET", re.compile(f"/{_ID}/resolve/{_REVISION}/{_PATH}"), _resolve),
    ("GET", re.compile(f"/{_ID}/raw/{_REVISION}/{_PATH}"), _raw),
)
