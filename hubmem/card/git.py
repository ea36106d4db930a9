"""What git knows of a card: which repo of the Hub its folder is a clone of, and how the folder was before."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_REMOTE = re.compile(r"remote\.(?P<name>.*)\.url (?P<url>.*)")
# https://huggingface.co/owner/name, with or without a user before the host; git@hf.co:owner/name.
_HUB_URL = re.compile(
    r"(?:https?://(?:[^@/]+@)?|ssh://git@|git@)(?:huggingface\.co|hf\.co)[:/](?P<repo>[\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
_NOT_MODELS = ("datasets/", "spaces/")
_SECONDS = 60
# Checkpoints lie in git only as pointers or as files GitHub accepts, which end at 100 MiB.
_LARGEST_BLOB = 100 * 2**20
_TREE_ENTRY = re.compile(rb"(?P<mode>\d+) blob (?P<id>[0-9a-f]+) +(?P<size>\d+)\t(?P<name>[^/]+)")
_SYMBOLIC_LINK = b"120000"


def hub_remote(folder: Path) -> str | None:
    """The model repo on the Hub that a folder is a clone of, by its remotes; `origin` first.

    Only the clone's own folder counts: a README further down is not the repo's card.
    """
    if not (folder / ".git").exists():
        return None
    urls = _git(folder, "config", "--get-regexp", r"^remote\..*\.url$").decode(errors="replace")
    remotes = [remote for line in urls.splitlines() if (remote := _REMOTE.fullmatch(line))]
    found = [(remote["name"], repo) for remote in remotes if (repo := hub_repo(remote["url"]))]
    return min(found, key=lambda each: each[0] != "origin", default=("", None))[1]


def hub_repo(url: str) -> str | None:
    """The model repo a git URL is of, or None for other hosts, datasets and Spaces.

    >>> hub_repo("https://user:hf_x@huggingface.co/org/name"), hub_repo("git@hf.co:org/name.git")
    ('org/name', 'org/name')
    >>> hub_repo("https://huggingface.co/datasets/org"), hub_repo("https://github.com/org/name")
    (None, None)
    """
    match = _HUB_URL.fullmatch(url.strip())
    return match["repo"] if match and not match["repo"].startswith(_NOT_MODELS) else None


@contextmanager
def folder_before(folder: Path, commit: str) -> Iterator[Path | None]:
    """The files right in a folder as a commit has them, in a temporary place; None where git cannot tell.

    A shallow clone may not have the commit: it is fetched where that takes no password.
    """
    if not _has(folder, commit):
        _git(folder, "fetch", "--quiet", "--no-tags", "--depth=1", "origin", commit)
    with TemporaryDirectory(prefix="hubmem-") as name:
        yield Path(name) if _has(folder, commit) and _write_tree(folder, commit, Path(name)) else None


def _has(folder: Path, commit: str) -> bool:
    return bool(_git(folder, "cat-file", "-t", commit))


def _write_tree(folder: Path, commit: str, target: Path) -> bool:
    """Write the regular files of a commit's folder; whether there are any."""
    entries = [
        entry
        for line in _git(folder, "ls-tree", "-l", "-z", commit).split(b"\0")
        if (entry := _TREE_ENTRY.fullmatch(line))
        if entry["mode"] != _SYMBOLIC_LINK and int(entry["size"]) <= _LARGEST_BLOB
    ]
    for entry in entries:
        blob = _git(folder, "cat-file", "blob", entry["id"].decode())
        (target / entry["name"].decode(errors="surrogateescape")).write_bytes(blob)
    return bool(entries)


def _git(folder: Path, *arguments: str) -> bytes:
    """What git prints; nothing where it fails or is not installed."""
    try:
        done = subprocess.run(  # noqa: S603 - git, with arguments of this module and commit ids
            ["git", "-c", "core.askPass=", "-c", "credential.interactive=false", *arguments],  # noqa: S607 - the user's git
            cwd=folder,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
