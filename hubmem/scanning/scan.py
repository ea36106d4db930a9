"""Many repos, in the order they finish: read in threads, planned where an executor says.

Reading is bound by the Hub's quota, which belongs to a token and not to a machine, so all requests are made
here, by threads that share one pace. Planning is a pure function of what was read: it may run anywhere.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from hubmem.errors import (
    HubUnreachable,
    MalformedConfig,
    MalformedWeights,
    RateLimited,
    TokenRefused,
    UnreadableRepo,
)
from hubmem.hub.opening import Access, Session, open_model, open_session
from hubmem.hub.source import Observer
from hubmem.inspection import assess
from hubmem.report import Report
from hubmem.request import Request
from hubmem.scanning.pace import QuotaPacer, Stopped
from hubmem.scanning.skipped import Skipped, reason_of, skipped
from hubmem.snapshot import Snapshot, take_snapshot

Answer = Report | Skipped
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Read = tuple[str, Snapshot | Skipped]

# Half a second a repo: enough for 30 repos a second, where the largest published plan allows 33.
THREADS = 16
# A task of a cluster costs milliseconds to hand out, so several repos share one.
_REPOS_A_TASK = 8
# So many repos in a row that fail for want of a Hub: it is the Hub, not the repos.
_MOST_FAILURES_IN_A_ROW = 50
_LOOKED_AT_TWICE = (UnreadableRepo, MalformedConfig, MalformedWeights)
_FAILURES_OF_THE_HUB = frozenset(map(reason_of, (HubUnreachable, RateLimited, TokenRefused)))


def scan(
    repos: Iterable[str],
    *,
    executor: Executor | None = None,
    threads: int = THREADS,
    token: str | bool | None = None,
    offline: bool = False,
    bundled: bool = True,
    observer: Observer | None = None,
    warn: Callable[[str], None] | None = None,
    **request: Any,
) -> Generator[Answer, None, None]:
    """Say what each of many models takes, as soon as it is known.

    Args:
        repos: ids, `repo@revision`, or folders; asked for as they are needed, so there may be any number.
        executor: where to plan: processes, a Dask client's. None plans in this process. The Hub is read from
            this process alone, within its quota. The executor is not shut down.
        threads: how many repos are read at once.
        token: for the Hub; None for the one huggingface_hub finds, False for none.
        offline: make no request.
        bundled: whether a bundled snapshot may stand in where the Hub cannot be read.
        observer: told of requests, from threads.
        warn: called with what is wrong, but does not stop the scan; from threads.
        request: what is asked of each, as in `hubmem.inspect`: `gpus`, `context`, `batch`, …

    Returns:
        A `Report` for each repo, or a `Skipped` with its reason, in the order they are finished. Taking the
        next raises HubUnreachable once the Hub has failed many repos in a row; closing it ends the scan.

    Raises:
        UsageError: the request means nothing, whatever the repo.
    """
    planning = Planning(request=Request.of(**request), executor=executor)
    access = Access(
        token=token,
        offline=offline,
        bundled=bundled,
        observer=observer or Observer(),
        warn=warn or (lambda _: None),
    )
    return _scan(repos, access, planning, threads)


def _scan(
    repos: Iterable[str], access: Access, planning: "Planning", threads: int
) -> Generator[Answer, None, None]:
    with begin_reading(access, threads=threads) as reading:
        yield from answers(repos, reading, planning)


def answer_itself(_: str, answer: Answer) -> Answer:
    """The answer, for a planning that makes nothing else of it."""
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What is done with what was read, and where.

    Attributes:
        executor: None for the thread that has read the repo.
        then: makes of a repo's name and its answer what is handed on, at the same place. A function of a
            module: executors in other processes find it by its name.
    """

    request: Request
    executor: Executor | None = None
    then: Callable[[str, Answer], Any] = answer_itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Threads to read repos in, with one cache and one pace between them."""

    access: Access
    session: Session
    threads: int
    pool: Executor
    streak: "_Streak"


@contextmanager
def begin_reading(
    access: Access, *, threads: int = THREADS, pacer: QuotaPacer | None = None
) -> Iterator[Reading]:
    """Make ready to read many repos; on leaving, what waits for its turn is not asked any more."""
    pacer = pacer or QuotaPacer()
    session = open_session(warn=access.warn, pacer=pacer, threads=2 * threads)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="hubmem-scan")
    shared = replace(access, session=session)
    try:
        yield Reading(access=shared, session=session, threads=threads, pool=pool, streak=_Streak())
    finally:
        pacer.stop()
        pool.shutdown(cancel_futures=True)
        session.pool.shutdown(cancel_futures=True)
        session.cache.close()


def answers(repos: Iterable[str], reading: Reading, planning: Planning) -> Iterator[Any]:
    """What `planning.then` makes of each repo's answer, in the order they are finished.

    Raises:
        HubUnreachable: the Hub has failed many repos in a row.
    """
    size = _REPOS_A_TASK if planning.executor else 1
    tasks = completed(
        lambda batch: reading.pool.submit(_answer_all, batch, reading, planning),
        _batches(repos, size),
        most=2 * reading.threads,
    )
    for task in tasks:
        yield from task


def completed(
    submit: Callable[[_Item], Future[_Result]], items: Iterable[_Item], *, most: int
) -> Iterator[_Result]:
    """Results in the order they are finished; at most so many items are taken before one of them is."""
    pending: set[Future[_Result]] = set()
    for item in items:
        pending.add(submit(item))
        if len(pending) >= most:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


def _answer_all(repos: Sequence[str], reading: Reading, planning: Planning) -> list[Any]:
    read = [(repo, reading.streak.note(_read(repo, reading.access))) for repo in repos]
    return _plan_all(read, planning, reading.access.warn)


def _read(repo: str, access: Access) -> Snapshot | Skipped:
    try:
        return _take_snapshot(repo, access)
    except (Stopped, CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever one repo does, the others are answered
        return skipped(repo, error)


def _take_snapshot(repo: str, access: Access) -> Snapshot:
    """Read a repo; what looks malformed may have been garbled on the way, and is looked at twice."""
    try:
        return take_snapshot(open_model(repo, access))
    except UnreadableRepo as error:
        if type(error) not in _LOOKED_AT_TWICE:
            raise
        return take_snapshot(open_model(repo, access))


def _plan_all(read: Sequence[_Read], planning: Planning, warn: Callable[[str], None]) -> list[Any]:
    """Plan where the planning says; what an executor cannot do, because a worker died of it, is done here."""
    task = (read, planning.request, planning.then)
    if planning.executor is None:
        return plan_all(*task)
    try:
        return planning.executor.submit(plan_all, *task).result()
    except Exception as error:  # noqa: BLE001 - each executor has its own ways to break
        warn(f"The executor failed ({type(error).__name__}: {error}); its repos are planned in this process.")
        return plan_all(*task)


def plan_all(read: Sequence[_Read], request: Request, then: Callable[[str, Answer], Any]) -> list[Any]:
    """Answer a request for each of several snapshots: pure, and all a worker elsewhere has to do."""
    return [_plan(repo, snapshot, request, then) for repo, snapshot in read]


def _plan(repo: str, read: Snapshot | Skipped, request: Request, then: Callable[[str, Answer], Any]) -> Any:
    if isinstance(read, Skipped):
        return then(repo, read)
    try:
        # Some of a report is computed when it is first looked at, so that belongs to the attempt.
        return then(repo, assess(read, request))
    except Exception as error:  # noqa: BLE001 - whatever one repo does, the others are answered
        return then(repo, skipped(repo, error, commit=read.listing.commit))


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """The items by so many.

    >>> list(_batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(slots=True)
class _Streak:
    """How many repos in a row have failed for want of a Hub."""

    length: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, read: Snapshot | Skipped) -> Snapshot | Skipped:
        """Count a failure of the Hub, or start again.

        Raises:
            HubUnreachable: there were too many.
        """
        failed = isinstance(read, Skipped) and read.reason in _FAILURES_OF_THE_HUB
        with self.lock:
            self.length = self.length + 1 if failed else 0
            too_many = self.length >= _MOST_FAILURES_IN_A_ROW
        if isinstance(read, Skipped) and too_many:
            raise HubUnreachable(
                f"The Hub has failed {_MOST_FAILURES_IN_A_ROW} repos in a row, at last with: {read.message}",
                hint="What is done is kept: run the same command again when the Hub answers.",
            )
        return read
