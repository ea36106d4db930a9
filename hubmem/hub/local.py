"""A checkpoint in a folder, or in huggingface_hub's own cache of downloaded repos."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open

from hubmem.errors import MalformedWeights, NoWeights, UnreadableRepo
from hubmem.hub.source import DEFAULT_REVISION, Cost, FileEntry, HeadRequest, Listing, Origin

# A checkpoint folder is flat or nearly so; a home directory given by mistake is neither.
_DEEPEST = 4
_MOST_FILES = 20_000
_LARGEST_TEXT = 256 * 2**20


class LocalSource:
    """A folder that holds a model.

    Args:
        folder: the checkpoint.
        repo, commit, origin: what it stands for, where it is a downloaded snapshot of a repo.
    """

    contents = None
    cost = Cost()

    def __init__(
        self,
        folder: Path,
        *,
        repo: str | None = None,
        commit: str | None = None,
        origin: Origin = Origin.LOCAL,
    ) -> None:
        self._folder = folder
        self._repo = repo or str(folder)
        self._commit = commit
        self._origin = origin

    def listing(self) -> Listing:
        """The files below the folder, by their sizes, as they were when first asked for."""
        return self._listing

    @cached_property
    def _listing(self) -> Listing:
        return Listing(
            repo=self._repo,
            revision=None,
            commit=self._commit,
            gated=None,
            origin=self._origin,
            files={path: FileEntry(nbytes=nbytes) for path, nbytes in self._walk(self._folder, "", 0)},
        )

    def text(self, path: str) -> str | None:
        """A small file of the folder."""
        file = self._folder / path
        if not file.is_file():
            return None
        if file.stat().st_size > _LARGEST_TEXT:
            raise UnreadableRepo(
                f"{file} is larger than {_LARGEST_TEXT:,} bytes, the most that is read of a text."
            )
        try:
            return file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableRepo(f"{file} cannot be read: {error}.") from error

    def heads(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        """The first bytes of several files; a safetensors file is first put before the format's own library."""
        return [self._head(request) for request in requests]

    def shard_headers(self, index: str) -> bytes | None:  # noqa: ARG002 - the protocol's signature
        """None: files at hand are read themselves."""
        return None

    def _walk(self, folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise UnreadableRepo(f"{folder} cannot be listed: {error.strerror}.") from error
        if len(entries) > _MOST_FILES:
            raise NoWeights(f"{folder} holds {len(entries):,} files: not a checkpoint.")
        for entry in entries:
            if entry.is_file():
                yield prefix + entry.name, entry.stat().st_size
            elif entry.is_dir() and not entry.name.startswith(".") and depth < _DEEPEST:
                yield from self._walk(Path(entry.path), f"{prefix}{entry.name}/", depth + 1)

    def _head(self, request: HeadRequest) -> bytes:
        file = self._folder / request.path
        if not file.is_file():
            raise MalformedWeights(request.path, f"named by the index, but not in {self._folder}.")
        if request.path.endswith(".safetensors"):
            _refuse_damaged(file, request.path)
        head = b""
        with file.open("rb") as stream:
            wanted = request.first
            while len(head) < wanted and (more := stream.read(wanted - len(head))):
                head += more
                wanted = request.needed(head)
        return head


def _refuse_damaged(file: Path, path: str) -> None:
    """Open a file with the safetensors library, which checks its header against its length.

    Raises:
        MalformedWeights: truncated, or not a safetensors file.
    """
    try:
        with safe_open(file, framework="np"):
            pass
    except SafetensorError as error:
        raise MalformedWeights(path, f"refused by the safetensors library: {error}") from error
    except ModuleNotFoundError:
        # The library checks the file first and then imports numpy to hand out arrays, which nobody asked for.
        pass


def downloaded(repo: str, revision: str | None) -> LocalSource | None:
    """The repo in huggingface_hub's cache of downloads, or None."""
    from huggingface_hub import constants

    base = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    reference = base / "refs" / (revision or DEFAULT_REVISION)
    commit = revision
    if reference.is_file():
        commit = reference.read_text(encoding="utf-8").strip()
    folder = base / "snapshots" / (commit or "")
    if not commit or not folder.is_dir():
        return None
    return LocalSource(folder, repo=repo, commit=commit, origin=Origin.CACHE)
