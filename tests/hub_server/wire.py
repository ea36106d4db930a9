"""HTTP/1.1 over sockets: read a request, send a response in as few pieces as it fits, keep the connection."""

import contextlib
import socket
import socketserver
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO, Literal, cast

from .responses import Request, Response

Manner = Literal["whole", "half", "reset"]
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A response and how it goes out; ``sent`` is told body bytes and weight bytes before each piece."""

    response: Response
    manner: Manner
    sent: Callable[[int, int], None]


class Origin(socketserver.ThreadingTCPServer):
    """One listening port of 127.0.0.1 with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, answer: Callable[[Request], Delivery]) -> None:
        self.answer = answer
        self.failures: list[BaseException] = []
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Connection)

    @property
    def url(self) -> str:
        host, port = cast("tuple[str, int]", self.server_address)
        return f"http://{host}:{port}"

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        # Without it the second of two small writes waits for the client's delayed acknowledgement: 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: object) -> None:
        self._open.discard(cast("socket.socket", request))
        super().shutdown_request(cast("socket.socket", request))

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what broke, so that the test which owns the server can fail of it."""
        failure = sys.exc_info()[1]
        if failure is not None:
            self.failures.append(failure)

    def stop(self) -> None:
        """Stop listening and hang up on every client."""
        self.shutdown()
        self.server_close()
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.BaseRequestHandler):
    """One client's requests, one after the other."""

    server: Origin
    request: socket.socket

    def handle(self) -> None:
        # A client may hang up at any time: that is its right, and no failure of the server.
        with contextlib.suppress(ConnectionError), self.request.makefile("rb") as stream:
            while (request := read_request(stream)) is not None:
                delivery = self.server.answer(request)
                if delivery.manner == "reset":
                    # Closed at once, or the server would first say a polite goodbye.
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                    stream.close()
                    self.request.close()
                    return
                self._send(request, delivery)
                if delivery.manner == "half" or request.headers.get("connection", "").lower() == "close":
                    return

    def _send(self, request: Request, delivery: Delivery) -> None:
        response = delivery.response
        start, stop = response.span
        piece = head(response)
        if request.method == "HEAD":
            stop = start
        elif delivery.manner == "half":
            stop = start + (stop - start) // 2
        for chunk in response.body.read(start, stop):
            delivery.sent(len(chunk), response.body.weight_nbytes(start, start + len(chunk)))
            self.request.sendall(piece + chunk)
            start, piece = start + len(chunk), b""
        if piece:
            self.request.sendall(piece)


def read_request(stream: BinaryIO) -> Request | None:
    """The next request; None when the client has closed the connection."""
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split()
    headers = {}
    while (field := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    path, _, query = target.partition("?")
    body = stream.read(int(headers.get("content-length", 0)))
    return Request(method=method, path=path, query=query, headers=headers, body=body)


def head(response: Response) -> bytes:
    start, stop = response.span
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += [f"Content-Length: {stop - start}", "", ""]
    return "\r\n".join(lines).encode("latin-1")
