"""Where plans are made, by a name on the command line."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from hubmem.errors import UsageError

_DASK = "dask://"
_HINT = "Known: threads, processes, processes:4, dask://HOST:8786."


@contextmanager
def open_executor(name: str) -> Iterator[Executor | None]:
    """The executor of a name; None for the threads that read.

    Raises:
        UsageError: no such executor, or what it needs is not installed or not there.
    """
    kind, _, count = name.partition(":")
    if name == "threads":
        yield None
    elif kind == "processes" and (not count or count.isdecimal()):
        yield from _processes(int(count or os.cpu_count() or 1))
    elif name.startswith(_DASK):
        yield from _dask(name.removeprefix(_DASK))
    else:
        raise UsageError(f"Unknown executor {name!r}.", hint=_HINT)


def _processes(workers: int) -> Iterator[Executor]:
    # Not forked: this process has threads, whose locks a fork would copy in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=max(1, workers), mp_context=spawn) as executor:
        yield executor


def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise UsageError("Dask is not installed.", hint="pip install 'hubmem[dask]'") from error
    try:
        client = Client(f"tcp://{address}", timeout=10)
    except OSError as error:
        raise UsageError(f"No Dask scheduler answers at {address}: {error}.") from error
    with client:
        yield client.get_executor(pure=False)
