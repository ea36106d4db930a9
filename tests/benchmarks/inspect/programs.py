"""The programs that take turns, and one measured run of one of them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_HUBMEM = "from hubmem.cli import run; run()"
_GET_METADATA = "import sys, huggingface_hub as hub; hub.get_safetensors_metadata(sys.argv[1])"
# Not the token, cache or offline mode of whoever runs this, nor requests that are not the program's own.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""),
    "PYTHONPATH": str(_ROOT),
    "NO_PROXY": "127.0.0.1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_XET": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process from start to end.

    Attributes:
        cpu_seconds: user and system time of all its threads.
        peak_bytes: the largest resident set.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command line; `{endpoint}` and `{repo}` in it are filled in."""

    name: str
    command: tuple[str, ...]

    def run(self, *, endpoint: str, repo: str, home: Path) -> Run:
        """Run it with a Hugging Face home.

        Raises:
            RuntimeError: it failed.
        """
        command = [part.format(endpoint=endpoint, repo=repo) for part in self.command]
        environment = {**ENVIRONMENT, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
        return _measured(command, environment)


def _measured(command: list[str], environment: Mapping[str, str]) -> Run:
    meter = [sys.executable, "-I", "-S", str(_HERE / "meter.py")]
    done = subprocess.run([*meter, *command], env=environment, capture_output=True, text=True, check=True)
    output, _, figures = done.stdout.rstrip().rpartition("\n")
    wall, cpu, peak, code = figures.split()
    if code != "0":
        raise RuntimeError(f"{' '.join(command)} exited with {code}:\n{done.stderr}")
    return Run(wall_seconds=float(wall), cpu_seconds=float(cpu), peak_bytes=int(peak), output=output)


HUBMEM = Program(name="hubmem", command=(sys.executable, "-c", _HUBMEM, "{repo}"))
HUBMEM_HELP = Program(name="hubmem --help", command=(sys.executable, "-c", _HUBMEM, "--help"))
IMPORT_CLICK = Program(name="import click", command=(sys.executable, "-c", "import click"))
HUGGINGFACE_HUB = Program(
    name="get_safetensors_metadata", command=(sys.executable, "-c", _GET_METADATA, "{repo}")
)


def hf_mem(python: str) -> Program:
    """hf-mem as installed beside an interpreter."""
    launcher = str(_HERE / "hf_mem_at.py")
    return Program(name="hf-mem", command=(python, "-I", launcher, "{endpoint}", "--model-id", "{repo}"))


def lower_bound(way: str) -> Program:
    """The fewest exchanges, by one of the ways of `lower_bound.py`."""
    script = str(_HERE / "lower_bound.py")
    return Program(
        name="lower bound", command=(sys.executable, "-I", "-S", script, "{endpoint}", way, "{repo}")
    )


def has_hf_mem(python: str) -> bool:
    """Whether that interpreter can import hf-mem."""
    return subprocess.run([python, "-c", "import hf_mem"], capture_output=True, check=False).returncode == 0
