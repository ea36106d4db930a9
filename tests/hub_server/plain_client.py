"""One request at a time with nothing followed, retried or decoded: to see what the server really sends."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .server import HubServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)


def ask(origin: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Reply:
    """The reply to one request on a connection of its own; headers as ``Accept_Encoding="gzip"``."""
    connection = connect(origin)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=named)
        response = connection.getresponse()
        return Reply(status=response.status, headers=response.headers, body=response.read())
    finally:
        connection.close()


def bearer(token: str) -> str:
    return f"Bearer {token}"


def cdn_path(hub: HubServer, path: str) -> str:
    """Path and query of the signed URL on the CDN that a file in LFS redirects to."""
    location = ask(hub.endpoint, path).headers["Location"]
    assert location.startswith(hub.cdn_endpoint)
    return location.removeprefix(hub.cdn_endpoint)
