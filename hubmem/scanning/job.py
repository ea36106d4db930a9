"""A whole scan as one value, and how it is carried out: from what a user names to a store of answers."""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hubmem.errors import UsageError
from hubmem.hub.opening import Access, open_transport
from hubmem.request import Request
from hubmem.scanning import forecast
from hubmem.scanning.executors import open_executor
from hubmem.scanning.fingerprint import fingerprint
from hubmem.scanning.lines import InOrder, WriteLine, open_lines
from hubmem.scanning.listing import PAGE_SIZE, Candidate, Search, listed, with_heads
from hubmem.scanning.naming import count, is_list, named
from hubmem.scanning.pace import QuotaPacer
from hubmem.scanning.query import select, store_beside
from hubmem.scanning.run import result_of, run
from hubmem.scanning.scan import THREADS, Planning, Reading, begin_reading
from hubmem.scanning.store import Result, Store, held

_DEVICES = frozenset({Path("/dev"), Path("/proc")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A scan as it is asked for.

    Attributes:
        names: repos, files of repos, `-` for standard input.
        search: models of the Hub's list, or None.
        output: a file for the answers, beside which the store is kept; None for a store of this run alone.
        lines: whether the answers are written as lines of JSON while the scan runs.
        ordered: whether those come in the order the repos were asked for.
        by_counts: whether the counts in the Hub's list are enough, so that no file is read.
        refresh: whether repos that have moved since they were stored are read again.
        executor: a name as `hubmem.scanning.executors` takes it.
    """

    names: tuple[str, ...]
    search: Search | None
    request: Request
    output: Path | None
    lines: bool = True
    ordered: bool = False
    by_counts: bool = False
    refresh: bool = False
    executor: str = "threads"
    threads: int = THREADS

    @property
    def fingerprint(self) -> str:
        """What is asked of every repo, as a store keeps it."""
        return fingerprint(self.request, by_counts=self.by_counts)

    def check(self) -> None:
        """Refuse what cannot be carried out before anything is touched.

        Raises:
            UsageError: it says why.
        """
        if not self.names and self.search is None:
            raise UsageError("Nothing to scan.", hint="Name repos, a file of them, or --author, --search …")
        if self.by_counts and (self.names or self.search is None):
            raise UsageError(
                "--counts is for the Hub's list.", hint="Use --author, --search, --filter or --sort."
            )
        named(self.names)
        if self.output:
            self._check_output(self.output)

    def _check_output(self, output: Path) -> None:
        if not output.absolute().parent.is_dir():
            raise UsageError(f"No folder {output.parent} to write {output.name} to.")
        written = [path for path in (output, self.store) if path and path.exists()]
        for name in filter(is_list, self.names):
            if any(path.samefile(name) for path in written):
                raise UsageError(f"{name} is both read and written.", hint="Name another file with --output.")

    def total(self) -> int | None:
        """How many repos it is about at most, where that can be told beforehand.

        Raises:
            UsageError: a file of repos is missing or cannot be read.
        """
        names = count(self.names)
        listed = self.search.limit if self.search else 0
        return None if names is None or listed is None else names + listed

    @property
    def store(self) -> Path | None:
        """Where the answers are kept beyond this run, or None: beside `/dev/stdout` is no place for a file."""
        if self.output is None or not _DEVICES.isdisjoint(self.output.absolute().parents):
            return None
        return store_beside(self.output)


@contextmanager
def carried_out(
    job: Job,
    access: Access,
    *,
    pacer: QuotaPacer,
    write_line: WriteLine,
    tell: Callable[[Result], None],
) -> Iterator[Store]:
    """Run a scan to its end, then lend its store.

    Args:
        job: the scan.
        access: how the Hub may be read.
        pacer: keeps the Hub's quotas.
        write_line: where lines go that go to no file.
        tell: called with each answer.

    Raises:
        HubmemError: the scan cannot begin or cannot go on; what was answered is kept.
    """
    job.check()
    with ExitStack() as stack:
        path = job.store or stack.enter_context(_passing_store())
        stack.enter_context(held(path))
        store = Store(path, request=job.fingerprint, warn=access.warn)
        stack.enter_context(closing(store))
        with ExitStack() as running:
            executor = running.enter_context(open_executor(job.executor))
            reading = running.enter_context(begin_reading(access, threads=job.threads, pacer=pacer))
            write = running.enter_context(_writer(job, store, access.warn, write_line))
            run(
                _candidates(job, reading, store),
                store=store,
                reading=reading,
                planning=Planning(request=job.request, executor=executor, then=result_of),
                refresh=job.refresh,
                listeners=(write, tell),
            )
        yield store


def _candidates(job: Job, reading: Reading, store: Store) -> Iterator[Candidate]:
    transport = open_transport(reading.session, reading.access)
    names = named(job.names)
    if job.refresh:
        known = with_heads(names, transport, lambda repo: store.find(repo) is not None)
    else:
        known = (Candidate(repo=repo) for repo in names)
    if job.search is None:
        return known
    return chain(known, listed(transport, job.search, by_counts=job.by_counts))


@contextmanager
def _writer(
    job: Job, store: Store, warn: Callable[[str], None], write_line: WriteLine
) -> Iterator[Callable[[Result], None]]:
    """What is done with each answer as it comes: lines of JSON, or nothing."""
    with ExitStack() as stack:
        if not job.lines:
            yield lambda _: None
            return
        if job.output:
            write_line = stack.enter_context(open_lines(job.output, warn=warn))
        yield InOrder(store, write_line) if job.ordered else lambda result: write_line(result.value)


@contextmanager
def _passing_store() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hubmem-") as folder:
        yield Path(folder) / "scan.sqlite"


def forecast_lines(job: Job) -> Iterator[str]:
    """What a scan will ask of the Hub and how long that takes, in lines; asks nothing.

    Raises:
        UsageError: the job cannot be carried out.
    """
    job.check()
    repos, pages = _unread(job), 0
    if job.search:
        listed = job.search.limit or (PAGE_SIZE if job.search.narrows else forecast.WHOLE_HUB)
        pages = math.ceil(listed / PAGE_SIZE)
        yield "Of what the Hub lists, those without weights cost nothing more; all are counted as not read before."
        if job.search.limit is None:
            yield f"How many it lists is not known: {listed:,} repos are taken for it; --limit takes another number."
        repos += 0 if job.by_counts else listed
    yield from forecast.lines(repos, pages=pages)


def _unread(job: Job) -> int:
    """How many of the named repos have no answer yet that stands."""
    names = set(named(job.names))
    if job.store is None or not job.store.is_file():
        return len(names)
    rows = select(job.store, "SELECT repo FROM results WHERE NOT retryable")
    next(rows)
    return len(names.difference(repo for (repo,) in rows))
