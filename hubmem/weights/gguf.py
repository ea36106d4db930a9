"""The header of a GGUF file: metadata, the tensor table, and how far to read for them.

Everything before the tensors' bytes has to be walked entry by entry, because no length stands in front of it;
most of it is the vocabulary. How much is still to come is estimated from what has been read, so that a
file costs two reads.

Source: ggml/docs/gguf.md and `gguf_init_from_file_impl` in ggml/src/gguf.cpp, llama.cpp.
"""

import struct
from dataclasses import dataclass
from math import prod
from typing import Any

from hubmem.errors import MalformedWeights
from hubmem.units import round_up
from hubmem.weights import ggml
from hubmem.weights.safetensors import Tensor

MAGIC = b"GGUF"
# The largest vocabularies take 14 MB; a header that wants more than this is none.
LARGEST_HEADER = 100_000_000
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MOST_DIMENSIONS = 4
# Values of these types, by their number: uint8, int8, uint16, int16, uint32, int32, float32, bool, …
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING, _ARRAY = 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]
# Arrays with an entry per layer are kept; longer ones belong to the vocabulary.
_LONGEST_ARRAY = 4096
# A name of some 24 characters, four dimensions at most, a type and an offset.
_TENSOR_ENTRY_BYTES = 72
_TOKENS = "tokenizer.ggml.tokens"
# Tokens and merges behind their lengths: the first tokens of a vocabulary are its shortest.
_TOKEN_BYTES, _MERGE_BYTES = 16, 22
# Most byte-pair vocabularies have a merge for each token; those that keep every way to a token have 2.2.
_MERGES_PER_TOKEN = 1.0
_MANY_MERGES_PER_TOKEN = 2.2
_WITH_MANY_MERGES = frozenset({"llama-bpe", "llama4", "gpt-4o", "tekken"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An array that was walked over.

    Attributes:
        length: how many items it has.
    """

    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands before the tensors' bytes.

    Attributes:
        metadata: by key; long arrays and those of strings are `Skipped`.
        tensors: in the order of the file; shapes in the order of safetensors, rows first.
        nbytes: of the header itself, up to the tensors' bytes.
    """

    metadata: dict[str, Any]
    tensors: list[Tensor]
    nbytes: int


class _Short(Exception):
    """The bytes at hand end before the header does."""


class _Broken(Exception):
    """The header contradicts its format; the message says how."""


def bytes_needed(head: bytes) -> int:
    """How many bytes of a file hold its header, from those read so far: exact once it is whole."""
    walk = _Walk(head)
    try:
        walk.header()
    except _Short:
        return min(LARGEST_HEADER, max(walk.expected(), len(head) + len(head) // 4))
    except _Broken:
        return len(head)
    return walk.position


def parse_file(head: bytes, *, path: str, file_nbytes: int) -> Header:
    """The header of a file, from its first bytes and its length.

    Raises:
        MalformedWeights: it breaks a rule of the format.
    """
    walk = _Walk(head)
    try:
        header = walk.header()
        _check_offsets(walk, file_nbytes)
    except _Short:
        raise MalformedWeights(path, f"its header does not end within {len(head):,} bytes.") from None
    except _Broken as error:
        raise MalformedWeights(path, str(error)) from None
    return header


class _Walk:
    """Goes through the beginning of a file, entry by entry, and keeps what it finds."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.position = 0
        self.metadata: dict[str, Any] = {}
        self.table: list[tuple[Tensor, ggml.GgmlType, int]] = []
        self._tensor_count = 0
        self._array: tuple[str, int, int, int] | None = None

    def header(self) -> Header:
        """Walk all of it."""
        if self._take(4) != MAGIC:
            raise _Broken("it does not begin with 'GGUF'.")
        self._check_version(self._number(_U32))
        self._tensor_count, entries = self._number(_U64), self._number(_U64)
        self._bound(self._tensor_count, "tensors")
        self._bound(entries, "metadata entries")
        for _ in range(entries):
            self._entry()
        for _ in range(self._tensor_count):
            self._tensor()
        if len({tensor.name for tensor, _, _ in self.table}) < len(self.table):
            raise _Broken("two tensors have the same name.")
        self.position = round_up(self.position, self.alignment)
        return Header(
            metadata=self.metadata, tensors=[tensor for tensor, _, _ in self.table], nbytes=self.position
        )

    @property
    def alignment(self) -> int:
        """What tensors' offsets are multiples of."""
        alignment = self.metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise _Broken(f"its alignment is {alignment!r}, not a power of two.")
        return alignment

    def expected(self) -> int:
        """A guess at the whole header's length, rather too long than too short."""
        rest = _TENSOR_ENTRY_BYTES * (self._tensor_count - len(self.table)) + 4096
        if self._array is None:
            return self.position + rest
        name, length, begin, walked = self._array
        seen = (self.position - begin) / max(walked, 1)
        if name != _TOKENS:
            return self.position + int(1.05 * seen * (length - walked)) + rest
        # Types and scores of the tokens follow, and the merges of a byte-pair vocabulary.
        has_merges = self.metadata.get("tokenizer.ggml.model") == "gpt2"
        many = self.metadata.get("tokenizer.ggml.pre") in _WITH_MANY_MERGES
        merges = length * (_MANY_MERGES_PER_TOKEN if many else _MERGES_PER_TOKEN) * has_merges
        rest += int(max(seen, _TOKEN_BYTES) * (length - walked) + 8 * length + _MERGE_BYTES * merges)
        return self.position + rest

    def _check_version(self, version: int) -> None:
        if version in _VERSIONS:
            return
        if version == 1:
            raise _Broken("it is of GGUF version 1, which no program writes since 2023.")
        if int.from_bytes(version.to_bytes(4, "big"), "little") in _VERSIONS:
            raise _Broken("it is a big-endian GGUF file, which hubmem does not read.")
        raise _Broken(f"it is of GGUF version {version}, which is not known.")

    def _bound(self, count: int, what: str) -> None:
        # Each of them takes 12 bytes or more.
        if count > LARGEST_HEADER // 12:
            raise _Broken(f"it claims {count:,} {what}.")

    def _entry(self) -> None:
        key = self._string()
        if key in self.metadata:
            raise _Broken(f"two metadata entries have the key {key[:100]!r}.")
        self.metadata[key] = self._value(self._number(_U32), key)

    def _value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._read_array(key)
        if kind not in _SCALARS:
            raise _Broken(f"metadata entry {key[:100]!r} is of unknown type {kind}.")
        return self._number(_SCALARS[kind])

    def _read_array(self, key: str) -> Any:
        kind, length = self._number(_U32), self._number(_U64)
        if kind == _STRING:
            return self._skip_strings(key, length)
        if kind not in _SCALARS:
            raise _Broken(f"metadata entry {key[:100]!r} is an array of type {kind}.")
        form = _SCALARS[kind]
        self._bound(length * form.size // 12, f"bytes in {key[:100]!r}")
        raw = self._take(length * form.size)
        if length > _LONGEST_ARRAY:
            return Skipped(length=length)
        return [value for (value,) in form.iter_unpack(raw)]

    def _skip_strings(self, key: str, length: int) -> Skipped:
        """Walk over an array of strings, each behind its length; a vocabulary has half a million."""
        self._bound(length, f"strings in {key[:100]!r}")
        head, position, walked = self.head, self.position, 0
        last = len(head) - 8
        while walked < length and position <= last:
            following = position + 8 + int.from_bytes(head[position : position + 8], "little")
            if following > len(head):
                self._bound(following - position, "bytes in a string")
                break
            position = following
            walked += 1
        self._array = (key, length, self.position, walked)
        self.position = position
        if walked < length:
            raise _Short
        self._array = None
        return Skipped(length=length)

    def _tensor(self) -> None:
        name = self._string()
        dimensions = self._number(_U32)
        if dimensions > _MOST_DIMENSIONS:
            raise _Broken(f"tensor {name[:100]!r} has {dimensions} dimensions.")
        extents = [self._number(_U64) for _ in range(dimensions)]
        number, offset = self._number(_U32), self._number(_U64)
        kind = ggml.BY_NUMBER.get(number)
        if kind is None:
            raise _Broken(f"tensor {name[:100]!r} is of unknown type {number}.")
        if max(extents, default=1) >= 2**63 or prod(extents) >= 2**63:
            raise _Broken(f"tensor {name[:100]!r} has dimensions {extents}, beyond 64-bit sizes.")
        if extents and extents[0] % kind.block:
            raise _Broken(
                f"tensor {name[:100]!r} has rows of {extents[0]} elements, not whole blocks of {kind.name}."
            )
        self.table.append((Tensor(name, kind.name, tuple(reversed(extents))), kind, offset))

    def _string(self) -> str:
        length = self._number(_U64)
        self._bound(length, "bytes in a string")
        raw = self._take(length)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise _Broken("a name or a text is not UTF-8.") from None

    def _number(self, form: struct.Struct) -> Any:
        return form.unpack(self._take(form.size))[0]

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.head):
            raise _Short
        taken = self.head[self.position : end]
        self.position = end
        return taken


def _check_offsets(walk: _Walk, file_nbytes: int) -> None:
    """Tensors follow each other, each aligned, and end within the file, as llama.cpp demands."""
    reached = 0
    for tensor, kind, offset in walk.table:
        if offset != reached:
            raise _Broken(
                f"tensor {tensor.name[:100]!r} begins at {offset:,}; those before it end at {reached:,}."
            )
        reached = round_up(reached + kind.nbytes(prod(tensor.shape)), walk.alignment)
    last = walk.table[-1] if walk.table else None
    end = walk.position + (last[2] + last[1].nbytes(prod(last[0].shape)) if last else 0)
    if end > file_nbytes:
        raise _Broken(f"its tensors end at byte {end:,}, the file at {file_nbytes:,}.")
