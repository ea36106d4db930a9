"""File contents: real bytes in front, and behind them as many zeros as needed, which are never stored."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

CHUNK_NBYTES = 1 << 16
_ZEROS = bytes(CHUNK_NBYTES)

# A git blob may not be larger than this on the Hub; the suffixes are those of its default .gitattributes.
_GIT_LIMIT_NBYTES = 10_000_000
_LFS_SUFFIXES = (
    ".bin", ".ckpt", ".gguf", ".h5", ".model", ".msgpack", ".npz", ".onnx", ".ot", ".pickle", ".pkl", ".pt",
    ".pth", ".safetensors", ".zip",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Virtual:
    """A file of ``total_size`` bytes that begins with ``prefix`` and goes on in zeros.

    The prefix is its header, and everything after it counts as weights.
    """

    prefix: bytes
    total_size: int

    def __post_init__(self) -> None:
        if self.total_size < len(self.prefix):
            raise ValueError(f"a prefix of {len(self.prefix)} bytes in a file of {self.total_size}")

    def __bytes__(self) -> bytes:
        """The whole file, which is made now."""
        return self.prefix.ljust(self.total_size, b"\0")


@dataclass(frozen=True, kw_only=True)
class Blob:
    """One file: ``prefix``, then zeros up to ``size``; its weights begin at ``weights_from``."""

    prefix: bytes
    size: int
    weights_from: int
    lfs: bool

    @classmethod
    def of(cls, path: str, content: bytes | Virtual) -> "Blob":
        if isinstance(content, Virtual):
            return cls(
                prefix=content.prefix, size=content.total_size, weights_from=len(content.prefix), lfs=True
            )
        size = len(content)
        weights_from = min(size, safetensors_header_end(content)) if path.endswith(".safetensors") else size
        lfs = path.endswith(_LFS_SUFFIXES) or size > _GIT_LIMIT_NBYTES
        return cls(prefix=content, size=size, weights_from=weights_from, lfs=lfs)

    @classmethod
    def plain(cls, content: bytes) -> "Blob":
        """A body that belongs to no repo: an answer of the API, an error, a redirect's text."""
        return cls(prefix=content, size=len(content), weights_from=len(content), lfs=False)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes ``start`` to ``stop`` (excluded), in chunks of at most ``CHUNK_NBYTES``."""
        while start < stop:
            end = min(stop, start + CHUNK_NBYTES)
            real = self.prefix[start:end]
            yield real + _ZEROS[: end - start - len(real)]
            start = end

    def weight_nbytes(self, start: int, stop: int) -> int:
        """How many of the bytes ``start`` to ``stop`` (excluded) are weights."""
        return max(0, stop - max(start, self.weights_from))

    @cached_property
    def sha256(self) -> str:
        """The file's own hash where all of it is real; of its prefix and size where the rest is virtual."""
        digest = hashlib.sha256(self.prefix)
        if self.size > len(self.prefix):
            digest.update(b"and zeros up to %d" % self.size)
        return digest.hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        """What git itself holds for a file in LFS. Source: git-lfs ``docs/spec.md``."""
        lines = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n"
        return lines.encode()

    @cached_property
    def oid(self) -> str:
        """The git object id: of the pointer for a file in LFS."""
        stored = self.pointer if self.lfs else self.prefix
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored, usedforsecurity=False).hexdigest()

    @property
    def etag(self) -> str:
        return f'"{self.sha256 if self.lfs else self.oid}"'

    @cached_property
    def gzipped(self) -> bytes:
        return gzip.compress(self.prefix, compresslevel=6, mtime=0)


def safetensors_header_end(content: bytes) -> int:
    """Where the weights of a safetensors file begin: 8 bytes of length, then the header."""
    return 8 + int.from_bytes(content[:8], "little")
