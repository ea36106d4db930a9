"""A job as the Action sees it: a workspace with a git repository, an event, and the runner's files."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubmem.card.action.run import run
from hubmem.card.action.runner import Runner
from hubmem.cli.output import write_atomically

from tests import git

NAMED = '# Title\n\n<!-- hubmem:start repo="org/small" -->\n<!-- hubmem:end -->\n'


@dataclass(slots=True)
class Job:
    """One step, to be run as often as a test likes.

    Attributes:
        inputs: of action.yml, by their names there.
    """

    workspace: Path
    files: Path
    inputs: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: Path) -> "Job":
        workspace, files = folder / "workspace", folder / "runner"
        for each in (workspace, files):
            each.mkdir()
        git.run(workspace, "init", "-q")
        return cls(workspace=workspace, files=files)

    def commit(self) -> str:
        return git.commit(self.workspace)

    def card(self, text: str, name: str = "README.md") -> Path:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pull_request(self, base: str, *, head: str = "org/project", api: str = "") -> None:
        """Run for a pull request, from a branch of the same repository unless another is named."""
        event = {
            "pull_request": {
                "number": 7,
                "head": {"repo": {"full_name": head} if head else None},
                "base": {"sha": base, "repo": {"full_name": "org/project"}},
            }
        }
        path = self.files / "event.json"
        path.write_text(json.dumps(event))
        self.environment |= {
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_REPOSITORY": "org/project",
            "GITHUB_API_URL": api,
        }

    def run(self, **inputs: str) -> int:
        """Run the step; a second run begins with empty files."""
        return run(Runner(self.begin_step(inputs)), write_atomically)

    def process(self, **inputs: str) -> "subprocess.CompletedProcess[str]":
        """Run the step as action.yml does, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "hubmem.cli.action"],
            env={**os.environ, **self.begin_step(inputs)},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def begin_step(self, inputs: dict[str, str]) -> dict[str, str]:
        """What a step with these inputs is told in its environment, and the empty files it may write."""
        for path in (self.files / "output", self.files / "summary"):
            path.write_text("")
        return {
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(self.files / "output"),
            "GITHUB_STEP_SUMMARY": str(self.files / "summary"),
            **self.environment,
            **{f"HUBMEM_{name.upper()}": value for name, value in {**self.inputs, **inputs}.items()},
        }

    @property
    def summary(self) -> str:
        return (self.files / "summary").read_text(encoding="utf-8")

    @property
    def outputs(self) -> dict[str, str]:
        text = (self.files / "output").read_text(encoding="utf-8")
        found = re.findall(r"^(\w+)<<(\w+)\n(.*?)\n\2$", text, flags=re.MULTILINE | re.DOTALL)
        return {name: value for name, _, value in found}

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.outputs["json"])
        return value
