"""A repo on the Hub: requests, pinning, the cache, and every way it can refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hubmem.errors import (
    GatedRepo,
    HubUnreachable,
    MalformedWeights,
    NotCached,
    RangeIgnored,
    RateLimited,
    RepoNotFound,
    RevisionNotFound,
    TokenRefused,
    UnreadableRepo,
    UsageError,
)
from hubmem.hub.opening import Access, open_model
from hubmem.hub.remote import check_repo_id
from hubmem.hub.source import Exchange, Observer
from hubmem.snapshot import Snapshot, take_snapshot
from tests.hub_server import (
    Answer,
    Call,
    Fault,
    HubServer,
    IgnoreRange,
    QuotaSpent,
    Repo,
    Reset,
    Settings,
    Tensor,
    Truncate,
    files_of,
    repo_from_record,
    safetensors_file,
)
from tests.hub_server.examples import ELEMENTS, SHARDED, SMALL, sharded, small

Serve = Callable[..., HubServer]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, retries_at_once: None) -> Callable[..., Snapshot]:
    """Read a repo of a server as a new process would, with no pause between retries."""

    def read(hub: HubServer, repo: str, **access: object) -> Snapshot:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        return take_snapshot(open_model(repo, Access(bundled=False, **access)))  # type: ignore[arg-type]

    return read


def paths(hub: HubServer) -> list[str]:
    return [f"{entry.host} {entry.path.split('?')[0]}" for entry in hub.requests]


class Listener(Observer):
    """Counts what arrives; the server can only count what it hands to the socket."""

    bytes_received = 0

    def exchanged(self, exchange: Exchange) -> None:
        self.bytes_received += exchange.nbytes


class TestRequests:
    def test_a_sharded_repo_costs_four_requests_cold(self, serve, read):
        """Listing, config.json by its redirect, one call for all headers."""
        hub = serve(sharded())

        snapshot = read(hub, "org/sharded")

        assert snapshot.census.by_dtype() == ELEMENTS
        assert snapshot.census.files == 3
        assert snapshot.cost.requests == len(hub.requests) == 4

    def test_a_single_file_costs_five_requests_cold(self, serve, read):
        """Listing, config.json by its redirect, the header by its redirect."""
        hub = serve(small())

        assert read(hub, "org/small").census.by_dtype() == ELEMENTS
        assert len(hub.requests) == 5

    @pytest.mark.parametrize("repo", ["org/small", "org/sharded"])
    def test_a_second_run_costs_one_request(self, serve, read, repo):
        hub = serve(small(), sharded())
        first = read(hub, repo)
        hub.clear_log()

        second = read(hub, repo)

        assert len(hub.requests) == 1
        assert second.census == first.census
        assert second.config.text("model_type") == "llama"

    def test_a_pinned_commit_costs_nothing_the_second_time(self, serve, read):
        hub = serve(small())
        commit = read(hub, "org/small").listing.commit
        hub.clear_log()

        assert read(hub, "org/small", revision=commit).listing.commit == commit
        assert hub.requests == ()

    def test_an_index_too_long_to_be_kept_is_not_read_again(self, serve, read, monkeypatch):
        monkeypatch.setattr("hubmem.hub.remote._LARGEST_KEPT_TEXT", 1000)
        hub = serve(sharded(), settings=Settings(one_call=False))
        first = read(hub, "org/sharded")
        hub.clear_log()

        assert read(hub, "org/sharded").census == first.census
        assert len(hub.requests) == 1
        assert read(hub, "org/sharded", offline=True).census == first.census

    def test_offline_makes_no_request(self, serve, read):
        hub = serve(sharded())
        online = read(hub, "org/sharded")
        hub.clear_log()

        offline = read(hub, "org/sharded", offline=True)

        assert offline.census == online.census
        assert offline.listing.origin.value == "cache"
        assert hub.requests == ()

    def test_without_the_one_call_endpoint_headers_are_read_by_ranges(self, serve, read):
        hub = serve(sharded(), settings=Settings(one_call=False))

        snapshot = read(hub, "org/sharded")

        assert snapshot.census.by_dtype() == ELEMENTS
        assert all(entry.range for entry in hub.requests if entry.path.endswith(".safetensors"))

    @pytest.mark.parametrize("one_call", [True, False])
    def test_no_weight_byte_is_ever_sent_for_shards(self, serve, read, one_call):
        """The index tells how long a header is, so its first read need not guess."""
        big = {
            **SHARDED,
            "tensors": [["layers.{0..63}.block.{0..3}.dense.weight", "BF16", [4096, 4096]]],
        }
        hub = serve(big, settings=Settings(one_call=one_call))

        read(hub, "org/sharded")

        headers = 64 * 4 * 110
        assert hub.weight_bytes_sent < headers
        assert hub.bytes_sent < 3 * headers

    def test_a_new_commit_reads_only_the_changed_shard(self, serve, read):
        repo = sharded()
        hub = serve(repo)
        read(hub, "org/sharded")
        wider = safetensors_file([Tensor(name="layers.19.2.weight", dtype="F32", shape=(8, 8))])
        repo.push({**files_of(SHARDED), "model-00003-of-00003.safetensors": wider})
        hub.clear_log()

        snapshot = read(hub, "org/sharded")

        assert snapshot.census.by_dtype()["F32"] == 64
        shards = {entry.path.rsplit("/")[-1] for entry in hub.requests if entry.range}
        assert shards == {"model-00003-of-00003.safetensors"}

    def test_every_read_is_pinned_to_the_listed_commit(self, serve, read):
        """The branch moves between the listing and the reads; the answer is of the commit that was listed."""
        repo = sharded()
        hub = serve(repo, settings=Settings(one_call=False))
        commit = repo.commit().sha
        hub.faults = [
            Fault(
                Call(lambda: repo.push({"config.json": b"{}"})),
                match=r"GET /org/sharded/resolve/[0-9a-f]{40}",
                first=1,
            )
        ]

        assert read(hub, "org/sharded").listing.commit == commit

    def test_a_config_read_before_the_commit_was_known_is_read_again_if_it_moved(self, serve, read):
        repo = small()
        hub = serve(repo)
        newer = files_of({**SMALL, "config": {"model_type": "mistral"}})
        hub.faults = [Fault(Call(lambda: repo.push(newer)), match="GET /api/models/org/small$", first=1)]

        snapshot = read(hub, "org/small")

        assert snapshot.listing.commit == repo.commit().sha
        assert snapshot.config.model_type == "mistral"

    def test_a_renamed_repo_answers_under_its_new_name(self, serve, read):
        hub = serve(small(former_ids=("small",)))

        assert read(hub, "small").listing.repo == "org/small"

    def test_a_revision_after_an_at_sign_is_that_revision(self, serve, read):
        other = files_of({**SMALL, "config": {"model_type": "gpt2"}})
        hub = serve(small(pull_requests={4: other}))

        assert read(hub, "org/small@refs/pr/4").config.model_type == "gpt2"


class TestRefusals:
    @pytest.mark.parametrize(
        ("repo", "token", "error"),
        [
            ("org/missing", None, RepoNotFound),
            ("org/missing", HubServer.TOKEN_OK, RepoNotFound),
            ("org/gated", None, GatedRepo),
            ("org/gated", HubServer.TOKEN_NO_ACCESS, GatedRepo),
            ("org/private", None, RepoNotFound),
            ("org/small", "hf_nonsense", TokenRefused),
            ("org/small@nowhere", None, RevisionNotFound),
            ("org/disabled", None, UnreadableRepo),
        ],
    )
    def test_each_has_its_own_error_with_a_hint(self, serve, read, repo, token, error):
        def named(name: str, **options: object) -> Repo:
            return repo_from_record({**SMALL, "repo": name}, **options)

        hub = serve(
            small(),
            named("org/gated", gated="manual"),
            named("org/private", private=True),
            named("org/disabled", disabled=True),
        )

        with pytest.raises(error) as caught:
            read(hub, repo, token=token)

        assert type(caught.value) is error
        assert caught.value.exit_code == 3
        assert caught.value.hint or error is UnreadableRepo

    def test_a_gated_repos_public_counts_are_told(self, serve, read):
        hub = serve(repo_from_record(SMALL, gated="auto"))

        with pytest.raises(GatedRepo) as caught:
            read(hub, "org/small")

        assert "2.8 k BF16" in caught.value.hint

    def test_a_token_with_access_opens_a_gated_repo(self, serve, read):
        hub = serve(repo_from_record(SMALL, gated="auto"))

        snapshot = read(hub, "org/small", token=HubServer.TOKEN_OK)

        assert snapshot.listing.gated == "auto"

    def test_offline_without_anything_stored_says_so(self, serve, read):
        with pytest.raises(NotCached):
            read(serve(small()), "org/small", offline=True)

    def test_hf_hub_offline_is_offline(self, serve, read, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        hub = serve(small())

        with pytest.raises(NotCached):
            read(hub, "org/small")
        assert hub.requests == ()

    @pytest.mark.parametrize(
        "repo", ["../etc", "a/b/c", "org/na me", "org/x--y", "org/", "", "org/..", "a\x1b[2J/b"]
    )
    def test_what_cannot_be_a_repo_id_is_a_usage_error(self, repo):
        with pytest.raises(UsageError):
            check_repo_id(repo)

    def test_an_endpoint_that_is_no_hub_is_named(self, serve, read):
        hub = serve(small(), faults=[Fault(Answer(200, body=b"<html>"), match="GET /api/models")])

        with pytest.raises(UnreadableRepo) as caught:
            read(hub, "org/small")
        assert "HF_ENDPOINT" in caught.value.hint


class TestFaults:
    def test_a_server_that_ignores_ranges_is_left_before_any_weights(self, serve, read):
        big = {**SMALL, "tensors": [["w", "BF16", [8192, 8192]]]}
        hub = serve(big, faults=[Fault(IgnoreRange())])
        heard = Listener()

        with pytest.raises(RangeIgnored):
            read(hub, "org/small", observer=heard)

        assert heard.bytes_received < 10_000

    @pytest.mark.parametrize(
        ("content_range", "body", "refusal"),
        [("bytes 8-15/64", b"12345678", RangeIgnored), ("bytes 0-63/64", b"", HubUnreachable)],
        ids=["of other bytes", "of no bytes"],
    )
    def test_a_range_that_is_not_the_one_asked_for_is_refused(
        self, serve, read, content_range, body, refusal
    ):
        answer = Answer(206, {"Content-Range": content_range}, body=body)
        hub = serve(small(), faults=[Fault(answer, match="safetensors")])

        with pytest.raises(refusal):
            read(hub, "org/small")

    def test_a_small_file_sent_whole_is_accepted(self, serve, read):
        """Nothing beyond the range was asked for or sent."""
        hub = serve(small(), faults=[Fault(IgnoreRange())])

        assert read(hub, "org/small").census.by_dtype() == ELEMENTS

    @pytest.mark.parametrize(
        "action",
        [
            Answer(503),
            Answer(500),
            Answer(429, {"Retry-After": "1"}),
            QuotaSpent(1),
            Reset(),
            Truncate(),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize(
        "match", ["GET /api/models", "config.json", "model.safetensors", "GET /repos|GET /xet|cdn"]
    )
    def test_a_passing_fault_is_retried(self, serve, read, action, match):
        hub = serve(small(), faults=[Fault(action, match=match, first=2)])

        assert read(hub, "org/small").census.by_dtype() == ELEMENTS

    @pytest.mark.parametrize(
        ("action", "error"),
        [
            (Answer(503), HubUnreachable),
            (Reset(), HubUnreachable),
            (Truncate(), HubUnreachable),
            (QuotaSpent(1), RateLimited),
        ],
        ids=repr,
    )
    def test_a_lasting_fault_ends_after_five_tries(self, serve, read, action, error):
        hub = serve(small(), faults=[Fault(action, match="GET /api/models")])

        with pytest.raises(error) as caught:
            read(hub, "org/small")

        assert type(caught.value) is error
        assert caught.value.exit_code == 4
        assert caught.value.retryable
        assert sum("/api/models" in path for path in paths(hub)) == 5

    def test_a_quota_that_returns_too_late_is_told_at_once(self, serve, read):
        hub = serve(small(), faults=[Fault(QuotaSpent(297), match="GET /api/models")])

        with pytest.raises(RateLimited, match="297 s"):
            read(hub, "org/small")
        assert sum("/api/models" in path for path in paths(hub)) == 1

    def test_an_unreachable_hub_is_answered_from_what_was_stored(self, serve, read):
        with HubServer([small()]) as hub:
            online = read(hub, "org/small")
        stored = read(hub, "org/small")

        assert stored.census == online.census
        assert "stored before" in stored.stands_in

    def test_an_unreachable_hub_without_anything_stored_is_an_error(self, serve, read):
        with HubServer([small()]) as hub:
            pass
        with pytest.raises(HubUnreachable) as caught:
            read(hub, "org/small")
        assert "HF_ENDPOINT" in caught.value.hint

    @pytest.mark.parametrize(
        "body",
        [
            json.dumps({"index": {}, "headers": {"model-00001-of-00003.safetensors": {}}}).encode(),
            json.dumps(
                {
                    "index": {},
                    "headers": {
                        "elsewhere.safetensors": {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
                    },
                }
            ).encode(),
            b"{}",
            b"<html>",
        ],
        ids=["other bytes", "other shards", "empty", "a page"],
    )
    def test_a_one_call_answer_that_disagrees_with_the_listing_is_not_believed(self, serve, read, body):
        hub = serve(sharded(), faults=[Fault(Answer(200, body=body), match="safetensors-metadata")])

        assert read(hub, "org/sharded").census.by_dtype() == ELEMENTS

    def test_a_shard_that_vanishes_is_named(self, serve, read):
        hub = serve(
            sharded(),
            settings=Settings(one_call=False),
            faults=[Fault(Answer(404, {"X-Error-Code": "EntryNotFound"}), match="00002-of-00003")],
        )

        with pytest.raises(MalformedWeights, match="model-00002-of-00003"):
            read(hub, "org/sharded")


class TestHeaderLengths:
    @pytest.mark.parametrize("length", [99_991, 99_992, *range(99_994, 100_002), 65_528, 65_529, 65_536])
    def test_headers_about_as_long_as_a_first_read_are_exact(self, serve, read, length):
        """Other clients fail between 99,994 and 100,000 bytes, where the length's own 8 bytes tip the scale."""
        header = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        text = json.dumps(header).encode().ljust(length)
        files = {"config.json": b"{}", "model.safetensors": length.to_bytes(8, "little") + text + b"\0\0\0\0"}
        hub = serve(Repo("org/odd", files))

        assert read(hub, "org/odd").census.stored_elements == 1

    def test_a_header_that_claims_more_than_the_file_is_refused_without_reading_it(self, serve, read):
        files = {"config.json": b"{}", "model.safetensors": (10**12).to_bytes(8, "little") + b"{}"}
        hub = serve(Repo("org/odd", files))

        with pytest.raises(MalformedWeights, match=r"model\.safetensors"):
            read(hub, "org/odd")
        assert hub.bytes_sent < 10_000


def test_the_store_lies_under_the_assets_folder(serve, read, hf_home: Path):
    read(serve(small()), "org/small")

    assert [path.name for path in (hf_home / "assets" / "hubmem").iterdir() if path.suffix == ".sqlite"] == [
        "headers-1.sqlite"
    ]
