"""Run one parser for a while, and keep what it should not have done."""

import re
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from hubmem.errors import HubmemError

from tests.fuzz.mutation import Mutate

# Inputs are at most 256 KiB, and what is right to say of one takes a fraction of this.
MOST_CPU_SECONDS = 5.0
MOST_GROWTH_BYTES = 256 * 2**20
# Characters.
LONGEST_MESSAGE = 1000
_LARGEST_POOL = 3000
_ANSWERED = "answered"


class TooSlow(BaseException):
    """An input took too long; no handler of exceptions may take it for one of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser and what it is tried on.

    Attributes:
        corpus: real inputs, read when the parser's turn comes.
        mutate: other inputs from them.
        read: the parser, with everything that is computed from its result; may raise HubmemError only.
    """

    name: str
    corpus: Callable[[], Sequence[bytes]]
    mutate: Mutate
    read: Callable[[bytes], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a parser did that it must not."""

    what: str
    where: str
    data: bytes


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a run.

    Attributes:
        refused: how many inputs ended in which HubmemError.
        slowest: CPU seconds of one input.
        growth: bytes by which the process grew while it read inputs.
    """

    target: str
    tried: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    pool: int = 0
    slowest: float = 0.0
    growth: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)


def run(target: Target, *, seconds: float, seed: int, most: int | None = None) -> Outcome:
    """Try a parser on its corpus and then on mutations, for that long or that many inputs.

    Of few inputs, half are from the corpus.
    """
    random = Random(seed)
    outcome = Outcome(target=target.name)
    # What is right, and what is wrong in a way of its own.
    sound: list[bytes] = []
    broken: list[bytes] = []
    said: set[str] = set()
    until = time.monotonic() + seconds
    start = peak_bytes()
    corpus = list(target.corpus())
    seeds = corpus if most is None else random.sample(corpus, min(len(corpus), most // 2))
    for data in _inputs(random, target.mutate, seeds, sound, broken):
        if time.monotonic() > until or (most is not None and outcome.tried >= most):
            break
        saying = _try(target, data, outcome)
        parents = sound if saying == _ANSWERED else broken
        if (parents is sound or saying not in said) and len(parents) < _LARGEST_POOL:
            parents.append(data)
        said.add(saying)
    outcome.pool = len(sound) + len(broken)
    outcome.growth = peak_bytes() - start
    return outcome


def _inputs(
    random: Random, mutate: Mutate, seeds: Sequence[bytes], sound: list[bytes], broken: list[bytes]
) -> Iterator[bytes]:
    """The seeds, then mutations: of sound parents mostly, because what is broken is refused early."""
    yield from seeds
    while True:
        pool = sound if sound and (not broken or random.random() < 0.8) else broken
        yield mutate(random, random.choice(pool), pool)


def _try(target: Target, data: bytes, outcome: Outcome) -> str:
    """Read one input; what is said of it, without its numbers and names."""
    outcome.tried += 1
    began, peak = time.process_time(), peak_bytes()
    try:
        with limited(MOST_CPU_SECONDS):
            target.read(data)
        saying = _ANSWERED
        outcome.answered += 1
    except HubmemError as error:
        saying = _refusal(error, data, outcome)
    except (Exception, TooSlow) as error:  # noqa: BLE001 - anything else is what is looked for
        saying = _found(error, data, outcome)
    outcome.slowest = max(outcome.slowest, time.process_time() - began)
    if peak_bytes() - peak > MOST_GROWTH_BYTES:
        _keep(f"growth: {(peak_bytes() - peak) // 2**20} MiB", "memory", data, outcome)
    return saying


def _refusal(error: HubmemError, data: bytes, outcome: Outcome) -> str:
    message = str(error)
    outcome.refused[type(error).__name__] += 1
    if len(message) > LONGEST_MESSAGE:
        _keep(
            f"a long message: {len(message):,} characters",
            f"{type(error).__name__}: {message[:80]}",
            data,
            outcome,
        )
    return re.sub(r"'.*'|\d+", "", message)[:80]


def _found(error: BaseException, data: bytes, outcome: Outcome) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/hubmem/" in frame.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rpartition('/hubmem/')[2]}:{last.lineno} {last.name}"
    _keep(f"{type(error).__name__}: {str(error)[:150]}", where, data, outcome)
    return f"{type(error).__name__} {where}"


def _keep(what: str, where: str, data: bytes, outcome: Outcome) -> None:
    """The shortest input of each kind of finding."""
    key = f"{what.partition(':')[0]} {where}"
    known = outcome.findings.get(key)
    if known is None or len(data) < len(known.data):
        outcome.findings[key] = Finding(what=what, where=where, data=data)


@contextmanager
def limited(cpu_seconds: float) -> Iterator[None]:
    """Interrupt what takes more CPU time."""

    def interrupt(*_: object) -> None:
        raise TooSlow(f"more than {cpu_seconds:g} s of CPU time")

    previous = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)


def peak_bytes() -> int:
    """The most memory this process has held; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
