"""Many repos by Python: each ends as a report or as a skip with its reason, and nothing ends the scan."""

import inspect
import itertools
import json
import os
import pickle
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import hubmem
import pytest
from hubmem import errors
from hubmem.errors import HubUnreachable, UsageError
from hubmem.hub.opening import Access, open_session, open_transport
from hubmem.inspection import assess
from hubmem.report import Report
from hubmem.request import Request
from hubmem.scanning.skipped import REASONS, Skipped, reason_of, skipped
from hubmem.snapshot import Snapshot

from tests.hub_server import Answer, Fault, HubServer, Repo
from tests.scanning.conftest import Outcome, without_cost
from tests.scanning.models import model, models, parameters, without_weights

Hub = Callable[..., HubServer]


def reports(answers: Iterable[Report | Skipped]) -> list[Report]:
    return [answer for answer in answers if isinstance(answer, Report)]


def skips(answers: Iterable[Report | Skipped]) -> list[Skipped]:
    return [answer for answer in answers if isinstance(answer, Skipped)]


def broken(repo: str) -> Repo:
    """A header that is no JSON."""
    return Repo(repo, {"config.json": b"{}", "model.safetensors": (4).to_bytes(8, "little") + b"{,,}"})


@pytest.mark.parametrize(
    ("repo", "reason", "retryable"),
    [
        ("org/missing", "not-found", False),
        ("org/private", "not-found", False),
        ("org/gated", "gated", False),
        ("org/m0@nowhere", "revision-not-found", False),
        ("org/empty", "no-weights", False),
        ("org/broken", "malformed-weights", False),
        ("org/odd", "malformed-config", False),
        ("org/failing", "unreachable", True),
        ("not a repo", "usage", False),
        ("./nowhere", "not-found", False),
    ],
)
@pytest.mark.usefixtures("no_pauses")
def test_each_way_to_fail_is_a_skip_with_its_reason_among_reports(
    hub: Hub, repo: str, reason: str, retryable: bool
) -> None:
    hub(
        *models(2),
        model("org/private", private=True),
        model("org/gated", gated="manual"),
        without_weights("org/empty"),
        broken("org/broken"),
        model("org/odd", config={"num_hidden_layers": "two"}),
        model("org/failing"),
        faults=[Fault(Answer(500), match="org/failing")],
    )

    answers = list(hubmem.scan(["org/m0", repo, "org/m1"]))

    found = reports(answers)
    assert sorted(report.snapshot.listing.repo for report in found) == ["org/m0", "org/m1"]
    assert {report.census.parameters for report in found} == {parameters(256), parameters(257)}
    (skip,) = skips(answers)
    assert skip.repo == repo
    assert (skip.reason, skip.retryable) == (reason, retryable)
    assert skip.message
    assert skip.to_dict()["schema"] == "hubmem.skipped/1"


def test_a_report_is_the_one_that_inspect_gives(hub: Hub) -> None:
    hub(*models(1))

    (scanned,) = hubmem.scan(["org/m0"], gpus=["2x4090"], context=1024)
    inspected = hubmem.inspect("org/m0", gpus=["2x4090"], context=1024)

    assert without_cost([scanned.to_dict()]) == without_cost([inspected.to_dict()])


def test_a_publisher_sees_one_download_of_a_repo_however_often_it_is_scanned(hub: Hub) -> None:
    """The Hub counts each GET and each HEAD of config.json: huggingface.co/docs/hub/models-download-stats."""
    server = hub(*models(6), without_weights("org/empty"))
    names = [*(f"org/m{number}" for number in range(6)), "org/empty"]

    for _ in range(2):
        assert len(list(hubmem.scan(names))) == 7

    asked = Counter(entry.path for entry in server.requests)
    assert {entry.method for entry in server.requests} == {"GET"}
    assert {asked[f"/{name}/resolve/main/config.json"] for name in names} == {1}
    assert not any(re.search(r"/resolve/[0-9a-f]{40}/config.json", path) for path in asked)


def test_no_request_says_that_it_is_a_download() -> None:
    session = open_session(warn=pytest.fail)

    headers = open_transport(session, Access(token=False))._hub_headers()

    assert "x-hf-download-counter" not in map(str.lower, headers)
    assert headers["user-agent"].startswith("hubmem/")


