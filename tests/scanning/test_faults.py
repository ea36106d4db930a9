"""Whatever fails while a scan runs, every repo ends once, as what it is, and what was found is kept."""

import errno
import json
import multiprocessing
import os
import random
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hubmem.cli import main
from hubmem.errors import StoreUnavailable
from hubmem.scanning import store as stores
from hubmem.scanning.lines import open_lines

from tests.hub_server import Answer, Call, Fault, HubServer, Reset, Settings, Truncate
from tests.scanning.conftest import Outcome, read_lines, rows_in, without_cost
from tests.scanning.models import VOCABULARY, models, parameters

Hub = Callable[..., HubServer]
Scan = Callable[..., Outcome]

# What a fault may leave of a repo once the retries are used up; the same scan may succeed later.
PASSING = {"unreachable", "rate-limited"}
# Garbled twice in a row: told apart from a repo that is malformed by nothing.
GARBLED = {"unreadable", "malformed-weights"}


def vanishing(server: HubServer, name: str, *, match: str) -> Fault:
    """The repo is deleted when the first such request arrives."""

    def delete() -> None:
        with suppress(KeyError):
            server.remove(name)

    return Fault(Call(delete), match=match, first=1)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("seed", range(3))
def test_with_a_third_of_all_requests_failing_each_repo_ends_once_as_what_it_is(
    hub: Hub, scan: Scan, seed: int
) -> None:
    """5 % each of 429, 500, 503, resets, truncations, garbled bodies; one repo in ten is deleted.

    What the refusals say of quotas and of times to come back is garbled too.
    """
    names = [f"org/m{number}" for number in range(60)]
    unlisted, unread = names[::20], names[10::20]
    server = hub(*models(60))
    garbled = Answer(200, body=b'{"half":')
    refused = Answer(429, {"RateLimit": f'"api";r={"9" * 5000};t=x', "Retry-After": "\xb2"})
    down = Answer(503, {"RateLimit-Policy": "q=0", "Retry-After": "Wed, 99 Nov 2026 25:61:00 GMT"})
    actions = (refused, Answer(500), down, Reset(), Truncate(), garbled)
    server.faults = [
        *(vanishing(server, name, match=f"GET /api/models/{name}$") for name in unlisted),
        *(
            vanishing(server, name, match=f"GET /{name}/resolve/[0-9a-f]{{40}}/|{name}/safet")
            for name in unread
        ),
        *(Fault(action, probability=0.05, seed=seed) for action in actions),
    ]

    outcome = scan(*names)

    assert outcome.code == 0
    lines = {line["repo"]: line for line in outcome.lines}
    assert Counter(line["repo"] for line in outcome.lines) == Counter(names)
    for name in {*unlisted, *unread}:
        assert lines[name].get("reason", name) in {"not-found", *PASSING, *GARBLED}
    assert sum(lines[name]["reason"] == "not-found" for name in (*unlisted, *unread)) >= 4
    for name in set(names) - {*unlisted, *unread}:
        line = lines[name]
        if "reason" not in line:
            assert line["parameters"]["total"] == parameters(VOCABULARY + names.index(name))
        else:
            assert line["reason"] in PASSING | GARBLED
            assert line["retryable"] == (line["reason"] in PASSING)
    reports = sum("reason" not in line for line in outcome.lines)
    assert reports >= 40
    assert f"{reports} reported, {60 - reports} skipped" in outcome.err


