"""Switches that a test sets, and may change while the server runs: settings, and faults with their aim."""

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server behaves when nothing goes wrong.

    Attributes:
        latency_seconds: slept before each response of either host.
        one_call: whether ``/safetensors-metadata/`` exists (mirrors lack it).
        tree_page_size: entries in one page of ``/tree/``; the Hub's is 1000.
        list_page_size: models in one page of ``/api/models`` at most.
        quotas: requests allowed by bucket in a window; the defaults are the Hub's for anonymous callers. A
            bucket that is not named is unlimited and unannounced.
        window_seconds: length of a window.
    """

    latency_seconds: float = 0.0
    one_call: bool = True
    tree_page_size: int = 1000
    list_page_size: int = 1000
    quotas: Mapping[str, int] = field(default_factory=lambda: {"api": 500, "resolvers": 3000, "pages": 100})
    window_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this instead: ``Answer(503)``, ``Answer(429, {"Retry-After": "1"})``.

    Without a body of its own it is the Hub's JSON for an error.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class QuotaSpent:
    """Answer 429 with a ``RateLimit`` of nothing left for so many seconds."""

    reset_seconds: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Close the connection with RST and no answer."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """Promise the whole body, send half of it, close."""


@dataclass(frozen=True, slots=True)
class IgnoreRange:
    """Answer 200 with the whole file, as mirrors and proxies may."""


@dataclass(frozen=True, slots=True)
class Call:
    """Call this first, then answer as usual: to delete or alter a repo in the middle of a run."""

    callback: Callable[[], object]


Action: TypeAlias = Answer | QuotaSpent | Reset | Truncate | IgnoreRange | Call


@dataclass(frozen=True, slots=True)
class Fault:
    """An action, and the requests it befalls.

    Attributes:
        match: a regular expression searched for in "METHOD /path" (percent-encoded, without the query).
        after: matching requests left alone at first.
        first: matching requests that may be struck after those; None for no end.
        probability: chance of each to be struck. Which are drawn depends on the seed, the request and how
            often it was seen, not on the order in which threads arrive.
    """

    action: Action
    _: KW_ONLY
    match: str = ""
    after: int = 0
    first: int | None = None
    probability: float = 1.0
    seed: int = 0


class FaultPlan:
    """Faults with their counts; setting a new plan starts the counts again."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = tuple(faults)
        self._lock = threading.Lock()
        self._matched: Counter[int] = Counter()
        self._seen: Counter[str] = Counter()

    def strike(self, line: str) -> list[Action]:
        """The actions that befall this request."""
        if not self.faults:
            return []
        with self._lock:
            self._seen[line] += 1
            return [
                fault.action for number, fault in enumerate(self.faults) if self._hits(number, fault, line)
            ]

    def _hits(self, number: int, fault: Fault, line: str) -> bool:
        if not re.search(fault.match, line):
            return False
        turn = self._matched[number] - fault.after
        self._matched[number] += 1
        if turn < 0 or (fault.first is not None and turn >= fault.first):
            return False
        draw = random.Random(f"{fault.seed} {number} {line} {self._seen[line]}").random()
        return draw < fault.probability
