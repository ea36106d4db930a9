"""Requests to the Hub through huggingface_hub's plumbing, and its errors in hubmem's words.

The only module that imports huggingface_hub's HTTP layer, so `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, proxies
and offline mode behave as its users expect. `HfApi` is not used: it accepts malformed headers, does
not retry a spent quota, reads whole files from servers that ignore ranges, and costs a second to import.

Once a day `build_hf_headers` itself may ask the Hub for its list of agent harnesses, unless
`HF_HUB_DISABLE_TELEMETRY` is set; that request is huggingface_hub's own and is not counted here.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub import errors as hf
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, parse_ratelimit_headers

from hubmem.errors import (
    GatedRepo,
    HubmemError,
    HubUnreachable,
    NotCached,
    RangeIgnored,
    RateLimited,
    RepoNotFound,
    RevisionNotFound,
    TokenRefused,
    UnreadableRepo,
)
from hubmem.hub.pacer import Allowance, Pacer
from hubmem.hub.source import Cost, Exchange, Observer
from hubmem.version import __version__

_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.5
_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_CHUNK = 64 * 1024
_SESSION_LOCK = threading.Lock()
# By name, because the library they come from is another in huggingface_hub 1 and 2. A machine without a
# network should hear so within a second, not after all the pauses that a busy server deserves.
_NEVER_CONNECTED = frozenset({"ConnectError", "ConnectTimeout"})


class EntryAbsent(Exception):
    """The repo has no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, read: the body is decoded text or the bytes of the range asked for."""

    body: bytes
    headers: Mapping[str, str]


class Transport:
    """GET requests with bounded, jittered retries; counts what they cost. Safe to use from many threads."""

    def __init__(
        self, *, endpoint: str, token: str | bool | None, observer: Observer, pacer: Pacer | None = None
    ) -> None:
        self.endpoint = endpoint
        self._token = token
        self._headers: dict[str, str] | None = None
        self._observer = observer
        self._pacer = pacer or Pacer()
        self._lock = threading.Lock()
        self._cost = Cost()
        # Made here: a thread that made it for its first request would compete with whatever the main thread
        # imports meanwhile, and lose, so that no request would be sent before the last import is done.
        _session()

    @property
    def cost(self) -> Cost:
        """What has been spent so far."""
        return self._cost

    def get(self, path: str, *, most: int) -> Answer:
        """Read a whole resource of at most that many bytes.

        Raises:
            EntryAbsent: the repo has no such file.
            HubmemError: anything else that keeps it from being read.
        """
        return self._retried(path, lambda: self._read(path, None, most))

    def get_range(self, path: str, start: int, stop: int) -> Answer:
        """Read bytes `start` up to `stop` of a file, never more.

        Raises:
            EntryAbsent: the repo has no such file.
            RangeIgnored: the server would send the whole file.
            HubmemError: anything else that keeps it from being read.
        """
        return self._retried(path, lambda: self._read(path, (start, stop), stop - start))

    def _retried(self, path: str, attempt: Callable[[], Answer]) -> Answer:
        for number in range(1, _ATTEMPTS + 1):
            try:
                return attempt()
            except (hf.HTTPError, hf.OfflineModeIsEnabled) as error:
                pause = _pause_before_retry(error, number, self._pacer.longest_pause_seconds)
                if pause is None or number == _ATTEMPTS:
                    raise translate(error, path) from error
                self._pacer.pause(pause)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, path: str, span: tuple[int, int] | None, most: int) -> Answer:
        headers = dict(self._hub_headers())
        if span:
            # A compressed answer would not be the bytes of the range.
            headers |= {"range": f"bytes={span[0]}-{span[1] - 1}", "accept-encoding": "identity"}
        with self._exchange(path, headers) as response:
            if response.status_code >= 400:
                response.read()
            hf_raise_for_status(response)
            if span and not _honours_range(response, *span):
                raise RangeIgnored(
                    f"{self.endpoint} answers range requests with other bytes.",
                    hint="hubmem stopped before reading weights. Use the Hub itself or a mirror that serves ranges.",
                )
            return Answer(body=_read_at_most(response, most, path), headers=response.headers)

    @contextmanager
    def _exchange(self, path: str, headers: dict[str, str]) -> Iterator[Any]:
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with self._pacer.turn(path) as answered:
            started = time.monotonic()
            url = self.endpoint + path
            with _session().stream("GET", url, headers=headers, timeout=timeout) as response:
                answered([allowance_in(hop.headers) for hop in _hops(response)])
                try:
                    yield response
                finally:
                    self._count(response, time.monotonic() - started)

    def _count(self, response: Any, seconds: float) -> None:
        hops = _hops(response)
        with self._lock:
            self._cost = Cost(
                requests=self._cost.requests + len(hops),
                bytes_received=self._cost.bytes_received + sum(hop.num_bytes_downloaded for hop in hops),
            )
        for hop in hops:
            self._observer.exchanged(
                Exchange(
                    method=hop.request.method,
                    url=str(hop.request.url),
                    status=hop.status_code,
                    nbytes=hop.num_bytes_downloaded,
                    seconds=seconds if hop is response else 0.0,
                )
            )

    def _hub_headers(self) -> dict[str, str]:
        with self._lock:
            if self._headers is None:
                self._headers = build_hf_headers(
                    token=self._token, library_name="hubmem", library_version=__version__
                )
            return self._headers


def _session() -> Any:
    """The client that huggingface_hub shares; it makes two of it where two threads are the first to ask."""
    with _SESSION_LOCK:
        return get_session()


def _hops(response: Any) -> list[Any]:
    return [*response.history, response]


def allowance_in(headers: Mapping[str, str]) -> Allowance:
    """What a response's `RateLimit`, `RateLimit-Policy` and `Retry-After` headers say.

    Source: https://huggingface.co/docs/hub/rate-limits
    """
    retry_after_seconds = _retry_after_seconds(headers.get("retry-after", ""))
    try:
        quota = parse_ratelimit_headers(headers)
    except ValueError:  # a number that is too long to be one
        quota = None
    if quota is None:
        return Allowance(retry_after_seconds=retry_after_seconds)
    return Allowance(
        bucket=quota.resource_type,
        remaining=quota.remaining,
        resets_in_seconds=quota.reset_in_seconds,
        limit=quota.limit,
        window_seconds=quota.window_seconds,
        retry_after_seconds=retry_after_seconds,
    )


def _retry_after_seconds(value: str) -> float:
    """A number of seconds or a date, by RFC 9110 (10.2.3); 0 for what is neither.

    >>> _retry_after_seconds("41"), _retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT"), _retry_after_seconds("soon")
    (41.0, 0.0, 0.0)
    """
    if value.isdecimal():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def repo_path(*parts: str) -> str:
    """A path on the Hub from its parts; `/` inside a part is kept only where a repo id or file has it."""
    return "/" + "/".join(quote(part, safe="/") for part in parts)


def revision_part(revision: str) -> str:
    """A revision as one path segment: `refs/pr/4` has slashes that are not separators."""
    return quote(revision, safe="")


def _honours_range(response: Any, start: int, stop: int) -> bool:
    if response.status_code == 206:
        return bool(response.headers.get("content-range", "").startswith(f"bytes {start}-"))
    # A file no longer than the range may come whole: nothing beyond the range was asked for or sent.
    length = response.headers.get("content-length", "")
    return length.isdecimal() and int(length) <= stop - start


def _read_at_most(response: Any, most: int, path: str) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes(_CHUNK):
        body += chunk
        if len(body) > most:
            raise UnreadableRepo(
                f"{path} is larger than {most:,} bytes, the most that is read of such a file."
            )
    return bytes(body)


def _pause_before_retry(error: Exception, attempt: int, longest: float) -> float | None:
    """Seconds to wait before trying again, or None where trying again is of no use."""
    if isinstance(error, hf.OfflineModeIsEnabled):
        return None
    # Jittered: threads that failed together should not come back together.
    pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
    response = error.response if isinstance(error, hf.HfHubHTTPError) else None
    if response is None:
        return None if type(error).__name__ in _NEVER_CONNECTED and attempt > 1 else pause
    asked = _asked_to_wait(response.headers)
    return pause + asked if response.status_code in _RETRIED_STATUSES and asked <= longest else None


def _asked_to_wait(headers: Mapping[str, str]) -> float:
    """Seconds until a spent quota is renewed, or for as long as the server asks; 0 where neither is said."""
    allowance = allowance_in(headers)
    if allowance.bucket and allowance.remaining == 0:
        return float(allowance.resets_in_seconds)
    return allowance.retry_after_seconds


def translate(error: Exception, path: str) -> HubmemError | EntryAbsent:
    """Hubmem's error for one of huggingface_hub's; the most specific row of the table wins."""
    for foreign, ours in _TRANSLATIONS:
        if isinstance(error, foreign):
            return ours(error, path)
    raise error


def _by_status(error: Any, path: str) -> HubmemError:
    response = error.response
    status = response.status_code if response is not None else 0
    host = response.url.host if response is not None else "the Hub"
    if status == 401:
        return TokenRefused(
            "The Hub refused the token.", hint="Log in again with `hf auth login`, or unset HF_TOKEN."
        )
    if status == 429:
        wait = _asked_to_wait(response.headers)
        when = f" It is renewed in {wait:.0f} s." if wait else ""
        return RateLimited(
            f"The Hub's request quota is spent.{when}",
            hint="Wait, or pass a token: quotas are larger with one.",
        )
    if status in _RETRIED_STATUSES or status == 403:  # a storage host's signature fault, not a gate
        return HubUnreachable(f"{host} answered {status} for {path}.", hint="Try again later.")
    return UnreadableRepo(f"{host} answered {status} for {path}.")


def _unreachable(error: Exception, path: str) -> HubmemError:  # noqa: ARG001 - the table's signature
    return HubUnreachable(
        f"The Hub could not be reached ({str(error) or type(error).__name__}).",
        hint="Check the network and HF_ENDPOINT; --offline answers from what is stored.",
    )


_ACCESS_HINT = "Ask for access on the model's page, then set HF_TOKEN or run `hf auth login`."

# Most specific first: GatedRepoError is a RepositoryNotFoundError, and both are HfHubHTTPErrors.
_TRANSLATIONS: tuple[tuple[type[Exception], Callable[[Any, str], HubmemError | EntryAbsent]], ...] = (
    (
        hf.GatedRepoError,
        lambda _, path: GatedRepo(f"Access to {_repo_in(path)} is gated.", hint=_ACCESS_HINT),
    ),
    (
        hf.RepositoryNotFoundError,
        lambda _, path: RepoNotFound(
            f"No repo {_repo_in(path)} on the Hub, or it is private.",
            hint="Check the spelling; a private repo needs HF_TOKEN or `hf auth login`.",
        ),
    ),
    (
        hf.RevisionNotFoundError,
        lambda _, path: RevisionNotFound(
            f"{_repo_in(path)} has no such revision.", hint="Name a branch, a tag, refs/pr/N or a commit."
        ),
    ),
    (hf.EntryNotFoundError, lambda _, path: EntryAbsent(path)),
    (
        hf.DisabledRepoError,
        lambda _, path: UnreadableRepo(f"The Hub has disabled access to {_repo_in(path)}."),
    ),
    (
        hf.OfflineModeIsEnabled,
        lambda _, path: NotCached(
            f"Offline, and nothing is stored for {_repo_in(path)}.",
            hint="Run once with a network, or unset HF_HUB_OFFLINE.",
        ),
    ),
    (hf.HfHubHTTPError, _by_status),
    (hf.HTTPError, _unreachable),
)


def _repo_in(path: str) -> str:
    """The repo id in a path of the Hub, for messages.

    >>> _repo_in("/api/models/org/name/revision/main"), _repo_in("/org/name/resolve/main/config.json")
    ('org/name', 'org/name')
    """
    parts = path.removeprefix("/api/models/").lstrip("/").split("?")[0].split("/")
    ends = [
        parts.index(word) for word in ("revision", "resolve", "tree", "safetensors-metadata") if word in parts
    ]
    return "/".join(parts[: min(ends, default=len(parts))])
