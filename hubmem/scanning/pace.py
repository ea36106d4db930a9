"""The Hub's quotas, kept rather than run into.

The Hub allows each user so many requests in a fixed window of five minutes, in several buckets, and every
response says what is left of the bucket it drew on. A request is sent only while the last word on its bucket,
less what is under way, leaves room for it; else it waits for the window to end.

Source: https://huggingface.co/docs/hub/rate-limits
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hubmem.hub.pacer import Allowance, Pacer

# Left for whatever else uses the same token: a scan must not lock its owner out.
SPARE_SHARE = 0.02
# Longer than any window: a quota is always worth waiting for, a server that asks for an hour is not.
_LONGEST_PAUSE_SECONDS = 900.0
# Which bucket a path draws on, and how often, until an answer has shown it: a small file behind
# `/resolve/` is answered by a redirect within the Hub, so it counts twice.
_FIRST_GUESS: Mapping[str, Mapping[str, int]] = {"api": {"api": 1}, "resolve": {"resolvers": 2}}


class Stopped(Exception):
    """The run is over; a request that waited for its turn will not be sent."""


@dataclass(slots=True, kw_only=True)
class Bucket:
    """One quota, as far as responses have told. Times are seconds of one monotonic clock.

    Attributes:
        left: requests the window still allows, or None before the first word on it.
        ends_by: when the window has certainly ended.
        began: since when every request sent belongs to this window.
        in_flight: requests sent and not yet answered, which the last word may or may not include.
        held_until: the server asked to be left alone until then.
    """

    left: int | None = None
    limit: int | None = None
    ends_by: float = math.inf
    began: float = -math.inf
    in_flight: int = 0
    held_until: float = -math.inf

    def delay(self, now: float, requests: int) -> float:
        """Seconds until that many more may be sent; infinite where only an answer can tell."""
        if now < self.held_until:
            return self.held_until - now
        if now >= self.ends_by:
            self._begin(now, self.limit, math.inf)
        if self.left is None:
            return math.inf if self.in_flight else 0.0
        if self.left - self.in_flight - self._spare >= min(requests, self.limit or requests):
            return 0.0
        return self.ends_by - now

    def sent(self, requests: int) -> None:
        """They are under way."""
        self.in_flight += requests

    def answered(self, requests: int, told: Allowance, *, sent: float, now: float) -> None:
        """One of their responses has spoken; the last word of a window is its smallest number."""
        self.in_flight -= requests
        self.limit = told.limit or self.limit
        if sent < self.began:
            # Of the window before, or too close to its end to tell.
            return
        resets_in_seconds = min(max(1, told.resets_in_seconds), _LONGEST_PAUSE_SECONDS)
        resets_by = now + resets_in_seconds
        # The server rounds up, so the window ends later than this.
        ends_after = sent + resets_in_seconds - 1
        if self.left is None or ends_after > self.ends_by:
            self._begin(now, told.remaining, resets_by)
        else:
            self.left = min(self.left, told.remaining)
            self.ends_by = min(self.ends_by, resets_by)

    def unanswered(self, requests: int) -> None:
        """They were lost on the way; whether the server counted them is not known."""
        self.in_flight -= requests
        if self.left is not None:
            self.left -= requests

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for so long."""
        self.held_until = max(self.held_until, now + seconds)

    @property
    def _spare(self) -> int:
        return int((self.limit or 0) * SPARE_SHARE)

    def _begin(self, now: float, left: int | None, ends_by: float) -> None:
        self.left, self.ends_by, self.began = left, ends_by, now


class QuotaPacer(Pacer):
    """Keeps all buckets of one token for all threads of a run."""

    longest_pause_seconds = _LONGEST_PAUSE_SECONDS

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._buckets: dict[str, Bucket] = {}
        self._draws: dict[str, Counter[str]] = {}
        self._waits: dict[int, tuple[str, float]] = {}
        self._stopped = threading.Event()

    @contextmanager
    def turn(self, path: str) -> Iterator[Callable[[Sequence[Allowance]], None]]:
        """Wait until every bucket the request may draw on has room.

        Raises:
            Stopped: the run ended while it waited.
        """
        kind = _kind_of(path)
        reserved = self._reserve(kind)
        sent = time.monotonic()
        answers: list[Sequence[Allowance]] = []

        def answered(hops: Sequence[Allowance]) -> None:
            answers.append(hops)
            self._settle(kind, reserved, hops, sent)

        try:
            yield answered
        finally:
            if not answers:
                self._lose(reserved)

    def pause(self, seconds: float) -> None:
        """Wait before a request is sent again.

        Raises:
            Stopped: the run ended meanwhile.
        """
        if self._stopped.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        """End all waits: nothing more is to be sent."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def waiting(self) -> tuple[str, float] | None:
        """The bucket requests wait for, and for how many seconds at least; None where none waits."""
        with self._changed:
            if not self._waits:
                return None
            bucket, until = min(self._waits.values(), key=lambda wait: wait[1])
        return bucket, max(0.0, until - time.monotonic())

    def _reserve(self, kind: str) -> Mapping[str, int]:
        thread = threading.get_ident()
        with self._changed:
            while not self._stopped.is_set():
                draws = self._draws.get(kind, _FIRST_GUESS[kind])
                bucket, seconds = self._longest_delay(draws)
                if seconds <= 0:
                    self._waits.pop(thread, None)
                    for name, requests in draws.items():
                        self._bucket(name).sent(requests)
                    return dict(draws)
                if seconds < math.inf:
                    self._waits[thread] = bucket, time.monotonic() + seconds
                self._changed.wait(None if seconds == math.inf else seconds)
            self._waits.pop(thread, None)
            raise Stopped

    def _longest_delay(self, draws: Mapping[str, int]) -> tuple[str, float]:
        now = time.monotonic()
        delays = [(self._bucket(name).delay(now, requests), name) for name, requests in draws.items()]
        seconds, name = max(delays, default=(0.0, ""))
        return name, seconds

    def _settle(self, kind: str, reserved: Mapping[str, int], hops: Sequence[Allowance], sent: float) -> None:
        now = time.monotonic()
        with self._changed:
            drawn = Counter(hop.bucket for hop in hops if hop.bucket)
            self._draws[kind] = self._draws.get(kind, Counter()) | drawn
            last = {hop.bucket: hop for hop in hops if hop.bucket}
            for name in reserved.keys() | last.keys():
                bucket, requests = self._bucket(name), reserved.get(name, 0)
                if name in last:
                    bucket.answered(requests, last[name], sent=sent, now=now)
                else:
                    bucket.in_flight -= requests
            asked = max(hop.retry_after_seconds for hop in hops)
            if asked <= self.longest_pause_seconds:
                for name in drawn or reserved:
                    self._bucket(name).hold(asked, now)
            self._changed.notify_all()

    def _lose(self, reserved: Mapping[str, int]) -> None:
        with self._changed:
            for name, requests in reserved.items():
                self._bucket(name).unanswered(requests)
            self._changed.notify_all()

    def _bucket(self, name: str) -> Bucket:
        return self._buckets.setdefault(name, Bucket())


def _kind_of(path: str) -> str:
    """Paths of one kind draw on the same buckets.

    >>> _kind_of("/org/name/resolve/main/config.json"), _kind_of("/api/models/org/name?blobs=true")
    ('resolve', 'api')
    """
    return "resolve" if "/resolve/" in path else "api"
