"""The weight files beside a card: as they are, or as git-lfs pointers to what the Hub has too."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from hubmem.errors import NoWeights, UnreadableRepo
from hubmem.hub.local import LocalSource
from hubmem.hub.opening import Access, Opened, open_hub
from hubmem.hub.source import ContentStore, Cost, FileEntry, HeadRequest, Listing, Source
from hubmem.weights import layout

# What a clone without git-lfs has in the place of a large file.
# Source: https://github.com/git-lfs/git-lfs/blob/v3.7.0/docs/spec.md
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]+\n)*?"
    rb"oid sha256:(?P<sha256>[0-9a-f]{64})\nsize (?P<size>\d+)\n"
)
_LARGEST_POINTER = 1024
# A folder with a file of these kinds may be a checkpoint; a data.bin or a plan.pt alone makes none.
_WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json", "*.gguf", "pytorch_model*.bin")


def has_weights(folder: Path) -> bool:
    """Whether the files right in a folder are a model's weights."""
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHT_FILES):
        return False
    try:
        layout.choose(path.name for path in folder.iterdir() if path.is_file())
    except NoWeights:
        return False
    return True


def open_checkout(folder: Path, *, root: Path, repo: str | None, access: Access) -> Opened:
    """The checkpoint in a card's folder.

    Args:
        folder: where the card lies.
        root: of the workspace; a file that a link leads to outside of it is refused.
        repo: where the Hub has the contents of pointer files, or None where that is not known.
        access: with a session, whose cache may hold the headers of pointer files already.
    """
    started = time.monotonic()
    source = CheckoutSource(folder, root=root, repo=repo, access=access)
    return Opened(repo=repo or str(folder), access=access, source=source, refusal=None, started=started)


class CheckoutSource:
    """The files right in one folder; what a pointer stands for comes from the cache or from the Hub.

    Args:
        folder, root, repo, access: those of `open_checkout`.
    """

    def __init__(self, folder: Path, *, root: Path, repo: str | None, access: Access) -> None:
        self._folder = folder
        self._root = root.resolve()
        self._repo = repo
        self._access = access
        self._files = LocalSource(folder)
        self._hub: Source | None = None
        self.contents: ContentStore | None = access.session.cache if access.session else None

    @property
    def cost(self) -> Cost:
        """What the Hub was asked for."""
        return self._hub.cost if self._hub else Cost()

    def listing(self) -> Listing:
        """The files of the folder; a pointer by the size and the hash of what it stands for."""
        return self._listing

    def text(self, path: str) -> str | None:
        """A small file of the folder."""
        if path in self._pointers:
            return self._open_hub().text(self._path_on_hub(path))
        return self._files.text(path)

    def heads(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        """The first bytes of several files, those of pointers from the Hub."""
        missing = [request for request in requests if request.path in self._pointers]
        fetched = dict(zip((request.path for request in missing), self._heads_on_hub(missing), strict=True))
        return [
            fetched[request.path] if request.path in fetched else self._files.heads([request])[0]
            for request in requests
        ]

    def shard_headers(self, index: str) -> bytes | None:  # noqa: ARG002 - the protocol's signature
        """None: the Hub's one call is about its own branch, and these files may be ahead of it."""
        return None

    @cached_property
    def _listing(self) -> Listing:
        found = self._files.listing()
        files = {path: entry for path, entry in found.files.items() if "/" not in path}
        for path in files:
            if not (self._folder / path).resolve().is_relative_to(self._root):
                raise UnreadableRepo(f"{path} is a link that leads out of the workspace.")
        return replace(found, files={**files, **self._pointers})

    @cached_property
    def _pointers(self) -> Mapping[str, FileEntry]:
        small = (
            path
            for path in self._folder.iterdir()
            if path.is_file() and path.stat().st_size <= _LARGEST_POINTER
        )
        return {path.name: entry for path in small if (entry := read_pointer(path.read_bytes()))}

    def _open_hub(self) -> Source:
        if self._repo is None:
            raise UnreadableRepo(
                "The weight files are git-lfs pointers, and no repo is named that has their contents.",
                hint="Fetch them with `git lfs pull`, or name the repo.",
            )
        if self._hub is None:
            self._hub = open_hub(self._repo, self._access)
        return self._hub

    def _heads_on_hub(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        if not requests:
            return []
        return self._open_hub().heads(
            [replace(request, path=self._path_on_hub(request.path)) for request in requests]
        )

    def _path_on_hub(self, path: str) -> str:
        """Where the Hub's repo has the contents of a pointer, wherever they lie there."""
        wanted = self._pointers[path].content_id
        for path_there, entry in self._open_hub().listing().files.items():
            if entry.content_id == wanted:
                return path_there
        raise UnreadableRepo(
            f"{path} is a git-lfs pointer, and {self._repo} on the Hub has no file with its contents.",
            hint="Fetch it with `git lfs pull`, or push it to the Hub first.",
        )


def read_pointer(content: bytes) -> FileEntry | None:
    """What a git-lfs pointer stands for, or None for any other file."""
    pointer = _POINTER.fullmatch(content)
    if pointer is None:
        return None
    return FileEntry(nbytes=int(pointer["size"]), content_id=f"sha256:{pointer['sha256'].decode()}")
