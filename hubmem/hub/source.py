"""What a place that holds a model can be asked: the one door between hubmem and the world.

A `Source` lists a repo's files once, pinned to a commit, and then reads small files whole and the
first bytes of large ones. It knows nothing about weight formats: how far to read is decided by a
function the format supplies (`HeadRequest.needed`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

Gate = Literal["auto", "manual"] | None
"""How access to a gated repo is granted; None where it is open."""


DEFAULT_REVISION = "main"
"""The branch that is meant where no revision is named."""


class Origin(str, Enum):
    """Where the answer came from."""

    HUB = "hub"
    CACHE = "cache"
    LOCAL = "local"
    BUNDLED = "bundled"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of a repo.

    Attributes:
        nbytes: its size.
        content_id: a name that changes whenever the bytes do (`sha256:…` of a large file, `git:…` of a
            small one), or None where only reading the file could tell.
    """

    nbytes: int
    content_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a repo at one commit.

    Attributes:
        repo: the id as the Hub spells it (a renamed repo has its new name), or a folder's path.
        revision: what was asked for, or None for the default branch.
        commit: 40 hexadecimal digits, or None for a folder.
        published_counts: elements by dtype as the Hub's own API counts them, {} where it does not say.
        weight_files: how many weight files the listing stands for, where it does not name each of them.
    """

    repo: str
    revision: str | None
    commit: str | None
    gated: Gate
    origin: Origin
    files: Mapping[str, FileEntry]
    published_counts: Mapping[str, int] = field(default_factory=dict)
    weight_files: int | None = None

    @property
    def on_default_branch(self) -> bool:
        """Whether the commit is the head of the default branch because nothing else was asked for."""
        return self.revision in (None, DEFAULT_REVISION)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRequest:
    """The first bytes of a file, as far as its format needs them.

    Attributes:
        first: how many bytes to ask for at first.
        needed: from the bytes read so far, how many are needed in all. Asked again after every read,
            until it is satisfied or the file ends.
    """

    path: str
    first: int
    needed: Callable[[bytes], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came back, for `-v` and for the cost of an answer."""

    method: str
    url: str
    status: int
    nbytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an answer cost: requests count every hop of a redirect."""

    requests: int = 0
    bytes_received: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Both together."""
        return Cost(
            requests=self.requests + other.requests, bytes_received=self.bytes_received + other.bytes_received
        )


class Observer:
    """Hears of requests and progress as they happen; the default ignores both. May be called from threads."""

    def exchanged(self, exchange: Exchange) -> None:
        """A request was answered."""

    def progressed(self, done: int, total: int) -> None:
        """That many of the weight headers have been read."""


class ContentStore(Protocol):
    """Derived facts by the content they were derived from; content never changes, so entries never expire."""

    def get(self, content_id: str, kind: str) -> bytes | None:
        """The stored fact, or None."""

    def put(self, content_id: str, kind: str, value: bytes) -> None:
        """Store a fact; losing it later is harmless."""

    def batch(self) -> AbstractContextManager[None]:
        """Store everything inside at once."""


class Source(Protocol):
    """A repo on the Hub, a folder, or a bundled snapshot."""

    @property
    def contents(self) -> ContentStore | None:
        """Where facts derived from this source's files may be kept, or None."""

    @property
    def cost(self) -> Cost:
        """What has been spent so far."""

    def listing(self) -> Listing:
        """The files at one commit. The first call may read; later calls repeat it."""

    def text(self, path: str) -> str | None:
        """A small file, or None where the repo has none of that name."""

    def heads(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        """The first bytes of several files, in the order asked."""

    def shard_headers(self, index: str) -> bytes | None:
        """All the safetensors headers an index names, in the Hub's one-call form, or None.

        The body is `{"index": {"metadata": …}, "headers": {shard: header}}`. It is bound to the default
        branch rather than to a commit, so the caller checks it against the listing.
        """
