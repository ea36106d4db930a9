"""What a person sees on stderr while headers are fetched."""

import os
import sys
import threading

import click

from hubmem.hub.source import Exchange, Observer
from hubmem.render.text import NARROWEST, Page, plain
from hubmem.units import format_decimal


class TerminalObserver(Observer):
    """Requests, one a line, where asked for; else a progress line, on a terminal only."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._lively = sys.stderr.isatty() and not verbose
        self._shown = False
        self._lock = threading.Lock()

    def exchanged(self, exchange: Exchange) -> None:
        """One line a request: method, status, bytes, time, address without its query."""
        if self._verbose:
            where = plain(exchange.url.split("?")[0])
            cost = f"{format_decimal(exchange.nbytes):>7} {exchange.seconds * 1000:6.0f} ms"
            click.echo(f"{exchange.method} {exchange.status} {cost}  {where}", err=True)

    def progressed(self, done: int, total: int) -> None:
        """A line that is written over and over."""
        if self._lively and total > 1:
            with self._lock:
                self._shown = True
                sys.stderr.write(f"\rreading headers {done}/{total}")
                sys.stderr.flush()

    def finish(self) -> None:
        """Leave a clean line behind."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def warn(message: str) -> None:
    """Say on stderr what does not stop the answer."""
    say(message)


def say(message: str, hint: str = "") -> None:
    """A message on stderr and what to do about it: a line each in a pipe, broken at spaces on a terminal.

    Both may quote a name that a repo gave.
    """
    _print(f"hubmem: {plain(message)}", indent="")
    if hint:
        _print(plain(hint), indent="  ")


def _print(text: str, *, indent: str) -> None:
    lines = [indent + text]
    if sys.stderr.isatty():
        page = Page(width=os.get_terminal_size(sys.stderr.fileno()).columns or NARROWEST)
        lines = page.paragraph(text, first=indent, rest="  ")
    click.echo("\n".join(lines), err=True)
