"""The header of a safetensors file, checked as the format's own library checks it.

A file is `N` as 8 little-endian bytes, `N` bytes of JSON, then the tensors' bytes. The rules are those
of `SafeTensors::read_metadata` and `Metadata::validate` in the safetensors crate, 0.8.0; beyond them,
duplicate keys are refused, because two tensors of one name leave their count to chance.

Source: https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from hubmem import dtypes
from hubmem.errors import MalformedWeights
from hubmem.weights import canonical

# The same bound as the safetensors crate: MAX_HEADER_SIZE.
LARGEST_HEADER = 100_000_000
# `:{"dtype":"BF16","shape":[16384,53248],"data_offsets":[17179869184,18924699648]},` and the name's quotes.
ENTRY_BYTES = 90
_LENGTH_BYTES = 8
# Dimensions and sizes are 64-bit in the format's library; Python would carry on past its overflows.
_LARGEST_SIZE = 2**64
_JSON_SPACE = b" \t\r\n"
_METADATA = "__metadata__"
_TENSOR_KEYS = frozenset({"dtype", "shape", "data_offsets"})


class Tensor(NamedTuple):
    """A tensor as a header describes it. A tuple, because a large model has half a million of them.

    Its bytes are what its dtype and shape take, which the parser has checked against its data offsets.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


def bytes_needed(head: bytes) -> int:
    """How many bytes of a file hold its header, from the bytes read so far.

    >>> bytes_needed(b"")
    8
    >>> bytes_needed((100).to_bytes(8, "little") + b"{")
    108
    """
    if len(head) < _LENGTH_BYTES:
        return _LENGTH_BYTES
    return _LENGTH_BYTES + int.from_bytes(head[:_LENGTH_BYTES], "little")


def parse_file(head: bytes, *, path: str, file_nbytes: int) -> list[Tensor]:
    """The tensors of a file, from its first bytes and its length.

    Args:
        head: the file's beginning, at least `bytes_needed` of it unless the file is shorter.
        path: the file, for messages.
        file_nbytes: the length of the whole file.

    Raises:
        MalformedWeights: the header breaks a rule of the format.
    """
    if len(head) < _LENGTH_BYTES:
        raise MalformedWeights(path, f"{file_nbytes} bytes are too few for a safetensors file.")
    stop = bytes_needed(head)
    if stop - _LENGTH_BYTES > LARGEST_HEADER:
        raise MalformedWeights(
            path, f"its header claims {stop - _LENGTH_BYTES:,} bytes; the format allows {LARGEST_HEADER:,}."
        )
    if stop > len(head):
        raise MalformedWeights(
            path, f"its header claims {stop - 8:,} bytes, more than the file's {file_nbytes:,}."
        )
    tensors, end = _read_header(head[_LENGTH_BYTES:stop], path)
    if stop + end != file_nbytes:
        raise MalformedWeights(path, f"its tensors end at byte {stop + end:,}, the file at {file_nbytes:,}.")
    return tensors


def _read_header(raw: bytes, path: str) -> tuple[list[Tensor], int]:
    with suppress(UnicodeDecodeError):
        text = raw.decode().rstrip(" ")
        if usual := read_usual(text, 0, len(text)):
            return usual
    return read_tensors(load_header(raw, path), path)


def read_usual(text: str, start: int, stop: int) -> tuple[list[Tensor], int] | None:
    """What `read_tensors` says of the header `text[start:stop]`; None unless it is faultless and usual."""
    header = canonical.read(text, start, stop)
    if header is None:
        return None
    tensors = [
        Tensor(name, kind.dtype, kind.shape) for name, kind in zip(header.names, header.kinds, strict=True)
    ]
    return tensors, header.data_nbytes


def load_header(raw: bytes, path: str) -> Any:
    """Decode header JSON: UTF-8, an object, no duplicate keys, no NaN.

    Raises:
        MalformedWeights: it is not.
    """
    if not raw.lstrip(_JSON_SPACE).startswith(b"{"):
        raise MalformedWeights(path, "its header does not begin with '{'.")
    try:
        return decode_json(raw.decode())
    except RecursionError:
        raise MalformedWeights(path, "its header is nested too deeply.") from None
    except ValueError as error:
        raise MalformedWeights(path, f"its header is not valid JSON: {error}") from None


