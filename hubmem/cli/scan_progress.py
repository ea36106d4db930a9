"""What a person sees on stderr of a scan: how far it is, what it waits for, and how it ended."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from hubmem.cli.progress import TerminalObserver
from hubmem.hub.source import Exchange
from hubmem.render.text import plain
from hubmem.scanning.forecast import duration
from hubmem.scanning.pace import QuotaPacer
from hubmem.scanning.store import Result, Store
from hubmem.units import format_decimal

_TICK_SECONDS = 1.0
# What is no terminal is a log, where a line now and then is enough.
_LINE_SECONDS = 60.0
_TOO_MANY = 429


class ScanProgress(TerminalObserver):
    """Counts what happens; shows it in a bar where there is one, else in a line now and then."""

    def __init__(self, *, verbose: bool, bar: Any) -> None:
        super().__init__(verbose=verbose)
        self._bar = bar
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._started = time.monotonic()
        self._speaking = threading.Lock()
        self._is_summed_up = False

    def exchanged(self, exchange: Exchange) -> None:
        """Count a request; show it where asked for."""
        super().exchanged(exchange)
        with self._counting:
            self._counts["requests"] += 1
            self._counts["refused"] += exchange.status == _TOO_MANY
            self._counts["nbytes"] += exchange.nbytes

    def progressed(self, done: int, total: int) -> None:
        """Nothing: the headers of one repo among many."""

    def tell(self, result: Result) -> None:
        """The store has a further answer."""
        self._counts["answers"] += 1
        self._counts["skipped"] += not result.is_report
        if self._bar is not None:
            self._bar.update()

    def warn(self, message: str) -> None:
        """Say what does not stop the scan."""
        if self._bar is not None:
            self._bar.clear()
        click.echo(f"hubmem: {plain(message)}", err=True)

    def tick(self, pacer: QuotaPacer) -> None:
        """Show how far it is, how many were skipped, and what requests wait for."""
        parts = [f"{self._counts['skipped']:,} skipped"] if self._counts["skipped"] else []
        if waiting := pacer.waiting:
            bucket, seconds = waiting
            parts.append(f"Hub quota ({bucket}): {duration(seconds)}")
        with self._speaking:
            if self._is_summed_up:
                return
            if self._bar is not None:
                self._bar.set_postfix_str(", ".join(parts))
            else:
                rate = self.answers / max(self._seconds, 1.0)
                self.warn(", ".join([f"{self.answers:,} repos, {rate:.1f} repos/s", *parts]))

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def answers(self) -> int:
        """How many the store has been told of."""
        return self._counts["answers"]

    def summarize(self, store: Store) -> None:
        """How it ended: how many, at what cost, and why some were passed over; the last word."""
        with self._speaking:
            self._is_summed_up = True
        counts = self._counts
        refused = f", {counts['refused']:,} refused" if counts["refused"] else ""
        self.warn(
            f"{counts['answers'] - counts['skipped']:,} reported, {counts['skipped']:,} skipped · "
            f"{counts['requests']:,} requests{refused}, {format_decimal(counts['nbytes'])} · "
            f"{duration(self._seconds)}"
        )
        for reason, number, hint in store.skips():
            click.echo(f"  {reason:<20}{number:>9,}  {plain(hint)}", err=True)


@contextmanager
def show_progress(
    *, verbose: bool, pacer: QuotaPacer, total: int | None, kept: str
) -> Iterator[ScanProgress]:
    """A bar while the scan runs, or lines where there is no terminal; where it ends early, what it has kept.

    Args:
        verbose: whether requests are shown instead of the bar.
        pacer: tells what is waited for.
        total: how many repos there will be, or None.
        kept: the file answers are kept in, or "".
    """
    bar = _bar(total) if sys.stderr.isatty() and not verbose else None
    progress = ScanProgress(verbose=verbose, bar=bar)
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(_LINE_SECONDS if bar is None else _TICK_SECONDS):
            progress.tick(pacer)

    threading.Thread(target=tick, daemon=True).start()
    try:
        yield progress
    except BaseException:
        if kept and progress.answers:
            progress.warn(f"{progress.answers:,} answers are kept in {kept}.")
        raise
    finally:
        ended.set()
        if bar is not None:
            bar.close()


def _bar(total: int | None) -> Any:
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    return tqdm(total=total, unit=" repos", file=sys.stderr, dynamic_ncols=True)
