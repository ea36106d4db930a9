"""What a pacer is asked and told, and what many repos may share."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hubmem.hub.opening import Access, open_model, open_session, open_transport
from hubmem.hub.pacer import Allowance, Pacer
from hubmem.hub.transport import allowance_in
from hubmem.snapshot import take_snapshot
from tests.hub_server import Answer, Fault, HubServer, Reset
from tests.hub_server.examples import ELEMENTS, small

Serve = Callable[..., HubServer]


class Recorder(Pacer):
    """Writes down what it is asked and told."""

    longest_pause_seconds = 1e9

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told: dict[str, Sequence[Allowance]] = {}
        self.pauses: list[float] = []

    @contextmanager
    def turn(self, path: str) -> Iterator[Callable[[Sequence[Allowance]], None]]:
        self.asked.append(path)
        yield lambda hops: self.told.update({path: hops})

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def pacer() -> Recorder:
    return Recorder()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, pacer: Recorder) -> Callable[..., None]:
    def read(hub: HubServer, repo: str = "org/small") -> None:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        session = open_session(warn=pytest.fail, pacer=pacer)
        snapshot = take_snapshot(open_model(repo, Access(bundled=False, session=session)))
        assert snapshot.census.by_dtype() == ELEMENTS

    return read


def test_each_request_asks_for_its_turn_and_tells_what_every_hop_allows(
    serve: Serve, read: Callable[..., None], pacer: Recorder
) -> None:
    read(serve(small()))

    listing, config = "/api/models/org/small?blobs=true", "/org/small/resolve/main/config.json"
    assert {listing, config} < set(pacer.asked)
    assert [(hop.bucket, hop.remaining, hop.limit, hop.window_seconds) for hop in pacer.told[listing]] == [
        ("api", 499, 500, 300)
    ]
    assert [hop.bucket for hop in pacer.told[config]] == ["resolvers", "resolvers"]


def test_a_hop_to_the_storage_host_draws_on_no_bucket(
    serve: Serve, read: Callable[..., None], pacer: Recorder
) -> None:
    read(serve(small()))

    (weights,) = (hops for path, hops in pacer.told.items() if path.endswith(".safetensors"))
    assert [hop.bucket for hop in weights] == ["resolvers", None]


def test_a_request_without_an_answer_tells_nothing(
    serve: Serve, read: Callable[..., None], pacer: Recorder
) -> None:
    read(serve(small(), faults=[Fault(Reset(), match="GET /api/models", first=1)]))

    assert sum("/api/models" in path for path in pacer.asked) == 2
    assert len(pacer.pauses) == 1


def test_a_pacer_decides_how_long_a_server_may_ask_for_patience(
    serve: Serve, read: Callable[..., None], pacer: Recorder
) -> None:
    """Without a pacer of its own a read gives up after a minute."""
    read(serve(small(), faults=[Fault(Answer(429, {"Retry-After": "299"}), match="GET /api/", first=1)]))

    assert 299 < pacer.pauses[0] < 300


def test_repos_share_a_session_and_each_counts_its_own_cost(connect: Serve) -> None:
    connect(small())
    session = open_session(warn=pytest.fail)
    access = Access(bundled=False, session=session)

    requests = [take_snapshot(open_model("org/small", access)).cost.requests for _ in range(2)]

    assert requests == [5, 1]


@pytest.mark.parametrize(
    ("headers", "allowance"),
    [
        ({}, Allowance()),
        ({"retry-after": "7"}, Allowance(retry_after_seconds=7.0)),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, Allowance()),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, Allowance()),
        ({"retry-after": "soon"}, Allowance()),
        ({"retry-after": "-7"}, Allowance()),
        ({"retry-after": "\xb2"}, Allowance()),
        ({"retry-after": ""}, Allowance()),
        ({"ratelimit": '"api";r=3;t=12'}, Allowance(bucket="api", remaining=3, resets_in_seconds=12)),
        ({"ratelimit": "nonsense", "ratelimit-policy": "q=1"}, Allowance()),
        ({"ratelimit": f'"api";r={"9" * 5000};t=12'}, Allowance()),
        ({"ratelimit": '"api";r=-3;t=12'}, Allowance()),
    ],
    ids=lambda value: str(value)[:40],
)
def test_headers_that_say_nothing_usable_are_no_limit(headers: dict[str, str], allowance: Allowance) -> None:
    assert allowance_in(headers) == allowance


def test_a_date_to_come_back_at_is_as_good_as_seconds() -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=90)

    allowance = allowance_in({"retry-after": format_datetime(soon, usegmt=True)})

    assert 80 < allowance.retry_after_seconds <= 90


def test_threads_that_ask_at_once_share_one_client(connect: Serve) -> None:
    """huggingface_hub 1 makes one for each of them, and never closes all but the last."""
    from huggingface_hub.utils import close_session, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    made: list[object] = []

    def factory() -> object:
        time.sleep(0.05)
        made.append(client := default_client_factory())
        return client

    connect(small())
    transport = open_transport(open_session(warn=pytest.fail), Access())
    set_client_factory(factory)  # type: ignore[arg-type]
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: transport.get("/api/models/org/small", most=10**6), range(8)))
    finally:
        set_client_factory(default_client_factory)
        close_session()

    assert len(made) == 1
