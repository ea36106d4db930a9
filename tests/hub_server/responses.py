"""Requests and responses as values, and what the Hub answers with: JSON, a file, a redirect, an error."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from .blobs import Blob

# Compressing less would save nothing. Where the Hub draws the line is not documented.
_GZIP_FROM_NBYTES = 1000
_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)(?<!=-)")
_JSON = "application/json; charset=utf-8"
_NOTHING = Blob.plain(b"")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came in; ``path`` is still percent-encoded, header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def line(self) -> str:
        """What the ``match`` of a fault looks at."""
        return f"{self.method} {self.path}"

    @cached_property
    def params(self) -> dict[str, list[str]]:
        return parse_qs(self.query)

    def param(self, name: str, default: str = "") -> str:
        return self.params.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        return self.param(name).lower() in ("true", "1")

    @property
    def has_json(self) -> bool:
        return "json" in self.headers.get("content-type", "")

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    def without_range(self) -> "Request":
        return replace(self, headers={name: value for name, value in self.headers.items() if name != "range"})

    @property
    def accepts_gzip(self) -> bool:
        return (
            self.method == "GET" and self.range is None and "gzip" in self.headers.get("accept-encoding", "")
        )


@dataclass(frozen=True, kw_only=True)
class Response:
    """Status, headers and the bytes ``start`` to ``stop`` of a body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Blob = _NOTHING
    start: int = 0
    stop: int | None = None

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.body.size if self.stop is None else self.stop

    def with_headers(self, headers: Mapping[str, str]) -> "Response":
        """The same response; its own headers win over the added ones."""
        return replace(self, headers={**headers, **self.headers})


class HubError(Exception):
    """An error the Hub answers with: a status, a code for ``X-Error-Code`` and a message."""

    def __init__(
        self, status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        named = {"X-Error-Code": code} if code else {}
        self.headers = {"X-Error-Message": message, **named, **(headers or {})}

    def response(self) -> Response:
        return error_response(self.status, str(self), self.headers)


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = Blob.plain(json.dumps({"error": message}).encode())
    return Response(status=status, headers={"Content-Type": _JSON, **(headers or {})}, body=body)


def json_response(request: Request, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    body = Blob.plain(json.dumps(value, separators=(",", ":")).encode())
    return text_response(request, body, headers)


def text_response(request: Request, body: Blob, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, compressed where the client takes it."""
    headers = {"Content-Type": _JSON, "Vary": "Accept-Encoding", **(headers or {})}
    if not request.accepts_gzip or body.size < _GZIP_FROM_NBYTES:
        return Response(status=200, headers=headers, body=body)
    return Response(
        status=200, headers={**headers, "Content-Encoding": "gzip"}, body=Blob.plain(body.gzipped)
    )


def redirect(status: int, location: str, headers: Mapping[str, str] | None = None) -> Response:
    body = Blob.plain(f"Redirecting to {location}".encode())
    headers = {"Content-Type": "text/plain; charset=utf-8", "Location": location, **(headers or {})}
    return Response(status=status, headers=headers, body=body)


def file_response(request: Request, blob: Blob, headers: Mapping[str, str] | None = None) -> Response:
    """A file, or the part of it that ``Range`` asks for: 200, 206 or 416."""
    headers = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": blob.etag,
        **(headers or {}),
    }
    asked = _RANGE.fullmatch(request.range or "")
    if asked is None:
        return Response(status=200, headers=headers, body=blob)
    start, stop = _span(asked["first"], asked["last"], blob.size)
    if start >= stop:
        raise HubError(416, None, "Range Not Satisfiable", {"Content-Range": f"bytes */{blob.size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    return Response(status=206, headers=headers, body=blob, start=start, stop=stop)


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """The half-open span of ``first-last``, ``first-`` or ``-count``, cut at the file's end."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
