"""git, as somebody whose branches begin at main."""

import subprocess
from pathlib import Path

_IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")


def run(folder: Path, *arguments: str) -> str:
    """What git prints in a folder."""
    command = ["git", *_IDENTITY, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def commit(folder: Path) -> str:
    """Commit everything in a folder, a repository from now on; the commit's hash."""
    run(folder, "init", "-q")
    run(folder, "add", "--all")
    run(folder, "commit", "-q", "--allow-empty", "-m", "a commit")
    return run(folder, "rev-parse", "HEAD").strip()
