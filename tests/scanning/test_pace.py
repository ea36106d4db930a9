"""A quota is used up and not overrun, whatever the latencies and however many threads share it."""

import heapq
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, inf

import pytest
from hubmem.errors import HubUnreachable, RepoNotFound
from hubmem.hub.opening import Access, open_session, open_transport
from hubmem.hub.pacer import Allowance
from hubmem.scanning.pace import Bucket, QuotaPacer, Stopped
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub_server import Answer, Fault, HubServer, QuotaSpent, Reset, Settings
from tests.hub_server.examples import small

Serve = Callable[..., HubServer]


@dataclass
class FixedWindows:
    """A server that counts as the Hub does: fixed windows, each begun by the first request after the last."""

    limit: int
    window_seconds: float
    ends: float = 0.0
    used: int = 0
    refused: int = 0
    windows: list[int] = field(default_factory=list)

    def answer(self, now: float) -> Allowance:
        if now >= self.ends:
            self.ends, self.used = now + self.window_seconds, 0
            self.windows.append(0)
        if self.used < self.limit:
            self.used += 1
            self.windows[-1] = self.used
        else:
            self.refused += 1
        return Allowance(
            bucket="api",
            remaining=self.limit - self.used,
            resets_in_seconds=ceil(self.ends - now),
            limit=self.limit,
            window_seconds=ceil(self.window_seconds),
        )


def simulate(server: FixedWindows, clients: int, windows: int, rng: random.Random) -> None:
    """So many clients send one request after the other for so many windows; no real time passes."""
    bucket = Bucket()
    clock, numbers = 0.0, iter(range(10**9))
    events: list[tuple[float, int, Callable[[float], None]]] = []

    def at(moment: float, event: Callable[[float], None]) -> None:
        heapq.heappush(events, (moment, next(numbers), event))

    def ask(now: float) -> None:
        delay = bucket.delay(now, 1)
        if delay > 0:
            at(now + min(delay, 0.5), ask)
            return
        bucket.sent(1)
        at(now + rng.uniform(0.01, 1.5), lambda arrived: arrive(arrived, now))

    def arrive(now: float, sent: float) -> None:
        told = server.answer(now)
        at(now + rng.uniform(0.01, 1.5), lambda back: hear(back, sent, told))

    def hear(now: float, sent: float, told: Allowance) -> None:
        bucket.answered(1, told, sent=sent, now=now)
        ask(now)

    for _ in range(clients):
        at(rng.uniform(0, 1), ask)
    while clock < windows * server.window_seconds:
        clock, _, event = heapq.heappop(events)
        event(clock)


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(100, 1000),
    clients=st.integers(8, 48),
    window_seconds=st.floats(200, 400),
    seed=st.integers(0, 2**32),
)
def test_a_quota_is_used_to_at_least_95_percent_without_one_refusal(
    limit: int, clients: int, window_seconds: float, seed: int
) -> None:
    server = FixedWindows(limit=limit, window_seconds=window_seconds)

    simulate(server, clients, windows=4, rng=random.Random(seed))

    assert server.refused == 0
    assert all(used >= 0.95 * limit for used in server.windows[:3])


class TestBucket:
    """Times are made up: no test of these waits."""

    def told(self, remaining: int, resets_in_seconds: int, limit: int | None = 100) -> Allowance:
        return Allowance(bucket="api", remaining=remaining, resets_in_seconds=resets_in_seconds, limit=limit)

    def test_before_the_first_word_one_request_feels_the_way(self) -> None:
        bucket = Bucket()

        assert bucket.delay(0, 1) == 0
        bucket.sent(1)
        assert bucket.delay(0, 1) == inf

    def test_what_is_under_way_counts_as_spent(self) -> None:
        bucket = Bucket()
        bucket.sent(1)
        bucket.answered(1, self.told(7, 60), sent=0, now=1)

        bucket.sent(5)

        assert bucket.delay(1, 1) > 0
        bucket.in_flight = 4
        assert bucket.delay(1, 1) == 0

    def test_a_spent_quota_is_waited_for_until_its_window_has_ended(self) -> None:
        bucket = Bucket()
        bucket.sent(1)
        bucket.answered(1, self.told(0, 60), sent=10, now=11)

        assert bucket.delay(11, 1) == 60
        assert bucket.delay(71, 1) == 0

    def test_two_percent_are_left_to_others(self) -> None:
        bucket = Bucket()
        bucket.sent(1)
        bucket.answered(1, self.told(2, 60), sent=0, now=0)

        assert bucket.delay(0, 1) == 60

    def test_an_answer_of_the_last_window_does_not_empty_the_new_one(self) -> None:
        bucket = Bucket()
        bucket.sent(2)
        bucket.answered(1, self.told(0, 5), sent=0, now=1)
        assert bucket.delay(6, 1) == 0

        bucket.answered(1, self.told(0, 1), sent=5.9, now=6.1)

        assert bucket.delay(6.2, 1) == 0

    def test_an_answer_of_the_next_window_begins_it(self) -> None:
        bucket = Bucket()
        bucket.sent(2)
        bucket.answered(1, self.told(0, 5), sent=0, now=1)

        bucket.answered(1, self.told(99, 300), sent=5.4, now=5.5)

        assert bucket.delay(5.5, 1) == 0

    def test_a_lost_request_may_have_been_counted(self) -> None:
        bucket = Bucket()
        bucket.sent(1)
        bucket.answered(1, self.told(4, 60), sent=0, now=0)
        bucket.sent(2)
        bucket.unanswered(2)

        assert bucket.delay(0, 1) == 60

    def test_without_a_policy_each_window_begins_by_feeling_the_way(self) -> None:
        bucket = Bucket()
        bucket.sent(1)
        bucket.answered(1, self.told(0, 5, limit=None), sent=0, now=0)

        assert bucket.delay(5, 1) == 0
        bucket.sent(1)
        assert bucket.delay(5, 1) == inf

    def test_a_server_that_says_zero_seconds_is_given_one(self) -> None:
        bucket = Bucket()
        bucket.sent(1)
        bucket.answered(1, self.told(0, 0), sent=0, now=0)

        assert bucket.delay(0, 1) == 1

    def test_a_window_of_years_is_not_waited_for(self) -> None:
        bucket = Bucket()
        bucket.sent(1)
        bucket.answered(1, self.told(0, 10**9), sent=0, now=0)

        assert bucket.delay(0, 1) == QuotaPacer.longest_pause_seconds


