"""Each switch of the loopback Hub does what it says: quotas, faults, settings; and it stops cleanly."""

import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import IncompleteRead, RemoteDisconnected

import pytest
from huggingface_hub.utils import parse_ratelimit_headers

from tests.hub_server import (
    Answer,
    Call,
    Fault,
    Files,
    HubServer,
    IgnoreRange,
    QuotaSpent,
    Repo,
    Reset,
    Settings,
    Truncate,
    Virtual,
)
from tests.hub_server.examples import SMALL, sharded, small
from tests.hub_server.plain_client import ask, bearer, cdn_path, connect

Serve = Callable[..., HubServer]

_API = "/api/models/org/small"
_CONFIG = "/org/small/resolve/main/config.json"
_WEIGHTS = "/org/small/resolve/main/model.safetensors"
_ONE_CALL = "/api/models/org/sharded/safetensors-metadata/model.safetensors.index.json"


class TestQuotas:
    """Fixed windows, announced on every response and really counted."""

    def test_a_quota_counts_down_and_then_refuses(self, serve: Serve) -> None:
        hub = serve(small(), settings=Settings(quotas={"api": 2, "resolvers": 1, "pages": 1}))

        answers = [ask(hub.endpoint, _API) for _ in range(3)]

        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
            '"api";r=1',
            '"api";r=0',
            '"api";r=0',
        ]
        assert ask(hub.endpoint, _CONFIG).status == 307, "another bucket"
        assert ask(hub.endpoint, _API, Authorization=bearer(hub.TOKEN_OK)).status == 200, "another user"

    def test_a_new_window_opens_when_the_old_one_ends(self, serve: Serve) -> None:
        hub = serve(small(), settings=Settings(quotas={"api": 1}, window_seconds=0.1))

        statuses = []
        for _ in range(2):
            statuses.append(ask(hub.endpoint, _API).status)
            time.sleep(0.1)

        assert statuses == [200, 200]

    def test_the_client_library_reads_the_headers(self, serve: Serve) -> None:
        info = parse_ratelimit_headers(dict(ask(serve(small()).endpoint, _CONFIG).headers))

        assert info is not None
        assert (info.resource_type, info.remaining, info.limit, info.window_seconds) == (
            "resolvers",
            2999,
            3000,
            300,
        )

    @pytest.mark.parametrize(
        ("path", "bucket"),
        [
            ("/api/models", "api"),
            ("/api/resolve-cache/models/org/small/main/config.json", "resolvers"),
            (_CONFIG, "resolvers"),
            ("/org/small/raw/main/config.json", "pages"),
        ],
    )
    def test_each_kind_of_path_draws_on_its_bucket(self, serve: Serve, path: str, bucket: str) -> None:
        assert ask(serve(small()).endpoint, path).headers["RateLimit"].startswith(f'"{bucket}";')

    def test_neither_the_cdn_nor_an_unnamed_bucket_has_a_quota(self, serve: Serve) -> None:
        hub = serve(small(), settings=Settings(quotas={}))

        assert ask(hub.endpoint, _API).headers["RateLimit"] is None
        assert ask(hub.cdn_endpoint, cdn_path(hub, _WEIGHTS)).headers["RateLimit"] is None


