"""What a person sees of a scan on a terminal, and what a pipe is spared."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub_server import HubServer, Settings
from tests.scanning.conftest import Outcome, read_lines
from tests.scanning.models import models

Hub = Callable[..., HubServer]


def scan_on_a_terminal(
    hub: HubServer, *arguments: str, interrupt_after: str | None = None
) -> tuple[int, str]:
    """`hubmem scan` with a terminal for its stderr; Ctrl-C once the terminal shows a text."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "hubmem", "scan", *arguments],
        env={**os.environ, "HF_ENDPOINT": hub.endpoint, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = ""
    interrupted = False
    while True:
        try:
            piece = os.read(ours, 4096).decode("utf-8", "replace")
        except OSError:  # how Linux says that the other end is closed
            break
        shown += piece
        if interrupt_after and not interrupted and re.search(interrupt_after, shown):
            process.send_signal(signal.SIGINT)
            interrupted = True
    os.close(ours)
    return process.wait(), shown


def test_a_bar_shows_how_many_and_a_summary_why(hub: Hub) -> None:
    server = hub(*models(6))

    code, shown = scan_on_a_terminal(server, *(f"org/m{number}" for number in range(6)), "org/none")

    assert code == 0
    assert re.search(r"7/7 \[", shown), "how many of how many"
    assert "6 reported, 1 skipped" in shown
    assert re.search(r"not-found +1", shown)


@pytest.mark.timeout(280)  # the window that must not be sat out ends after 290 s
def test_a_bar_says_what_it_waits_for_and_ctrl_c_ends_the_wait(
    hub: Hub, scan: Callable[..., Outcome], tmp_path: Path
) -> None:
    names = [f"org/m{number}" for number in range(40)]
    server = hub(*models(40), settings=Settings(quotas={"api": 10}, window_seconds=290))
    output = tmp_path / "out.jsonl"

    code, shown = scan_on_a_terminal(
        server,
        *names,
        "-o",
        str(output),
        interrupt_after=r"[1-9]\d*/40 \[[^\]]*Hub quota \(api\): \d+ (s|min)",
    )

    assert code == 130
    kept = read_lines(output)
    assert 0 < len(kept) <= 10
    assert f"{len(kept)} answers are kept in {output}" in re.sub(r"\s+", " ", shown)

    server.settings = Settings(quotas={})
    server.clear_log()
    assert scan(*names, "-o", output).code == 0
    assert {line["repo"] for line in read_lines(output)} == set(names)
    asked = {entry.path.removeprefix("/api/models/") for entry in server.requests}
    assert not asked & {line["repo"] for line in kept}, "the same command goes on"


def test_a_pipe_gets_the_summary_alone(hub: Hub, scan: Callable[..., Outcome]) -> None:
    hub(*models(2))

    outcome = scan("org/m0", "org/m1")

    assert re.fullmatch(r"hubmem: 2 reported, 0 skipped · \d+ requests, \d+ k?B · \d+ s\n", outcome.err)


def test_a_log_gets_a_line_now_and_then(
    hub: Hub, scan: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubmem.cli.scan_progress._LINE_SECONDS", 0.2)
    hub(*models(12), settings=Settings(quotas={"api": 8}, window_seconds=1.0))

    outcome = scan(*(f"org/m{number}" for number in range(12)), "org/none")

    *lines, summary, _ = outcome.err.splitlines()
    assert "12 reported, 1 skipped" in summary
    assert lines
    assert all(re.match(r"hubmem: \d+ repos, \d+\.\d repos/s", line) for line in lines)
    assert any(re.search(r"Hub quota \(api\): \d+ s", line) for line in lines)
    assert "\r" not in outcome.err


def test_verbose_shows_each_request(hub: Hub, scan: Callable[..., Outcome]) -> None:
    hub(*models(1))

    outcome = scan("org/m0", "-v")

    assert len(re.findall(r"^GET 200 .*/api/models/org/m0$", outcome.err, re.MULTILINE)) == 1


def test_a_reader_who_leaves_ends_the_scan(hub: Hub) -> None:
    server = hub(*models(60), settings=Settings(quotas={}, latency_seconds=0.05))
    names = " ".join(f"org/m{number}" for number in range(60))

    outcome = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m hubmem scan {names} --threads 2 | head -1; exit ${{PIPESTATUS[0]}}",
        ],
        env={**os.environ, "HF_ENDPOINT": server.endpoint, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0
    assert outcome.stdout.count("\n") == 1
    assert "Traceback" not in outcome.stderr
    assert "Broken" not in outcome.stderr
    assert len(server.requests) < 60 * 4


@pytest.mark.parametrize("name", ["thread", "process:2", "processes:x", "dask:host"])
def test_an_executor_that_is_none_is_refused(scan: Callable[..., Outcome], name: str) -> None:
    outcome = scan("org/m0", "--executor", name)

    assert outcome.code == 2
    assert "processes:4" in outcome.err


def test_without_dask_it_says_what_to_install(
    hub: Hub, scan: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hub(*models(1))
    monkeypatch.setitem(sys.modules, "distributed", None)

    outcome = scan("org/m0", "--executor", "dask://127.0.0.1:1")

    assert outcome.code == 2
    assert "pip install 'hubmem[dask]'" in outcome.err
    assert server.requests == ()


def test_a_file_that_cannot_be_opened_exits_2(hub: Hub, scan: Callable[..., Outcome], tmp_path: Path) -> None:
    hub(*models(1))
    output = tmp_path / "out.jsonl"
    output.symlink_to(tmp_path / "missing" / "out.jsonl")

    outcome = scan("org/m0", "-o", output)

    assert outcome.code == 2
    assert f"{output} cannot be written" in outcome.err


def test_processes_may_plan(hub: Hub, scan: Callable[..., Outcome]) -> None:
    hub(*models(4))

    outcome = scan(*(f"org/m{number}" for number in range(4)), "--executor", "processes:2")

    assert outcome.code == 0
    assert "4 reported, 0 skipped" in outcome.err
    assert "failed" not in outcome.err
