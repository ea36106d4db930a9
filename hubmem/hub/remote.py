"""A repo on the Hub: one listing, then reads pinned to its commit, as few and as parallel as can be.

Cold, a sharded repo on its default branch costs two waves of requests: the listing beside the redirect
of config.json, then the one-call header endpoint beside config.json itself. Warm, it costs the listing.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from hubmem.errors import (
    GatedRepo,
    HubmemError,
    HubUnreachable,
    MalformedWeights,
    NotCached,
    UnreadableRepo,
    UsageError,
)
from hubmem.hub.cache import Cache
from hubmem.hub.model_info import parse_model_info
from hubmem.hub.source import DEFAULT_REVISION, Cost, FileEntry, HeadRequest, Listing, Observer
from hubmem.hub.transport import Answer, EntryAbsent, Transport, repo_path, revision_part

_LARGEST_LISTING = 64 * 2**20
_LARGEST_TEXT = 64 * 2**20
_LARGEST_ANSWER = 16 * 2**20
# Longer texts are indexes of shards, of which a summary is stored instead (`weights.reading`).
_LARGEST_KEPT_TEXT = 2**20
# DeepSeek-V3's 92,000 tensors take 11.5 MB; an index of 497,000 (Kimi-K3) takes 60 MB.
_LARGEST_ONE_CALL = 256 * 2**20
# safetensors refuses headers beyond 100,000,000 bytes; no other format needs as much.
_LARGEST_HEAD = 100_000_008
_CONFIG = "config.json"
_REPO_ID = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _EagerText:
    commit: str
    body: bytes | None


class RemoteSource:
    """A model repo on the Hub, at one revision.

    Args:
        repo: `name` or `owner/name`.
        revision: branch, tag, pull request ref or commit; None for the default branch.
        cache: where listings and derived facts are kept.
        pool: threads for its requests; other repos may share it, as long as it starts tasks in order.
        wanted: small files that will be read besides, and are asked for together with config.json.
    """

    def __init__(
        self,
        repo: str,
        *,
        revision: str | None,
        transport: Transport,
        cache: Cache,
        pool: Executor,
        observer: Observer,
        wanted: Sequence[str] = (),
    ) -> None:
        check_repo_id(repo)
        self._repo = repo
        self._revision = revision
        self._transport = transport
        self._observer = observer
        self.contents = cache
        self._pool = pool
        seen_before = cache.listing(self._cache_key, revision)
        # Before the commit is known: almost every repo has these. They are checked against it afterwards.
        eager = (_CONFIG, *wanted) if seen_before is None else ()
        self._eager = {path: self._pool.submit(self._read_eagerly, path) for path in eager}
        if seen_before and _COMMIT.fullmatch(revision or ""):
            # A full commit cannot have changed.
            self._listing: Future[Listing] = Future()
            self._listing.set_result(seen_before)
        else:
            self._listing = self._pool.submit(self._read_listing)

    @property
    def cost(self) -> Cost:
        """What has been spent so far."""
        return self._transport.cost

    def listing(self) -> Listing:
        """The files at the commit the revision points to now: one request, under way since the opening."""
        return self._listing.result()

    def text(self, path: str) -> str | None:
        """A small file at the listing's commit; by content from the cache where it was read before."""
        entry = self.listing().files.get(path)
        if entry is None:
            return None
        if entry.content_id and (stored := self.contents.get(entry.content_id, "text")) is not None:
            return stored.decode()
        body = self._fresh_body(path, entry)
        if body is None:
            return None
        content = _decode(body, path)
        if entry.content_id and len(body) <= _LARGEST_KEPT_TEXT:
            self.contents.put(entry.content_id, "text", content.encode())
        return content

    def heads(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        """The first bytes of several files, read concurrently."""
        futures = [self._pool.submit(self._head, request) for request in requests]
        try:
            return list(self._in_order(futures))
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def shard_headers(self, index: str) -> bytes | None:
        """One request for all headers; None where the endpoint is missing or speaks of another commit."""
        listing = self.listing()
        if not listing.on_default_branch:
            return None
        path = repo_path("api/models", listing.repo, "safetensors-metadata", index)
        try:
            answer = self._transport.get(path, most=_LARGEST_ONE_CALL)
        except (EntryAbsent, UnreadableRepo) as error:
            if isinstance(error, GatedRepo):
                raise
            return None
        if answer.headers.get("x-repo-commit", listing.commit) != listing.commit:
            return None
        return answer.body

    def ask(self, path: str) -> Any:
        """What the Hub's API says where an answer can do without it: JSON values, None where it cannot tell."""
        try:
            return json.loads(self._transport.get(path, most=_LARGEST_ANSWER).body)
        except (HubmemError, EntryAbsent, ValueError, RecursionError):
            return None

    @property
    def _cache_key(self) -> str:
        return f"{self._transport.endpoint}/{self._repo}"

    def _read_listing(self) -> Listing:
        parts = ["api/models", self._repo]
        tail = f"/revision/{revision_part(self._revision)}" if self._revision else ""
        answer = self._transport.get(repo_path(*parts) + tail + "?blobs=true", most=_LARGEST_LISTING)
        info = _json_object(answer, f"the listing of {self._repo}")
        listing = parse_model_info(info, self._revision)
        self.contents.put_listing(self._cache_key, listing)
        return listing

    def _read_eagerly(self, path: str) -> _EagerText:
        address = self._resolve_path(path, self._repo, self._revision or DEFAULT_REVISION)
        try:
            answer = self._transport.get(address, most=_LARGEST_TEXT)
        except EntryAbsent:
            return _EagerText(commit="", body=None)
        return _EagerText(commit=answer.headers.get("x-repo-commit", ""), body=answer.body)

    def _fresh_body(self, path: str, entry: FileEntry) -> bytes | None:
        """A small file from the network, checked against its hash: once stored, it is never read again."""
        listing = self.listing()
        if path in self._eager:
            eager = self._eager[path].result()
            if eager.commit == listing.commit and (eager.body is None or is_content(eager.body, entry)):
                return eager.body
        try:
            answer = self._transport.get(
                self._resolve_path(path, listing.repo, listing.commit or ""), most=_LARGEST_TEXT
            )
        except EntryAbsent:
            return None
        if not is_content(answer.body, entry):
            raise HubUnreachable(f"{path} arrived damaged.", hint="Try again.")
        return answer.body

    def _head(self, request: HeadRequest) -> bytes:
        """Read further until the format has enough; every read begins where the last one ended."""
        listing = self.listing()
        path = self._resolve_path(request.path, listing.repo, listing.commit or "")
        size = listing.files[request.path].nbytes
        head = b""
        wanted = request.first
        while len(head) < (stop := min(wanted, size)):
            if stop > _LARGEST_HEAD:
                raise MalformedWeights(
                    request.path, f"its header claims {wanted:,} bytes; the limit is {_LARGEST_HEAD:,}."
                )
            try:
                part = self._transport.get_range(path, len(head), stop).body
            except EntryAbsent:
                raise MalformedWeights(request.path, "listed, but the Hub has no such file.") from None
            if not part:
                raise HubUnreachable(f"{request.path} arrived empty.", hint="Try again.")
            head += part
            wanted = request.needed(head)
        return head

    def _in_order(self, futures: list[Future[bytes]]) -> Iterable[bytes]:
        for done, future in enumerate(futures, start=1):
            yield future.result()
            self._observer.progressed(done, len(futures))

    @staticmethod
    def _resolve_path(path: str, repo: str, revision: str) -> str:
        return f"{repo_path(repo)}/resolve/{revision_part(revision)}{repo_path(path)}"


class OfflineSource:
    """A repo as it was last seen, without a request.

    Raises:
        NotCached: from any method that would need one.
    """

    cost = Cost()

    def __init__(self, repo: str, *, revision: str | None, endpoint: str, cache: Cache) -> None:
        check_repo_id(repo)
        self.contents = cache
        self._repo = repo
        listing = cache.listing(f"{endpoint}/{repo}", revision)
        if listing is None:
            raise self._not_cached(f"nothing is stored of {self._repo}")
        self._listing = listing

    def listing(self) -> Listing:
        """The files as last seen."""
        return self._listing

    def text(self, path: str) -> str | None:
        """A small file, where it was read before."""
        entry = self._listing.files.get(path)
        if entry is None:
            return None
        stored = self.contents.get(entry.content_id, "text") if entry.content_id else None
        if stored is None:
            raise self._not_cached(f"{path} of {self._repo} was not read before")
        return stored.decode()

    def heads(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        """Nothing: stored headers are answered from `contents` before anyone asks here."""
        if requests:
            raise self._not_cached(f"{requests[0].path} of {self._repo} was not read before")
        return []

    def shard_headers(self, index: str) -> bytes | None:  # noqa: ARG002 - the protocol's signature
        """None: the one-call endpoint needs a network."""
        return None

    @staticmethod
    def _not_cached(why: str) -> NotCached:
        return NotCached(f"Offline, and {why}.", hint="Run once with a network.")


def check_repo_id(repo: str) -> None:
    """Refuse what cannot be a repo id before it becomes part of a URL.

    Raises:
        UsageError: not `name` or `owner/name` in the Hub's alphabet.
    """
    if not _REPO_ID.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UsageError(
            f"{repo!r} is neither a repo id nor a folder.",
            hint="A repo id looks like meta-llama/Llama-3.1-8B.",
        )


def is_content(body: bytes, entry: FileEntry) -> bool:
    """Whether bytes are those of a listed file, by the hash git or its large file storage names it by."""
    kind, _, digest = (entry.content_id or "").partition(":")
    if kind == "git":
        # Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        return hashlib.sha1(b"blob %d\0%b" % (len(body), body), usedforsecurity=False).hexdigest() == digest
    return kind != "sha256" or hashlib.sha256(body).hexdigest() == digest


def _json_object(answer: Answer, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise UnreadableRepo(f"{what} is not JSON: {error}.", hint="Is HF_ENDPOINT a Hub?") from error
    if not isinstance(value, dict):
        raise UnreadableRepo(f"{what} is not a JSON object.", hint="Is HF_ENDPOINT a Hub?")
    return value


def _decode(body: bytes, path: str) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableRepo(f"{path} is not UTF-8 text: {error}.") from error