@pytest.fixture
def pacer() -> Iterator[QuotaPacer]:
    pacer = QuotaPacer()
    yield pacer
    pacer.stop()


def ask_many(pacer: QuotaPacer, paths: list[str], threads: int = 12) -> None:
    """Read all paths through one pacer, some of which may be missing."""
    session = open_session(warn=pytest.fail, pacer=pacer)
    transport = open_transport(session, Access())

    def get(path: str) -> None:
        with suppress(RepoNotFound):
            transport.get(path, most=10**6)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(get, paths))


CONFIG = "/org/small/resolve/main/config.json"
LISTING = "/api/models/org/small"


@pytest.mark.parametrize(
    ("quotas", "paths"),
    [
        ({"api": 40}, [LISTING] * 120),
        ({"api": 500, "resolvers": 40}, [CONFIG] * 60),
        ({"api": 30, "resolvers": 40}, [LISTING, CONFIG] * 50),
    ],
    ids=["api", "resolvers, two hops a request", "both"],
)
def test_threads_share_a_quota_over_several_windows_without_a_429(
    connect: Serve, pacer: QuotaPacer, quotas: dict[str, int], paths: list[str]
) -> None:
    hub = connect(small(), settings=Settings(quotas=quotas, window_seconds=1.5, latency_seconds=0.002))

    ask_many(pacer, paths)

    statuses = Counter(entry.status for entry in hub.requests)
    assert 429 not in statuses
    assert statuses[200] == len(paths)


def test_a_spent_quota_found_at_the_start_costs_one_refusal(connect: Serve, pacer: QuotaPacer) -> None:
    """Nobody could have foreseen that one; all threads learn from it."""
    hub = connect(small(), faults=[Fault(QuotaSpent(1), match="GET /api/", first=1)])

    ask_many(pacer, [LISTING] * 40)

    statuses = Counter(entry.status for entry in hub.requests)
    assert statuses == {429: 1, 200: 40}


def test_a_pause_one_thread_is_asked_for_is_kept_by_all(connect: Serve, pacer: QuotaPacer) -> None:
    hub = connect(small(), faults=[Fault(Answer(503, {"Retry-After": "1"}), after=10, first=1)])

    ask_many(pacer, [LISTING] * 60, threads=4)

    (refused,) = (number for number, entry in enumerate(hub.requests) if entry.status == 503)
    asked = hub.requests[refused].arrived_seconds
    meanwhile = [entry for entry in hub.requests if asked + 0.1 < entry.arrived_seconds < asked + 1]
    assert meanwhile == []
    assert len(hub.requests) == 61


def test_a_server_that_asks_for_a_day_fails_one_request_and_holds_up_no_other(
    connect: Serve, pacer: QuotaPacer
) -> None:
    hub = connect(small(), faults=[Fault(Answer(503, {"Retry-After": "86400"}), match="GET /api/", first=1)])

    with pytest.raises(HubUnreachable):
        ask_many(pacer, [LISTING])
    ask_many(pacer, [LISTING] * 5)

    assert Counter(entry.status for entry in hub.requests) == {503: 1, 200: 5}


def test_a_mirror_that_announces_no_quota_is_not_held_back(connect: Serve, pacer: QuotaPacer) -> None:
    hub = connect(small(), settings=Settings(quotas={}, latency_seconds=0.02))
    started = time.monotonic()

    ask_many(pacer, [LISTING] * 200)

    assert len(hub.requests) == 200
    assert time.monotonic() - started < 200 * 0.02


def test_lost_connections_do_not_stop_the_others(
    connect: Serve, pacer: QuotaPacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = connect(
        small(),
        settings=Settings(quotas={"api": 1000}),
        faults=[Fault(Reset(), match="GET /api/", probability=0.1)],
    )
    monkeypatch.setattr(pacer, "pause", lambda _: None)

    ask_many(pacer, [LISTING] * 150)

    assert sum(entry.status == 200 for entry in hub.requests) == 150


def test_stopping_wakes_those_who_wait_and_says_for_what_they_waited(
    connect: Serve, pacer: QuotaPacer
) -> None:
    connect(small(), settings=Settings(quotas={"api": 2}, window_seconds=300))
    ended: list[type[BaseException]] = []

    def run() -> None:
        try:
            ask_many(pacer, [LISTING] * 4)
        except Stopped:
            ended.append(Stopped)

    thread = threading.Thread(target=run)
    thread.start()
    while pacer.waiting is None:
        time.sleep(0.01)
    bucket, seconds = pacer.waiting
    pacer.stop()
    thread.join(5)

    assert (bucket, ended) == ("api", [Stopped])
    assert 290 < seconds <= 300
    with pytest.raises(Stopped):
        pacer.pause(60)
