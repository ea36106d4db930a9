"""A scan against a server of the tests, by Python or by the command line."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hubmem.cli import main

from tests.hub_server import HubServer, Settings

Lines = list[dict[str, Any]]


@pytest.fixture
def hub(connect: Callable[..., HubServer]) -> Callable[..., HubServer]:
    """Start a Hub that hubmem reads from; without quotas unless settings say otherwise."""

    def start(*repos: Any, **options: Any) -> HubServer:
        options.setdefault("settings", Settings(quotas={}))
        return connect(*repos, **options)

    return start


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setattr("hubmem.scanning.pace.QuotaPacer.pause", lambda *_: None)


@dataclass
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @cached_property
    def lines(self) -> Lines:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def scan(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`hubmem scan …` in this process."""

    def run(*arguments: object) -> Outcome:
        code = main(["scan", *map(str, arguments)])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def read_lines(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_in(store: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(statement).fetchall()


def without_cost(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Answers as comparable text, sorted; what they cost depends on what was stored before."""
    return sorted(json.dumps({**line, "cost": None}, sort_keys=True) for line in lines)