def decode_json(text: str) -> Any:
    """The value of strict JSON.

    Raises:
        ValueError: a fault, a key that appears twice in an object, or NaN.
        RecursionError: nested too deeply.
    """
    return json.loads(text, object_pairs_hook=unique_object, parse_constant=_refuse_constant)


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ, for `json.loads(object_pairs_hook=…)`.

    Raises:
        ValueError: a key appears twice.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate key {twice!r}")
    return value


def read_tensors(header: object, path: str) -> tuple[list[Tensor], int]:
    """The tensors of a decoded header, and where their bytes end.

    Raises:
        MalformedWeights: an entry breaks a rule of the format.
    """
    if not isinstance(header, dict):
        raise MalformedWeights(path, "its header is not a JSON object.")
    _check_metadata(header.get(_METADATA), path)
    tensors: list[Tensor] = []
    spans: list[tuple[int, int, str]] = []
    # One tuple serves all tensors of a shape.
    shapes: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {}
    for name, info in header.items():
        if name == _METADATA:
            continue
        dtype, shape, begin, end = _entry(info, name, path)
        known = shapes.get(shape)
        if known is None:
            known = shapes[shape] = (shape, _elements(shape, name, path))
        bits = known[1] * dtype.bits
        if bits % 8 or end - begin != bits // 8:
            raise MalformedWeights(
                path,
                f"tensor {name!r} takes {bits / 8:g} bytes by {dtype.name} {list(shape)}, "
                f"{end - begin} by its offsets.",
            )
        tensors.append(Tensor(name, dtype.name, known[0]))
        spans.append((begin, end, name))
    return tensors, _check_contiguous(spans, path)


def _entry(info: Any, name: str, path: str) -> tuple[dtypes.Dtype, tuple[int, ...], int, int]:
    try:
        dtype = dtypes.BY_NAME[info["dtype"]]
        shape = tuple(info["shape"])
        begin, end = info["data_offsets"]
    except (KeyError, TypeError, ValueError):
        _explain_entry(info, name, path)
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end:
        raise MalformedWeights(path, f"tensor {name!r} has data_offsets {info['data_offsets']}.")
    for dim in shape:
        # Not `isinstance`: `true` is no dimension, and 2.0 would be found among the known shapes as 2.
        if type(dim) is not int or dim < 0:
            raise MalformedWeights(
                path, f"tensor {name!r} has shape {list(shape)}: not whole, non-negative dimensions."
            )
    if not name.isascii() and not _encodable(name):
        raise MalformedWeights(path, f"tensor {name!r} has a name that is not Unicode text.")
    return dtype, shape, begin, end


def _elements(shape: tuple[int, ...], name: str, path: str) -> int:
    """The product of dimensions, refused where the format's library overflows, though a 0 may follow."""
    elements = 1
    for dim in shape:
        elements *= dim
        if max(dim, elements) >= _LARGEST_SIZE:
            raise MalformedWeights(path, f"tensor {name!r} has shape {list(shape)}, beyond 64-bit sizes.")
    return elements


def _encodable(name: str) -> bool:
    """Whether a name has no lone surrogate, which JSON's escapes can spell and no file or screen can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explain_entry(info: Any, name: str, path: str) -> NoReturn:
    if not isinstance(info, Mapping) or not info.keys() >= _TENSOR_KEYS:
        raise MalformedWeights(path, f"tensor {name!r} lacks dtype, shape or data_offsets.")
    if not isinstance(info["dtype"], str) or info["dtype"] not in dtypes.BY_NAME:
        raise MalformedWeights(path, f"tensor {name!r} has unknown dtype {info['dtype']!r}.")
    raise MalformedWeights(
        path, f"tensor {name!r} has shape {info['shape']!r} and data_offsets {info['data_offsets']!r}."
    )


def _check_contiguous(spans: list[tuple[int, int, str]], path: str) -> int:
    spans.sort()
    reached = 0
    for begin, end, name in spans:
        if begin != reached:
            fault = "overlaps the one before it" if begin < reached else "leaves a gap before it"
            raise MalformedWeights(
                path, f"tensor {name!r} begins at {begin:,}, which {fault} (at {reached:,})."
            )
        reached = end
    return reached


def _check_metadata(metadata: object, path: str) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedWeights(path, f"its {_METADATA} is not an object of strings.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
