"""`hubmem scan` from what a user names to a file of answers: resumed, refreshed, ordered, refused."""

import json
import math
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from hubmem.scanning.store import held

from tests.hub_server import Answer, Fault, HubServer, QuotaSpent, Repo, Reset, Settings
from tests.scanning.conftest import Outcome, read_lines, without_cost
from tests.scanning.models import model, models, moved, without_weights

Hub = Callable[..., HubServer]
Scan = Callable[..., Outcome]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A file that names twelve repos, one of them twice, and one that is not there."""
    path = tmp_path / "repos.txt"
    names = [f"org/m{number}" for number in range(12)]
    path.write_text("\n".join(["# models", *names, "", "org/m3  # again", "org/missing", ""]))
    return path


def asked_for(hub: HubServer) -> Counter[str]:
    """API requests by repo."""
    return Counter(
        entry.path.removeprefix("/api/models/")
        for entry in hub.requests
        if entry.path.startswith("/api/models/") and "safetensors-metadata" not in entry.path
    )


class TestSources:
    def test_a_file_is_read_line_by_line_each_repo_once(self, hub: Hub, scan: Scan, listed: Path) -> None:
        hub(*models(12))

        outcome = scan(listed)

        assert outcome.code == 0
        assert Counter(line["repo"] for line in outcome.lines) == Counter(
            [*(f"org/m{number}" for number in range(12)), "org/missing"]
        )
        assert "12 reported, 1 skipped" in outcome.err
        assert "not-found" in outcome.err

    def test_standard_input_and_arguments_may_be_mixed(
        self, hub: Hub, scan: Scan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub(*models(4))
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BufferedReader(BytesIO(b"org/m2\norg/m3\n"))))

        outcome = scan("org/m0", "-", "org/m1", "--ordered")

        assert [line["repo"] for line in outcome.lines] == ["org/m0", "org/m2", "org/m3", "org/m1"]

    @pytest.mark.parametrize("name", ["first.jsonl", "first.jsonl.sqlite"])
    def test_the_output_of_a_scan_is_a_list_of_repos(
        self, hub: Hub, scan: Scan, tmp_path: Path, name: str
    ) -> None:
        hub(*models(5))
        scan("org/m0", "org/m4", "org/none", "-o", tmp_path / "first.jsonl")

        outcome = scan(tmp_path / name, "--context", "1k")

        assert sorted(line["repo"] for line in outcome.lines) == ["org/m0", "org/m4", "org/none"]

    def test_a_file_that_is_missing_is_no_repo(self, scan: Scan, tmp_path: Path) -> None:
        output = tmp_path / "out.jsonl"
        output.write_text("kept")

        outcome = scan("org/m0", "nowhere.txt", "-o", output)

        assert (outcome.code, output.read_text()) == (2, "kept")
        assert "No file nowhere.txt" in outcome.err

    def test_nothing_named_is_nothing_to_scan(self, scan: Scan) -> None:
        assert scan().code == 2

    def test_a_name_that_is_no_text_is_a_skip(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        hub(*models(1))
        (tmp_path / "repos.txt").write_bytes(b"org/m0\norg/n\xffme\n")

        outcome = scan(tmp_path / "repos.txt")

        assert sorted(line.get("reason", "report") for line in outcome.lines) == ["report", "usage"]

    def test_a_config_with_half_a_surrogate_pair_ends_nothing(
        self, hub: Hub, scan: Scan, tmp_path: Path
    ) -> None:
        hub(model("org/odd", config={"model_type": "\ud800"}), *models(1))

        outcome = scan("org/odd", "org/m0", "-o", tmp_path / "out.jsonl")
        page = scan("--query", "true", "--format", "csv", tmp_path / "out.jsonl")

        assert outcome.code == page.code == 0
        assert {line["repo"] for line in read_lines(tmp_path / "out.jsonl")} == {"org/odd", "org/m0"}


class TestTheHubsList:
    def test_pages_are_followed_and_repos_without_weights_cost_nothing(self, hub: Hub, scan: Scan) -> None:
        server = hub(
            *models(25),
            *(without_weights(f"org/empty{number}") for number in range(10)),
            model("other/m0"),
            settings=Settings(quotas={}, list_page_size=10),
        )

        outcome = scan("--author", "org")

        assert len(outcome.lines) == 35
        assert sum(line.get("reason") == "no-weights" for line in outcome.lines) == 10
        assert sum(entry.path == "/api/models" for entry in server.requests) == 4
        assert not any("empty" in entry.path for entry in server.requests)

    def test_what_a_list_passes_over_is_the_skip_that_reading_gives(self, hub: Hub, scan: Scan) -> None:
        hub(without_weights("org/empty"), Repo("org/onnx", {"config.json": b"{}", "model.onnx": b""}))

        listed, read = scan("--author", "org"), scan("org/empty", "org/onnx")

        commits = {line.pop("commit") for line in listed.lines}
        assert all(len(commit) == 40 for commit in commits)
        for line in read.lines:
            line.pop("commit")
        assert without_cost(listed.lines) == without_cost(read.lines)

    def test_search_filter_sort_and_limit_are_the_hubs(self, hub: Hub, scan: Scan) -> None:
        hub(
            *(model(f"org/a{number}", downloads=number, card_tags=("x",)) for number in range(5)),
            model("org/b", downloads=9, card_tags=("x",)),
            model("org/a9", downloads=9),
        )

        arguments = ("--search", "org/a", "--filter", "x", "--sort", "downloads", "--limit", "2")
        outcome = scan(*arguments, "--ordered")

        assert [line["repo"] for line in outcome.lines] == ["org/a4", "org/a3"]

    def test_a_list_that_is_garbled_once_is_read_again(self, hub: Hub, scan: Scan) -> None:
        hub(*models(3), faults=[Fault(Answer(200, body=b"<html>"), match="GET /api/models$", first=1)])

        assert len(scan("--author", "org").lines) == 3

    def test_a_list_that_is_none_says_so(self, hub: Hub, scan: Scan) -> None:
        hub(*models(3), faults=[Fault(Answer(200, body=b"{}"), match="GET /api/models$")])

        outcome = scan("--author", "org")

        assert outcome.code == 3
        assert "HF_ENDPOINT" in outcome.err


class TestResuming:
    def test_the_same_command_again_asks_nothing(
        self, hub: Hub, scan: Scan, listed: Path, tmp_path: Path
    ) -> None:
        server = hub(*models(12))
        output = tmp_path / "out.jsonl"
        scan(listed, "-o", output)
        first = read_lines(output)
        server.clear_log()

        outcome = scan(listed, "-o", output)

        assert server.requests == ()
        assert without_cost(read_lines(output)) == without_cost(first)
        assert "12 reported, 1 skipped · 0 requests" in outcome.err

    @pytest.mark.usefixtures("no_pauses")
    def test_what_may_succeed_later_is_tried_again(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        server = hub(*models(6), faults=[Fault(Reset(), match="org/m2")])
        output = tmp_path / "out.jsonl"
        names = [f"org/m{number}" for number in range(6)]
        scan(*names, "-o", output)
        (failed,) = (line for line in read_lines(output) if "reason" in line)
        assert failed["retryable"]
        server.faults = []
        server.clear_log()

        scan(*names, "-o", output)

        assert [line for line in read_lines(output) if "reason" in line] == []
        assert set(asked_for(server)) == {"org/m2"}

    def test_a_list_that_grows_costs_what_is_new(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        server = hub(*models(6))
        output = tmp_path / "out.jsonl"
        scan("org/m0", "org/m1", "-o", output)
        server.clear_log()

        scan("org/m1", "org/m5", "-o", output)

        assert set(asked_for(server)) == {"org/m5"}
        assert {line["repo"] for line in read_lines(output)} == {"org/m1", "org/m5"}, "what was asked for"

    def test_answers_to_another_request_are_not_mixed_in(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        hub(*models(1))
        output = tmp_path / "out.jsonl"
        scan("org/m0", "-o", output)
        before = output.read_text()

        outcome = scan("org/m0", "-o", output, "--context", "1k")

        assert (outcome.code, output.read_text()) == (2, before)
        assert "another request" in outcome.err

    def test_a_file_that_is_no_store_is_left_alone(self, scan: Scan, tmp_path: Path) -> None:
        other = tmp_path / "out.jsonl.sqlite"
        other.write_text("somebody's notes")

        outcome = scan("org/m0", "-o", tmp_path / "out.jsonl")

        assert (outcome.code, other.read_text()) == (2, "somebody's notes")

    def test_two_scans_do_not_share_a_store(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        hub(*models(1))
        output = tmp_path / "out.jsonl"

        with held(tmp_path / "out.jsonl.sqlite"):
            outcome = scan("org/m0", "-o", output)

        assert outcome.code == 2
        assert "Another scan" in outcome.err
        assert scan("org/m0", "-o", output).code == 0

    def test_nothing_is_left_beside_the_output_but_the_store(
        self, hub: Hub, scan: Scan, tmp_path: Path
    ) -> None:
        hub(*models(1))
        folder = tmp_path / "results"
        folder.mkdir()

        scan("org/m0", "-o", folder / "out.jsonl")

        assert sorted(path.name for path in folder.iterdir()) == ["out.jsonl", "out.jsonl.sqlite"]


class TestRefreshing:
    def test_an_owners_list_tells_what_moved_in_one_request(
        self, hub: Hub, scan: Scan, tmp_path: Path
    ) -> None:
        server = hub(*models(10), model("solo/m0"))
        output = tmp_path / "out.jsonl"
        names = [*(f"org/m{number}" for number in range(10)), "solo/m0"]
        scan(*names, "-o", output)
        server.repo("org/m3").push(moved("org/m3"))
        server.clear_log()

        scan(*names, "-o", output, "--refresh")

        lists = [entry for entry in server.requests if entry.path == "/api/models"]
        assert len(lists) == 1
        assert set(asked_for(server)) == {"org/m3", "solo/m0"}, "a list for one repo would save nothing"
        contexts = {line["repo"]: line["architecture"]["max_context"] for line in read_lines(output)}
        assert (contexts["org/m3"], contexts["org/m4"]) == (4096, 2048)

    def test_a_list_is_read_no_further_than_it_can_pay(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        server = hub(*models(40), settings=Settings(quotas={}, list_page_size=5))
        output = tmp_path / "out.jsonl"
        scan("org/m1", "org/m39", "-o", output)
        server.clear_log()

        scan("org/m1", "org/m39", "-o", output, "--refresh")

        assert sum(entry.path == "/api/models" for entry in server.requests) == 2

    def test_the_hubs_list_brings_its_own_commits(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        server = hub(*models(10))
        output = tmp_path / "out.jsonl"
        scan("--author", "org", "-o", output)
        server.repo("org/m7").push(moved("org/m7"))
        server.clear_log()

        scan("--author", "org", "-o", output, "--refresh")

        assert set(asked_for(server)) == {"org/m7"}


class TestOutput:
    def test_ordered_lines_come_in_the_order_named(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        hub(*models(12), settings=Settings(quotas={}, latency_seconds=0.005))
        names = [f"org/m{number}" for number in range(11, -1, -1)]
        output = tmp_path / "out.jsonl"
        scan(*names[::2], "-o", output, "--ordered")

        scan(*names, "-o", output, "--ordered")

        assert [line["repo"] for line in read_lines(output)] == names

    def test_check_says_no_with_exit_code_1(self, hub: Hub, scan: Scan) -> None:
        hub(*models(2))

        assert scan("org/m0", "org/m1", "--gpu", "24GiB", "--check").code == 0
        refused = scan("org/m0", "org/m1", "--gpu", "24GiB", "--gpu", "64MiB", "--check")
        assert refused.code == 1
        assert len(refused.lines) == 2

    @pytest.mark.parametrize("output_format", ["csv", "markdown", "html"])
    def test_other_formats_show_the_same_repos(
        self, hub: Hub, scan: Scan, tmp_path: Path, output_format: str
    ) -> None:
        hub(*models(3))
        names = ("org/m0", "org/m1", "org/m2", "org/none")

        printed = scan(*names, "--format", output_format)
        scan(*names, "--format", output_format, "-o", tmp_path / "out")

        assert all(name in printed.out for name in names)
        assert (tmp_path / "out").read_text() == printed.out

    def test_the_commands_of_the_help_are_there(self, scan: Scan) -> None:
        assert "--dry-run" in scan("--help").out


class TestForetelling:
    def test_a_dry_run_counts_what_is_not_stored_and_asks_nothing(
        self, hub: Hub, scan: Scan, listed: Path, tmp_path: Path
    ) -> None:
        server = hub(*models(12))
        output = tmp_path / "out.jsonl"
        scan("org/m0", "org/m1", "-o", output)
        server.clear_log()

        outcome = scan(listed, "-o", output, "--dry-run")

        assert outcome.out.startswith("11 repos to read: 11 to 22 API requests")
        assert server.requests == ()

    def test_the_hubs_list_is_counted_by_its_limit(self, scan: Scan) -> None:
        outcome = scan("--author", "org", "--limit", "2500", "--dry-run")

        assert "2,500 repos to read: 2,503 to 5,003 API requests" in outcome.out
        assert "anonymous" in outcome.out

    def test_the_whole_hub_is_told_in_days_and_its_counts_in_minutes(self, scan: Scan) -> None:
        """Windows of five minutes with 490 of 500 requests each, the last of which need not end."""
        read = scan("--sort", "created_at", "--dry-run").out
        counted = scan("--sort", "created_at", "--counts", "--dry-run").out

        days, twice = ((math.ceil(requests / 490) - 1) * 300 / 86_400 for requests in (2_502_500, 5_002_500))
        assert f"500 API    3,000 files   {days:.1f} days to {twice:.1f} days" in read
        assert "0 repos to read: 2,500 API requests" in counted
        assert f"500 API    3,000 files   {(math.ceil(2_500 / 490) - 1) * 5} min" in counted


def test_a_scan_keeps_within_the_quota_of_each_window(hub: Hub, scan: Scan) -> None:
    """Listings, redirects within the Hub, headers and one-call answers all draw on it."""
    server = hub(*models(30), settings=Settings(quotas={"api": 14, "resolvers": 40}, window_seconds=1.2))

    outcome = scan(*(f"org/m{number}" for number in range(30)))

    assert "30 reported, 0 skipped" in outcome.err
    assert Counter(entry.status for entry in server.requests)[429] == 0


@pytest.mark.usefixtures("no_pauses")
def test_a_quota_spent_by_others_is_waited_for(hub: Hub, scan: Scan) -> None:
    hub(*models(3), faults=[Fault(QuotaSpent(1), match="GET /api/models/", first=2)])

    outcome = scan("org/m0", "org/m1", "org/m2")

    assert "3 reported, 0 skipped" in outcome.err


def test_the_store_can_be_read_while_a_scan_writes(hub: Hub, tmp_path: Path, scan: Scan) -> None:
    """It is what `--query` does, and anyone with SQLite."""
    hub(*models(2))
    scan("org/m0", "-o", tmp_path / "out.jsonl")
    reader = sqlite3.connect(tmp_path / "out.jsonl.sqlite")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM repos").fetchall()

    outcome = scan("org/m0", "org/m1", "-o", tmp_path / "out.jsonl")

    reader.close()
    assert outcome.code == 0
    assert [json.loads(line)["repo"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        "org/m0",
        "org/m1",
    ]
