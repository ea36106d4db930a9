"""When a request may be sent: at once, unless a run of many has a pacer that keeps the Hub's quotas."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one response says of the server's patience.

    Attributes:
        bucket: the quota the request drew on, or None where the response announces none.
        remaining: requests left in the present window.
        resets_in_seconds: until the window ends, rounded up by the server.
        limit, window_seconds: of every window, where announced.
        retry_after_seconds: for how long the server asks to be left alone, 0 where it does not.
    """

    bucket: str | None = None
    remaining: int = 0
    resets_in_seconds: int = 0
    limit: int | None = None
    window_seconds: int | None = None
    retry_after_seconds: float = 0.0


class Pacer:
    """Says when a request may be sent; the default says at once. Asked from many threads.

    Attributes:
        longest_pause_seconds: a server that asks for more than this is not asked again.
    """

    # A person at a terminal would rather be told than wait longer than this.
    longest_pause_seconds = 60.0

    @contextmanager
    def turn(self, path: str) -> Iterator[Callable[[Sequence[Allowance]], None]]:  # noqa: ARG002 - for others
        """Wait until a request to this path may be sent.

        Yields:
            A function to call with what each hop of the answer said, the last hop last. It is not called
            where no answer came.
        """
        yield lambda _: None

    def pause(self, seconds: float) -> None:
        """Wait before a request is sent again."""
        time.sleep(seconds)
