"""The server: two origins, the order in which latency, quotas, faults and routes act, and the request log."""

import threading
import time
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import ClassVar, final

from . import access, routes
from .blobs import Blob
from .faults import Answer, Call, Fault, FaultPlan, IgnoreRange, QuotaSpent, Reset, Settings, Truncate
from .log import Host, LoggedRequest, RequestLog
from .quotas import Quotas, bucket_of, quota_headers
from .repos import Repo
from .responses import HubError, Request, Response, error_response
from .snapshots import Record, repo_from_record
from .wire import Delivery, Manner, Origin

_POLL_SECONDS = 0.005
_TOO_MANY = "Too Many Requests"


@final
class HubServer:
    """A Hub on 127.0.0.1 with its CDN on a second port, open inside a ``with`` block.

    Attributes:
        endpoint: URL of the Hub, for ``HF_ENDPOINT`` or ``endpoint=``.
        cdn_endpoint: URL of the second origin.
        settings: may be replaced at any time.
        TOKEN_OK: a token with access to gated and private repos.
        TOKEN_NO_ACCESS: a valid token without; every other token is refused.
    """

    TOKEN_OK: ClassVar = access.TOKEN_OK
    TOKEN_NO_ACCESS: ClassVar = access.TOKEN_NO_ACCESS

    def __init__(
        self,
        repos: Iterable[Repo | Record] = (),
        *,
        settings: Settings | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        self.settings = settings or Settings()
        self._shelf = access.Shelf(map(_as_repo, repos))
        self._plan = FaultPlan(faults)
        self._quotas = Quotas()
        self._log = RequestLog()
        self._hub = Origin(partial(self._answer, "hub"))
        self._cdn = Origin(partial(self._answer, "cdn"))
        self.endpoint = self._hub.url
        self.cdn_endpoint = self._cdn.url

    def __enter__(self) -> "HubServer":
        for origin in (self._hub, self._cdn):
            threading.Thread(target=origin.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.stop()
        self._cdn.stop()
        failures = [*self._hub.failures, *self._cdn.failures]
        if failures and error is None:
            raise RuntimeError(f"the server itself failed on {len(failures)} request(s)") from failures[0]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults in force; set a sequence of them, and their counts start anew."""
        return self._plan.faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]) -> None:
        self._plan = FaultPlan(faults)

    @property
    def requests(self) -> tuple[LoggedRequest, ...]:
        return self._log.entries()

    @property
    def bytes_sent(self) -> int:
        """Bytes of bodies sent by both origins."""
        return sum(entry.bytes_sent for entry in self.requests)

    @property
    def weight_bytes_sent(self) -> int:
        """Bytes of weights among them: everything behind a file's header."""
        return sum(entry.weight_bytes_sent for entry in self.requests)

    def clear_log(self) -> None:
        self._log = RequestLog()

    def add(self, repo: Repo | Record) -> Repo:
        """Publish a repo, or replace the one with its id."""
        repo = _as_repo(repo)
        self._shelf.add(repo)
        return repo

    def repo(self, repo_id: str) -> Repo:
        return self._shelf.repos[repo_id]

    def remove(self, repo_id: str) -> None:
        """Delete a repo: from now on it is missing."""
        del self._shelf.repos[repo_id]

    def _answer(self, host: Host, request: Request) -> Delivery:
        """One request's answer, entered in the log: what `Origin` calls."""
        arrived_seconds = time.monotonic()
        if self.settings.latency_seconds:
            time.sleep(self.settings.latency_seconds)
        response, manner = (
            self._within_quota(request) if host == "hub" else self._through_faults(host, request)
        )
        log = self._log
        number = log.begin(
            LoggedRequest(
                host=host,
                method=request.method,
                path=request.path,
                query=request.query,
                range=request.range,
                status=0 if manner == "reset" else response.status,
                bucket=bucket_of(request.path) if host == "hub" else None,
                authorised="authorization" in request.headers,
                arrived_seconds=arrived_seconds,
            )
        )
        return Delivery(response=response, manner=manner, sent=partial(log.sent, number))

    def _within_quota(self, request: Request) -> tuple[Response, Manner]:
        """The Hub's answer, with the headers that say what is left of the caller's quota."""
        user = request.headers.get("authorization", "")
        allowed, limits = self._quotas.draw(user, bucket_of(request.path), self.settings)
        if not allowed:
            return error_response(429, _TOO_MANY, limits), "whole"
        response, manner = self._through_faults("hub", request)
        return response.with_headers(limits), manner

    def _through_faults(self, host: Host, request: Request) -> tuple[Response, Manner]:
        """The response of the route, unless a fault strikes the request."""
        instead: Response | None = None
        manner: Manner = "whole"
        for action in self._plan.strike(request.line):
            match action:
                case Answer(status, headers, None):
                    instead = error_response(status, HTTPStatus(status).phrase, headers)
                case Answer(status, headers, bytes(body)):
                    instead = Response(status=status, headers=headers, body=Blob.plain(body))
                case QuotaSpent(seconds):
                    limits = quota_headers(bucket_of(request.path), 0, seconds, self.settings)
                    instead = error_response(429, _TOO_MANY, limits)
                case Reset():
                    manner = "reset"
                case Truncate():
                    manner = "half"
                case IgnoreRange():
                    request = request.without_range()
                case Call(callback):
                    callback()
        return instead or self._routed(host, request), manner

    def _routed(self, host: Host, request: Request) -> Response:
        site = routes.Site(shelf=self._shelf, settings=self.settings, cdn_url=self.cdn_endpoint)
        answer = routes.answer_hub if host == "hub" else routes.answer_cdn
        try:
            return answer(site, request)
        except HubError as error:
            return error.response()


def _as_repo(repo: Repo | Record) -> Repo:
    return repo if isinstance(repo, Repo) else repo_from_record(repo)
