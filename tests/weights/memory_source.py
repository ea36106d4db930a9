"""A repo in memory: what `hubmem.hub.source.Source` asks for, counted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hubmem import dtypes
from hubmem.hub.source import ContentStore, Cost, FileEntry, HeadRequest, Listing, Origin


class MemoryStore:
    """Facts by content, as the header cache keeps them."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str], bytes] = {}

    def get(self, content_id: str, kind: str) -> bytes | None:
        return self.facts.get((content_id, kind))

    def put(self, content_id: str, kind: str, value: bytes) -> None:
        self.facts[content_id, kind] = value

    @contextmanager
    def batch(self) -> Iterator[None]:
        yield


class MemorySource:
    """Files by path: whole texts, or a beginning and the length of a file of which only that is at hand."""

    cost = Cost()

    def __init__(
        self,
        files: Mapping[str, bytes | tuple[bytes, int]],
        *,
        one_call: Mapping[str, Any] | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        self._files = {
            path: held if isinstance(held, tuple) else (held, len(held)) for path, held in files.items()
        }
        self._one_call = one_call
        self.contents: ContentStore | None = store
        self.asked: list[str] = []
        self.bytes_read = 0

    def listing(self) -> Listing:
        entries = {
            path: FileEntry(nbytes=size, content_id=f"sha256:{path}")
            for path, (_, size) in self._files.items()
        }
        return Listing(
            repo="org/name", revision=None, commit="0" * 40, gated=None, origin=Origin.HUB, files=entries
        )

    def text(self, path: str) -> str | None:
        self.asked.append(path)
        return self._files[path][0].decode() if path in self._files else None

    def heads(self, requests: Sequence[HeadRequest]) -> list[bytes]:
        return [self._head(request) for request in requests]

    def shard_headers(self, index: str) -> bytes | None:
        self.asked.append(f"one call for {index}")
        return json.dumps(self._one_call).encode() if self._one_call is not None else None

    def _head(self, request: HeadRequest) -> bytes:
        held, size = self._files[request.path]
        head = b""
        wanted = request.first
        while len(head) < min(wanted, size):
            self.asked.append(request.path)
            head = held[: min(wanted, size)]
            assert len(head) == min(wanted, size), "more was asked for than the format's header"
            wanted = request.needed(head)
        self.bytes_read += len(head)
        return head


def header(*tensors: tuple[str, str, tuple[int, ...]]) -> dict[str, Any]:
    """The header of a safetensors file with these tensors, one behind the other."""
    entries: dict[str, Any] = {}
    end = 0
    for name, dtype, shape in tensors:
        elements = 1
        for dim in shape:
            elements *= dim
        begin, end = end, end + dtypes.of(dtype).nbytes(elements)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    return entries


def safetensors_file(*tensors: tuple[str, str, tuple[int, ...]]) -> tuple[bytes, int]:
    """The beginning of a safetensors file, filled up to what is asked for at first, and its length."""
    entries = header(*tensors)
    raw = json.dumps(entries).encode()
    head = len(raw).to_bytes(8, "little") + raw
    size = len(head) + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    return head + b"\0" * min(size - len(head), 2**17), size
