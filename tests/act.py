"""Workflows with the Action, executed on this machine by nektos/act in host mode: no Docker and no network.

act runs a job's steps as this process's user, in a copy of a committed repository that a checkout step makes.
The one action from elsewhere that action.yml uses, setup-uv, is a stand-in here, and so is uv: both would
download.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hubmem

from tests import git

ROOT = Path(__file__).parents[1]
_SETUP_UV = re.compile(r"uses: (astral-sh/setup-uv@[0-9a-f]{40})")
_STAND_IN = """\
name: setup-uv
description: stands in for setup-uv
inputs:
  enable-cache:
    description: as in the real one
runs:
  using: composite
  steps:
    - shell: bash
      run: command -v uv
"""
# What action.yml asks of uv: the locked environment, which is this one, and Python in it.
_UV = """\
#!/bin/bash
case "$1" in
  sync) exec test -f pyproject.toml ;;
  run) shift 3; exec "{python}" "$@" ;;
esac
exit 64
"""


def tool(name: str) -> str:
    """A program that the `test` extra puts beside this Python, or one on the path.

    Raises:
        FileNotFoundError: it is not installed.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: pip install -e '.[test]'")
    return found


@dataclass(slots=True)
class Act:
    """A repository with the Action in it, and the machine that runs its workflows."""

    repository: Path
    machine: Path
    environment: dict[str, str] = field(default_factory=dict)
    published: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: Path) -> "Act":
        """The installed package beside the checkout's action.yml, and the stand-ins."""
        act = cls(repository=folder / "repository", machine=folder / "machine")
        shutil.copytree(
            Path(hubmem.__file__).parent,
            act.repository / "hubmem",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for name in ("action.yml", "pyproject.toml"):
            shutil.copy(ROOT / name, act.repository / name)
        stand_in, programs = act.machine / "setup-uv", act.machine / "bin"
        for each in (stand_in, programs):
            each.mkdir(parents=True)
        (stand_in / "action.yml").write_text(_STAND_IN)
        (programs / "uv").write_text(_UV.format(python=sys.executable))
        (programs / "uv").chmod(0o755)
        git.commit(stand_in)
        return act

    def publish(self, place: str) -> None:
        """Move the Action out of the repository, to be fetched from `OWNER/NAME@REF` as another repository's."""
        folder = self.machine / "published"
        folder.mkdir()
        for path in list(self.repository.iterdir()):
            shutil.move(path, folder)
        git.commit(folder)
        self.published[place] = folder

    def workflow(self, text: str, name: str = "workflow.yml") -> None:
        """The only workflow of the repository."""
        folder = self.repository / ".github" / "workflows"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / name).write_text(text)

    def run(self, event: str = "push", payload: dict[str, Any] | None = None, *, job: str = "") -> "Ran":
        """Commit what is in the repository, and run its workflow."""
        committed = git.commit(self.repository)
        event_file = self.machine / "event.json"
        event_file.write_text(json.dumps(payload or {}))
        command = [
            tool("act"), event,
            "--platform", "ubuntu-latest=-self-hosted",
            "--no-cache-server",
            "--eventpath", str(event_file),
            *self._local_repositories(),
            *(["--job", job] if job else []),
            *(word for name, value in self.environment.items() for word in ("--env", f"{name}={value}")),
        ]  # fmt: skip
        done = subprocess.run(
            command,
            cwd=self.repository,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            env={
                "HOME": str(self.machine),
                "XDG_CACHE_HOME": str(self.machine / "cache"),
                "PATH": os.pathsep.join([str(self.machine / "bin"), os.environ["PATH"]]),
            },
        )
        return Ran(succeeded=done.returncode == 0, log=done.stdout + done.stderr, commit=committed)

    def _local_repositories(self) -> list[str]:
        [setup_uv] = _SETUP_UV.findall((ROOT / "action.yml").read_text(encoding="utf-8"))
        places = {setup_uv: self.machine / "setup-uv", **self.published}
        return [
            word for place, folder in places.items() for word in ("--local-repository", f"{place}={folder}")
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a workflow ended, and everything it printed."""

    succeeded: bool
    log: str
    commit: str
