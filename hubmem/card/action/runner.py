"""The runner of a GitHub job: what it tells a step, and the files and lines a step tells it things by.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

import json
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import click

Level = Literal["error", "warning", "notice"]

# The runner shows ten annotations of a level a step and drops the others without a word.
_ANNOTATIONS = 10
# A summary over 1 MiB is dropped as a whole.
_LARGEST_SUMMARY = 2**20
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """The pull request a job runs for.

    Attributes:
        base: the commit it would change.
        from_fork: whether its branch is in another repository: its jobs get no secrets, and a token that only
            reads.
    """

    number: int
    base: str
    from_fork: bool


@dataclass(frozen=True, slots=True)
class Runner:
    """The runner, as a step sees it in its environment variables."""

    environment: Mapping[str, str]
    _shown: Counter[Level] = field(default_factory=Counter)

    @property
    def workspace(self) -> Path:
        """Where the repository is checked out."""
        return Path(self.environment.get("GITHUB_WORKSPACE") or Path.cwd())

    @property
    def pull_request(self) -> PullRequest | None:
        """The pull request of a `pull_request` event; None for any other event."""
        if self.environment.get("GITHUB_EVENT_NAME") != "pull_request":
            return None
        try:
            event: dict[str, Any] = json.loads(Path(self.environment["GITHUB_EVENT_PATH"]).read_text("utf-8"))
            about = event["pull_request"]
            head, base = about["head"], about["base"]
            # The repository of a branch whose fork was deleted is null.
            from_fork = (head["repo"] or {}).get("full_name") != base["repo"]["full_name"]
            found = PullRequest(number=int(about["number"]), base=str(base["sha"]), from_fork=from_fork)
        except (KeyError, TypeError, ValueError, OSError):
            return None
        return found if _COMMIT.fullmatch(found.base) else None

    def annotate(self, level: Level, message: str, *, file: str = "", line: int = 0, title: str = "") -> None:
        """Show a message at a line of a file; beyond ten of a level, in the log alone."""
        self._shown[level] += 1
        if self._shown[level] > _ANNOTATIONS:
            self.show(f"{level}: {file}: {message}")
            return
        properties = {"file": file, "line": str(line) if line else "", "title": title}
        written = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
        click.echo(f"::{level} {written}::{_data(message)}")

    def show(self, text: str) -> None:
        """Text for the log that may come from a card: no line of it is taken for a command."""
        token = secrets.token_hex(16)
        click.echo(f"::stop-commands::{token}\n{text}\n::{token}::")

    def output(self, name: str, value: str) -> None:
        """Set an output of the step."""
        delimiter = secrets.token_hex(16)
        self._append("GITHUB_OUTPUT", f"{name}<<{delimiter}\n{value}\n{delimiter}\n")

    def summarize(self, markdown: str) -> None:
        """Add to the job's summary."""
        self._append("GITHUB_STEP_SUMMARY", shorten(markdown, _LARGEST_SUMMARY) + "\n")

    def _append(self, variable: str, text: str) -> None:
        path = self.environment.get(variable)
        if path:
            with Path(path).open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(text)


def shorten(markdown: str, most_bytes: int) -> str:
    """The Markdown, cut at a line where it takes more bytes, with a word about it."""
    encoded = markdown.encode()
    if len(encoded) < most_bytes:
        return markdown
    note = "\n\n… and more, which GitHub has no room for here."
    kept = encoded[: most_bytes - len(note.encode()) - 1].decode(errors="ignore")
    return kept.rpartition("\n")[0] + note


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