class TestFaults:
    """Each fault befalls the requests it is aimed at, and no others."""

    def test_the_first_matching_requests_are_struck(self, serve: Serve) -> None:
        hub = serve(small())
        hub.faults = [Fault(Answer(503), match="GET /api/", after=1, first=2)]

        statuses = [ask(hub.endpoint, "/api/models").status for _ in range(5)]

        assert statuses == [200, 503, 503, 200, 200]
        assert ask(hub.endpoint, _CONFIG).status == 307

    def test_an_answer_may_have_any_body(self, serve: Serve) -> None:
        hub = serve(small(), faults=[Fault(Answer(200, {"Content-Type": "text/html"}, b"<h1>Log in</h1>"))])

        answer = ask(hub.endpoint, _API)

        assert (answer.status, answer.headers["Content-Type"], answer.body) == (
            200,
            "text/html",
            b"<h1>Log in</h1>",
        )

    def test_too_many_requests_comes_with_either_kind_of_advice(self, serve: Serve) -> None:
        hub = serve(small())
        hub.faults = [Fault(Answer(429, {"Retry-After": "7"}), first=1)]
        retry_after = ask(hub.endpoint, _CONFIG)
        hub.faults = [Fault(QuotaSpent(reset_seconds=55))]
        rate_limit = ask(hub.endpoint, _CONFIG)

        assert (retry_after.status, retry_after.headers["Retry-After"]) == (429, "7")
        info = parse_ratelimit_headers(dict(rate_limit.headers))
        assert info is not None
        assert (rate_limit.status, info.remaining, info.reset_in_seconds) == (429, 0, 55)

    def test_chance_is_settled_by_the_seed_whatever_the_order_of_threads(self, serve: Serve) -> None:
        paths = [f"/org/r{number}/resolve/main/config.json" for number in range(200)]

        def struck(seed: int) -> set[str]:
            hub = serve(settings=Settings(quotas={"resolvers": 1000}))
            hub.faults = [Fault(Answer(500), probability=0.25, seed=seed)]
            with ThreadPoolExecutor(8) as threads:
                answers = threads.map(lambda path: (path, ask(hub.endpoint, path).status), paths)
                return {path for path, status in answers if status == 500}

        first, again, other = struck(seed=1), struck(seed=1), struck(seed=2)

        assert first == again != other
        assert 25 <= len(first) <= 75

    def test_a_reset_leaves_no_answer(self, serve: Serve) -> None:
        hub = serve(small())
        hub.faults = [Fault(Reset(), first=1)]

        client = connect(hub.endpoint)
        client.request("GET", _CONFIG)
        with pytest.raises(ConnectionResetError):
            client.sock.recv(1)
        client.close()

        assert ask(hub.endpoint, _CONFIG).status == 307
        assert [entry.status for entry in hub.requests] == [0, 307]

    def test_a_truncated_body_ends_half_way(self, serve: Serve) -> None:
        hub = serve(small())
        hub.faults = [Fault(Truncate(), match="GET /repos/")]
        size = int(ask(hub.endpoint, _WEIGHTS).headers["X-Linked-Size"])

        with pytest.raises(IncompleteRead) as cut:
            ask(hub.cdn_endpoint, cdn_path(hub, _WEIGHTS))

        assert len(cut.value.partial) == size // 2
        assert cut.value.expected == size - size // 2

    def test_an_ignored_range_sends_the_file_until_the_client_hangs_up(self, serve: Serve) -> None:
        hub = serve(Repo("org/huge", {"model.safetensors": Virtual(b"\x02" + bytes(7) + b"{}", 1 << 40)}))
        hub.faults = [Fault(IgnoreRange())]
        path = cdn_path(hub, "/org/huge/resolve/main/model.safetensors")
        connection = connect(hub.cdn_endpoint)
        connection.request("GET", path, headers={"Range": "bytes=0-9"})
        response = connection.getresponse()

        prefix = response.read(10)
        response.close()
        connection.close()

        assert (response.status, response.headers["Content-Length"]) == (200, str(1 << 40))
        assert prefix == b"\x02" + bytes(7) + b"{}"
        assert hub.requests[-1].weight_bytes_sent < 1 << 30

    def test_a_repo_can_vanish_in_the_middle_of_a_run(self, serve: Serve) -> None:
        hub = serve(small())
        hub.faults = [Fault(Call(lambda: hub.remove("org/small")), after=1, first=1)]

        assert [ask(hub.endpoint, _CONFIG).status for _ in range(3)] == [307, 401, 401]

    def test_a_branch_can_move_while_its_old_commit_stays_readable(self, serve: Serve) -> None:
        hub = serve(small())
        before = ask(hub.endpoint, _CONFIG).headers["X-Repo-Commit"]
        hub.faults = [Fault(Call(lambda: hub.repo("org/small").push({"config.json": b"[]"})), first=1)]

        after = ask(hub.endpoint, _CONFIG).headers["X-Repo-Commit"]
        pinned = ask(hub.endpoint, f"/org/small/raw/{before}/config.json").json

        assert before != after
        assert pinned == SMALL["config"]
        assert ask(hub.endpoint, "/org/small/raw/main/config.json").body == b"[]"

    def test_latency_is_added_to_each_response_but_requests_wait_side_by_side(self, serve: Serve) -> None:
        hub = serve(small(), settings=Settings(latency_seconds=0.1))
        started = time.monotonic()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: ask(hub.endpoint, _CONFIG), range(8)))

        assert 0.1 <= time.monotonic() - started < 8 * 0.1

    def test_settings_may_change_while_running(self, serve: Serve) -> None:
        hub = serve(sharded())
        assert ask(hub.endpoint, _ONE_CALL).status == 200
        hub.settings = replace(hub.settings, one_call=False)
        assert ask(hub.endpoint, _ONE_CALL).status == 404


class TestTheServerItself:
    """It stops when it should, fails loudly, and stays small."""

    def test_a_bug_in_the_server_fails_the_test_that_owns_it(self) -> None:
        def use_a_broken_server() -> None:
            with HubServer([], faults=[Fault(Call(lambda: 1 / 0))]) as hub, pytest.raises(RemoteDisconnected):
                ask(hub.endpoint, "/api/models")

        with pytest.raises(RuntimeError, match="the server itself failed on 1 request"):
            use_a_broken_server()

    def test_a_stopped_server_has_hung_up_on_its_clients(self) -> None:
        with HubServer([]) as hub:
            client = connect(hub.endpoint)
            client.request("HEAD", "/api/models")
            client.getresponse().read()
            kept = client.sock

        assert kept.recv(1) == b""
        client.close()

    def test_files_are_built_when_first_read_and_dropped_when_many_others_were(self, serve: Serve) -> None:
        built: Counter[int] = Counter()

        def repo(number: int) -> Repo:
            def build() -> Files:
                built[number] += 1
                return {"config.json": b"{}"}

            return Repo(f"org/r{number}", build)

        hub = serve(*map(repo, range(400)), settings=Settings(quotas={"api": 1000}))

        assert len(ask(hub.endpoint, "/api/models").json) == 400
        assert built.total() == 0
        for number in [0, 0, *range(1, 400), 0]:
            ask(hub.endpoint, f"/api/models/org/r{number}")
        assert built == {0: 2, **dict.fromkeys(range(1, 400), 1)}

    def test_no_test_can_reach_beyond_loopback(self) -> None:
        with (
            socket.socket() as outward,
            pytest.raises(AssertionError, match=r"tried to reach .*192\.0\.2\.1"),
        ):
            outward.connect(("192.0.2.1", 80))
        with pytest.raises(AssertionError, match=r"look up huggingface\.co"):
            socket.getaddrinfo("huggingface.co", 443)
