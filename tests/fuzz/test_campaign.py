"""A short run of every parser; and a run does find what it looks for."""

import time
from collections.abc import Callable

import pytest
from hubmem.errors import MalformedConfig

from tests.fuzz import campaign
from tests.fuzz.campaign import Finding, Target, run
from tests.fuzz.mutation import mutate_bytes
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_answers_or_refuses_what_no_writer_wrote(name: str) -> None:
    outcome = run(TARGETS[name], seconds=60, seed=7, most=160)
    assert outcome.findings == {}
    assert outcome.answered > 0


def only_finding(read: Callable[[bytes], object], most: int = 20) -> Finding:
    target = Target(name="planted", corpus=lambda: [b"one", b"two"], mutate=mutate_bytes, read=read)
    (finding,) = run(target, seconds=20, seed=1, most=most).findings.values()
    return finding


def test_an_error_that_is_not_hubmem_s_is_found_with_its_place_and_its_shortest_input() -> None:
    def read(data: bytes) -> None:
        if b"o" in data:
            raise KeyError("size")

    finding = only_finding(read, most=500)
    assert (finding.what, finding.data) == ("KeyError: 'size'", b"o")
    assert finding.where.endswith(" read")


def test_what_takes_too_long_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "MOST_CPU_SECONDS", 0.05)
    began = time.monotonic()

    def read(data: bytes) -> None:
        while data == b"two":
            pass

    assert only_finding(read).what.startswith("TooSlow: more than 0.05 s")
    assert time.monotonic() - began < 10


def test_memory_out_of_proportion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "MOST_GROWTH_BYTES", 2**20)
    held: list[bytes] = []

    def read(data: bytes) -> None:
        if data == b"two":
            held.append(b"\1" * (campaign.peak_bytes() + 2**22))

    finding = only_finding(read, most=4)
    assert (finding.where, finding.data) == ("memory", b"two")


def test_a_message_nobody_would_read_to_its_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "LONGEST_MESSAGE", 100)

    def read(data: bytes) -> None:
        raise MalformedConfig("far too much" * 20)

    assert only_finding(read).what == "a long message: 240 characters"
