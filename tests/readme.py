"""The README's commands and what they print; `python -m tests.readme` writes what they print now into it."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = re.compile(r" *\d+\.\d s$", re.MULTILINE)
# Commands that install or test: other tests and CI run them.
_SET_UP = ("pip ", "python -m venv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A command and the output the README shows for it."""

    command: str
    output: str


def examples(text: str) -> Iterator[Example]:
    """Every `$ command` of a console block with the lines below it."""
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if not command.startswith(_SET_UP):
                yield Example(command=command, output=output)


def run(command: str) -> str:
    """What the command prints on stdout, without a network: bundled snapshots answer."""
    program, *arguments = shlex.split(command)
    assert program == "hubmem", command
    done = subprocess.run(
        [sys.executable, "-m", "hubmem", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        timeout=60,
    )
    assert done.returncode == 0 or ("--check" in arguments and done.returncode == 1), done.stderr
    return done.stdout


def without_times(text: str) -> str:
    """The text without the seconds an answer took, and the spaces that align them."""
    return _SECONDS.sub("", text).rstrip("\n")


def updated(text: str) -> str:
    """The README with the output of every command as it is now."""
    for example in examples(text):
        old = f"$ {example.command}\n{example.output}"
        text = text.replace(old, f"$ {example.command}\n{run(example.command).rstrip()}\n")
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
