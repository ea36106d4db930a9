"""What was asked and what was sent."""

import threading
from dataclasses import dataclass, replace
from typing import Literal

Host = Literal["hub", "cdn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request and its answer.

    Attributes:
        host: which of the two origins was asked.
        path, query: as sent, percent-encoded.
        range: the ``Range`` header.
        status: 0 where the connection was reset instead.
        bytes_sent: of the body, handed to the socket so far; a client that hangs up may have read fewer.
        weight_bytes_sent: those of them that are weights, not header.
        bucket: the quota it drew on; None on the CDN.
        authorised: whether it carried an ``Authorization`` header.
        arrived_seconds: `time.monotonic` when it was read.
    """

    host: Host
    method: str
    path: str
    query: str
    range: str | None
    status: int
    bytes_sent: int = 0
    weight_bytes_sent: int = 0
    bucket: str | None
    authorised: bool
    arrived_seconds: float


class RequestLog:
    """Entries in the order their answers began.

    An entry is there, with its bytes, before the client can have read them: a test may look as soon as its
    client returns.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[LoggedRequest] = []

    def begin(self, entry: LoggedRequest) -> int:
        """Add an entry; its number, for `sent`."""
        with self._lock:
            self._entries.append(entry)
            return len(self._entries) - 1

    def sent(self, number: int, nbytes: int, weight_nbytes: int) -> None:
        entry = self._entries[number]
        self._entries[number] = replace(
            entry,
            bytes_sent=entry.bytes_sent + nbytes,
            weight_bytes_sent=entry.weight_bytes_sent + weight_nbytes,
        )

    def entries(self) -> tuple[LoggedRequest, ...]:
        return tuple(self._entries)