class FullDisk:
    """A disk on which only so much fits: SQLite's own limit on pages stands for it."""

    def __init__(self) -> None:
        self._connections: list[sqlite3.Connection] = []
        self._pages = 12
        self._waits_left = -1

    def opened(self, connection: sqlite3.Connection) -> None:
        self._connections.append(connection)
        connection.execute(f"PRAGMA max_page_count = {self._pages}")

    def make_room_after_waits(self, waits: int) -> None:
        self._waits_left = waits

    def wait(self, _: float) -> None:
        self._waits_left -= 1
        if self._waits_left == 0:
            self.make_room()

    def make_room(self) -> None:
        self._pages = 2**30
        for connection in self._connections:
            with suppress(sqlite3.ProgrammingError):  # closed meanwhile
                connection.execute(f"PRAGMA max_page_count = {self._pages}")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    disk, open_store = FullDisk(), stores._open

    def open_on_it(path: Path, request: str) -> sqlite3.Connection:
        connection = open_store(path, request)
        disk.opened(connection)
        return connection

    monkeypatch.setattr(stores, "_open", open_on_it)
    monkeypatch.setattr(stores, "time", SimpleNamespace(monotonic=time.monotonic, sleep=disk.wait))
    return disk


class TestTheStore:
    """Ways in which a result cannot be written."""

    def test_another_programs_lock_is_waited_for(self, hub: Hub, scan: Scan, tmp_path: Path) -> None:
        hub(*models(8))
        output = tmp_path / "out.jsonl"
        scan("org/m0", "-o", output)
        other = sqlite3.connect(tmp_path / "out.jsonl.sqlite", check_same_thread=False, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(1.5, other.close)
        release.start()

        outcome = scan(*(f"org/m{number}" for number in range(8)), "-o", output)

        release.join()
        assert outcome.code == 0
        assert "locked" in outcome.err
        assert "waiting" in outcome.err
        assert Counter(line["repo"] for line in read_lines(output)) == Counter(
            f"org/m{number}" for number in range(8)
        )

    def test_room_made_on_a_full_disk_is_used(
        self, hub: Hub, scan: Scan, tmp_path: Path, full_disk: FullDisk
    ) -> None:
        hub(*models(20))
        names = [f"org/m{number}" for number in range(20)]
        full_disk.make_room_after_waits(2)

        outcome = scan(*names, "-o", tmp_path / "out.jsonl")

        assert outcome.code == 0
        assert "full" in outcome.err
        assert Counter(line["repo"] for line in read_lines(tmp_path / "out.jsonl")) == Counter(names)

    def test_a_disk_that_stays_full_ends_the_scan_and_the_same_command_goes_on(
        self, hub: Hub, scan: Scan, tmp_path: Path, full_disk: FullDisk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = hub(*models(20))
        names = [f"org/m{number}" for number in range(20)]
        output = tmp_path / "out.jsonl"
        monkeypatch.setattr(stores, "_PATIENCE_SECONDS", 0.0)
        ended = scan(*names, "-o", output)
        kept = rows_in(tmp_path / "out.jsonl.sqlite", "SELECT repo FROM repos")
        full_disk.make_room()
        server.clear_log()

        outcome = scan(*names, "-o", output)

        assert ended.code == 4
        assert "run the same command again" in ended.err
        assert 0 < len(kept) < 20
        assert outcome.code == 0
        assert Counter(line["repo"] for line in read_lines(output)) == Counter(names)
        listed = {entry.path for entry in server.requests if entry.path.startswith("/api/models/org/m")}
        assert not listed & {f"/api/models/{repo}" for (repo,) in kept}

    def test_a_full_disk_under_the_lines_alone_does_not_cost_the_answers(
        self, hub: Hub, scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`/dev/full` refuses every byte as a full disk does."""
        server = hub(*models(3))
        output = tmp_path / "out.jsonl"
        output.symlink_to("/dev/full")
        monkeypatch.setattr(stores, "_PATIENCE_SECONDS", 0.0)

        ended = scan("org/m0", "org/m1", "org/m2", "-o", output)
        output.unlink()
        server.clear_log()
        outcome = scan("org/m0", "-o", output)

        assert (ended.code, outcome.code) == (4, 0)
        assert [line["repo"] for line in read_lines(output)] == ["org/m0"]


def test_a_line_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up takes the beginning of a line and refuses the rest."""
    path = tmp_path / "out.jsonl"
    monkeypatch.setattr(stores, "_PATIENCE_SECONDS", 0.0)

    class Filling(FileIO):
        room = 10

        def write(self, data: Any, /) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = super().write(bytes(data)[: self.room])
            self.room -= taken
            return taken

    monkeypatch.setattr(Path, "open", lambda self, mode, **_: Filling(self, mode.replace("b", "")))
    with open_lines(path, warn=lambda _: None) as write_line:
        write_line("12345")
        with pytest.raises(StoreUnavailable):
            write_line("abcdefgh")

    assert path.read_bytes() == b"12345\n"


# What a scan imports, and what huggingface_hub's client does at its first request: those that are there.
PRELOADED = [
    "tests.scanning.test_faults",
    "hubmem.scanning.job",
    "hubmem.hub.remote",
    *("httpcore", "httpcore2", "anyio.to_thread", "h11", "truststore"),
]


def scan_in_a_process(endpoint: str, home: str, arguments: list[str]) -> None:
    """What a new process does that has its modules already."""
    from huggingface_hub import constants

    os.environ.update({"HF_ENDPOINT": endpoint, "HF_HOME": home})
    constants.HF_ASSETS_CACHE = f"{home}/assets"
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - as long as the process
    main(["scan", *arguments])


def stored(path: Path) -> int:
    """How many answers a store holds; none before it has its tables."""
    with suppress(sqlite3.OperationalError):
        return int(rows_in(path, "SELECT count(*) FROM results")[0][0])
    return 0


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    rows = rows_in(path, "SELECT * FROM results ORDER BY repo")
    return [(*row[:-1], *without_cost([json.loads(row[-1])])) for row in rows]


@pytest.mark.timeout(600)  # twelve processes, on a machine that may be busy
def test_kill_9_at_ten_random_moments_ends_in_the_store_of_an_undisturbed_run(
    hub: Hub, tmp_path: Path
) -> None:
    """A moment is a number of requests and a pause, so that it falls amid the work however busy the machine."""
    server = hub(*models(70), settings=Settings(quotas={}, latency_seconds=0.01))
    names = tmp_path / "repos.txt"
    names.write_text("".join(f"org/m{number}\n" for number in range(70)) + "org/missing\n")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(PRELOADED)
    rng = random.Random(20261121)

    def start(folder: Path) -> Any:
        folder.mkdir(exist_ok=True)
        arguments = [str(names), "-o", str(folder / "out.jsonl"), "--threads", "2", "--gpu", "24GiB"]
        process = processes.Process(
            target=scan_in_a_process, args=(server.endpoint, str(folder / "hf"), arguments)
        )
        process.start()
        return process

    def kill(process: Any, *, at_request: int) -> bool:
        """Whether it was still at work."""
        while len(server.requests) < at_request and process.is_alive():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        is_alive = bool(process.is_alive())
        process.kill()
        process.join()
        return is_alive

    undisturbed = start(tmp_path / "undisturbed")
    undisturbed.join()
    progress, alive = [0], []
    for _ in range(10):
        begun = len(server.requests)
        process = start(tmp_path / "disturbed")
        alive.append(kill(process, at_request=begun + rng.randint(0, 40)))
        progress.append(stored(tmp_path / "disturbed" / "out.jsonl.sqlite"))
    last = start(tmp_path / "disturbed")
    last.join()

    assert undisturbed.exitcode == last.exitcode == 0
    assert all(alive), "each kill comes before the work is done"
    assert progress == sorted(progress), "what was stored stays stored"
    assert len(set(progress)) > 5, "and most come after some of it is"
    first, second = (rows_of(tmp_path / name / "out.jsonl.sqlite") for name in ("undisturbed", "disturbed"))
    assert first == second
    assert len(first) == 71
    lines = [read_lines(tmp_path / name / "out.jsonl") for name in ("undisturbed", "disturbed")]
    assert without_cost(lines[0]) == without_cost(lines[1])