def all_errors(kind: type[errors.HubmemError] = errors.HubmemError) -> list[type[errors.HubmemError]]:
    return [kind, *(further for below in kind.__subclasses__() for further in all_errors(below))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_reason_by_its_own_row_or_the_one_above(kind: type[errors.HubmemError]) -> None:
    assert reason_of(kind) in set(REASONS.values())


def test_reasons_are_told_apart() -> None:
    below_unreadable = [kind for kind in REASONS if kind not in (errors.HubmemError, errors.UnreadableRepo)]

    assert len({REASONS[kind] for kind in below_unreadable}) == len(below_unreadable)


def test_a_fault_of_hubmem_is_a_skip_that_asks_to_be_reported(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub(*models(3))

    def fail_on_one(snapshot: Snapshot, request: Request) -> Report:
        if snapshot.listing.repo == "org/m1":
            raise ZeroDivisionError("in a formula")
        return assess(snapshot, request)

    monkeypatch.setattr("hubmem.scanning.scan.assess", fail_on_one)

    answers = list(hubmem.scan(["org/m0", "org/m1", "org/m2"]))

    (skip,) = skips(answers)
    assert (skip.repo, skip.reason) == ("org/m1", "internal-error")
    assert re.fullmatch(r"ZeroDivisionError: in a formula \(test_scan.py:\d+\)", skip.message)
    assert "report it" in skip.hint
    assert len(answers) == 3


def test_a_fault_in_what_is_computed_last_is_a_skip_too(
    hub: Hub, scan: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report solves for the longest context only when it is printed."""
    hub(*models(2))
    whole = Report.to_dict

    def fail_on_one(report: Report) -> dict[str, Any]:
        if report.snapshot.listing.repo == "org/m1":
            raise KeyError("max_context")
        return whole(report)

    monkeypatch.setattr(Report, "to_dict", fail_on_one)

    outcome = scan("org/m0", "org/m1", "--ordered")

    assert outcome.code == 0
    assert [line.get("reason") for line in outcome.lines] == [None, "internal-error"]


@pytest.mark.parametrize(
    "request_", [{"gpus": ["nothing-of-the-kind"]}, {"dtype": "int3.7"}, {"batch": 0}], ids=str
)
def test_a_request_that_means_nothing_is_refused_before_any_repo(request_: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        hubmem.scan(iter(lambda: pytest.fail("asked for a repo"), None), **request_)


def test_repos_are_taken_as_they_are_needed(hub: Hub) -> None:
    """A list may be endless, and its length is not held in memory."""
    hub(*models(1))
    taken = itertools.count()

    scan = hubmem.scan(("org/m0" for _ in taken), threads=2)
    for _ in range(5):
        next(scan)

    assert next(taken) <= 5 + 2 * 2 + 1
    scan.close()


def test_a_scan_that_is_left_leaves_no_thread_behind(hub: Hub) -> None:
    hub(*models(20))
    before = set(threading.enumerate())

    scan = hubmem.scan(f"org/m{number}" for number in range(20))
    next(scan)
    scan.close()

    left = set(threading.enumerate()) - before
    assert [thread.name for thread in left if thread.name.startswith("hubmem")] == []


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [503, 401], ids=["down", "refuses the token"])
def test_a_hub_that_fails_many_repos_in_a_row_ends_the_scan(hub: Hub, status: int) -> None:
    """Marking a million repos as unreachable would help nobody."""
    server = hub(*models(3), faults=[Fault(Answer(status))])
    named = itertools.count()
    answers: list[Report | Skipped] = []

    with pytest.raises(HubUnreachable, match="50 repos in a row"):
        answers.extend(hubmem.scan(f"org/m{number % 3}" for number in named))

    assert reports(answers) == []
    assert next(named) < 150
    assert server.requests


def test_a_few_failures_are_not_the_hub(hub: Hub) -> None:
    hub(*models(5))

    answers = list(hubmem.scan([*(f"org/none{number}" for number in range(80)), "org/m0"]))

    assert len(answers) == 81


class TestExecutors:
    def test_processes_give_the_same_reports(self, hub: Hub) -> None:
        hub(*models(12), without_weights("org/empty"))
        repos = [f"org/m{number}" for number in range(12)] + ["org/empty"]
        here = list(hubmem.scan(repos))

        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
            there = list(hubmem.scan(repos, executor=processes))

        assert without_cost(answer.to_dict() for answer in there) == without_cost(
            answer.to_dict() for answer in here
        )

    def test_the_hub_is_read_by_one_process_however_many_plan(self, hub: Hub) -> None:
        """So that one pace can keep the quota, and workers need neither a token nor a network."""
        server = hub(*models(8))
        repos = [f"org/m{number}" for number in range(8)]

        with ProcessPoolExecutor(
            2, mp_context=get_context("spawn"), initializer=os.environ.update, initargs=({"HF_ENDPOINT": ""},)
        ) as processes:
            answers = list(hubmem.scan(repos, executor=processes))

        assert all(isinstance(answer, Report) for answer in answers)
        assert len(server.requests) > 8

    def test_a_worker_that_is_killed_loses_nothing(self, hub: Hub) -> None:
        hub(*models(40))
        repos = [f"org/m{number}" for number in range(40)]
        warnings: list[str] = []

        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
            scan = hubmem.scan(repos, executor=processes, warn=warnings.append)
            answers = [next(scan)]
            for worker in list(processes._processes):
                os.kill(worker, signal.SIGKILL)
            answers += scan

        assert sorted(report.snapshot.listing.repo for report in reports(answers)) == sorted(repos)
        assert "planned in this process" in warnings[0]

    def test_an_executor_is_left_open(self, hub: Hub) -> None:
        hub(*models(1))

        class Recording(Executor):
            tasks = 0
            shut_down = False

            def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
                self.tasks += 1
                future: Future[Any] = Future()
                future.set_result(function(*arguments, **named))
                return future

            def shutdown(self, *_: Any, **__: Any) -> None:
                self.shut_down = True

        executor = Recording()
        list(hubmem.scan(["org/m0"] * 20, executor=executor))

        assert not executor.shut_down
        assert executor.tasks == 3, "several repos share a task"

    def test_a_report_survives_pickling(self, hub: Hub) -> None:
        hub(*models(1))
        (report,) = hubmem.scan(["org/m0"])

        copy = pickle.loads(pickle.dumps(report))

        assert copy.to_dict() == report.to_dict()


def test_a_skip_is_json() -> None:
    skip = skipped("org/name", errors.GatedRepo("Gated.", hint="Ask."), commit="a" * 40)

    assert json.loads(json.dumps(skip.to_dict())) == {
        "schema": "hubmem.skipped/1",
        "repo": "org/name",
        "commit": "a" * 40,
        "reason": "gated",
        "message": "Gated.",
        "hint": "Ask.",
        "retryable": False,
    }


def test_scan_is_a_function_of_the_package() -> None:
    """And no module of that name can take its place."""
    assert inspect.isfunction(hubmem.scan)
