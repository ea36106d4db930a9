"""A terminal in a machine that has never seen hubmem: an empty home, no cache, no token, no other variables."""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import termios
from dataclasses import dataclass, field
from pathlib import Path

from tests.act import tool

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_SECONDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What a command left on the screen, or in the pipes it was given.

    Attributes:
        raw: everything, colours in it.
        code: what it exited with.
    """

    raw: str
    code: int

    @property
    def text(self) -> str:
        """What a person reads."""
        return _COLOUR.sub("", self.raw)

    @property
    def lines(self) -> list[str]:
        """Its lines, without the progress that was written over."""
        return [line.split("\r")[-1].removeprefix("\x1b[K") for line in self.text.splitlines()]

    def row(self, name: str) -> str:
        """The one line that begins with a name."""
        [found] = [line for line in self.lines if line.startswith(f"{name} ")]
        return found


@dataclass(frozen=True, slots=True)
class Terminal:
    """Somebody's terminal, in a folder of theirs."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    columns: int = 100

    def type(self, line: str) -> Screen:
        """Run a command line, both streams on the terminal."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, self.columns, 0, 0))
        with subprocess.Popen(
            _words(line), cwd=self.home, env=self.environment, stdin=slave, stdout=slave, stderr=slave
        ) as process:
            os.close(slave)
            written = _read_all(master)
            code = process.wait(_SECONDS)
        os.close(master)
        return Screen(raw=written.decode().replace("\r\n", "\n"), code=code)

    def pipe(self, line: str) -> tuple[Screen, Screen]:
        """Run a command line with its streams in pipes: what is in each."""
        done = subprocess.run(
            _words(line),
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        return Screen(raw=done.stdout, code=done.returncode), Screen(raw=done.stderr, code=done.returncode)

    def start(self, line: str) -> "subprocess.Popen[str]":
        """Begin a command line, to be interrupted."""
        return subprocess.Popen(
            _words(line),
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """Everything a process of this terminal is told."""
        ours = {
            name: os.environ[name] for name in ("PYTHONPATH", "COVERAGE_PROCESS_CONFIG") if name in os.environ
        }
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **ours,
            **self.variables,
        }


def _words(line: str) -> list[str]:
    program, *arguments = shlex.split(line)
    return [tool(program), *arguments]


def _read_all(descriptor: int) -> bytes:
    """Read a terminal until nobody writes to it any more, which Linux tells as an error."""
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)
