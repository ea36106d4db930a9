"""What a scan will ask of the Hub and how long its quotas make it take: arithmetic, no request."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hubmem.scanning.pace import SPARE_SHARE

WINDOW_SECONDS = 300
# Requests of one repo that is not cached, a single file or shards: its listing, and for shards all headers in
# one call; config.json, a redirect within the Hub that counts twice, and for a single file its head, which a
# redirect fetches from a storage host that counts nothing.
API_REQUESTS = (1, 2)
RESOLVER_REQUESTS = (3, 2)
# Taken for the number of models on the Hub, which no API tells.
WHOLE_HUB = 2_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a plan of the Hub allows in five minutes.

    Source: https://huggingface.co/docs/hub/rate-limits (September 2025).
    """

    name: str
    api: int
    resolvers: int


PLANS = (
    Plan(name="anonymous", api=500, resolvers=3_000),
    Plan(name="free", api=1_000, resolvers=5_000),
    Plan(name="PRO", api=2_500, resolvers=12_000),
    Plan(name="Team, Academia", api=3_000, resolvers=20_000),
    Plan(name="Enterprise", api=6_000, resolvers=50_000),
    Plan(name="Enterprise Plus", api=10_000, resolvers=100_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Least and most that a scan asks for, and how long that takes on a plan."""

    api: tuple[int, int]
    resolvers: tuple[int, int]

    def seconds(self, plan: Plan) -> tuple[int, int]:
        """Windows that must end before the last request may be sent, as least and as most."""
        low, high = (
            max(_windows(api, plan.api), _windows(resolvers, plan.resolvers))
            for api, resolvers in zip(self.api, self.resolvers, strict=True)
        )
        return low * WINDOW_SECONDS, high * WINDOW_SECONDS


def forecast(repos: int, *, pages: int = 0) -> Forecast:
    """For so many repos that are not stored, found in so many pages of a list.

    >>> forecast(1_000).api, forecast(1_000).resolvers
    ((1000, 2000), (3000, 2000))
    """
    return Forecast(
        api=(repos * API_REQUESTS[0] + pages, repos * API_REQUESTS[1] + pages),
        resolvers=(repos * RESOLVER_REQUESTS[0], repos * RESOLVER_REQUESTS[1]),
    )


def _windows(requests: int, quota: int) -> int:
    """Windows that have to end before the last request may be sent, the share left to others left alone.

    >>> _windows(490, 500), _windows(491, 500), _windows(12_000, 500)
    (0, 1, 24)
    """
    return max(0, math.ceil(requests / (quota - int(quota * SPARE_SHARE))) - 1)


def lines(repos: int, *, pages: int = 0) -> Iterator[str]:
    """The forecast in words, a line a plan."""
    expected = forecast(repos, pages=pages)
    yield (
        f"{repos:,} repos to read: {_span(expected.api)} API requests and "
        f"{_span(expected.resolvers)} file requests."
    )
    yield "By the Hub's quotas for five minutes, at least:"
    for plan in PLANS:
        low, high = expected.seconds(plan)
        times = " to ".join(dict.fromkeys(map(duration, (low, high))))
        yield f"  {plan.name:<16}{plan.api:>7,} API{plan.resolvers:>9,} files   {times}"


def _span(bounds: tuple[int, int]) -> str:
    return " to ".join(f"{number:,}" for number in sorted(set(bounds)))


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(41), duration(300), duration(7_500), duration(180_000), duration(1_530_000)
    ('41 s', '5 min', '2 h 5 min', '50 h', '17.7 days')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours >= 72:
        return f"{seconds / 86_400:.1f} days"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 and minutes % 60 else f"{hours} h"
