"""The Hub of the measurements, in a process of its own so that its work is on nobody's account."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.inspect.programs import ENVIRONMENT
from tests.benchmarks.inspect.traffic import Traffic


class Hub:
    """One end of the pipes to `hub_process`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        told = self._read()
        self.endpoint: str = told["endpoint"]
        self.header_nbytes: Mapping[str, int] = told["header_nbytes"]

    def begin(self, *, one_call: bool) -> None:
        """Forget the requests so far, and choose whether all headers may be had in one call."""
        self._ask(one_call)

    def traffic(self) -> Traffic:
        """What was asked since `begin`."""
        return Traffic(**self._ask(None))

    def _ask(self, question: bool | None) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def serving(repos: Sequence[str]) -> Iterator[Hub]:
    """A Hub that serves these repos until the block is left."""
    command = [sys.executable, "-m", "tests.benchmarks.inspect.hub_process", *repos]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Hub(process)
