"""The tensors of a file that `torch.save` wrote, from its first bytes and without running it.

Both forms of the file begin with the pickle of the saved object: a zip archive has it as its first entry,
stored uncompressed; a legacy file has it after two numbers and a dict. Tensors in it name their storages, so
that tied weights are known to be one.

Source: `torch/serialization.py` and `torch/_utils.py`, torch 2.13.
"""

import bisect
import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hubmem import dtypes
from hubmem.errors import MalformedWeights
from hubmem.weights.safetensors import Tensor
from hubmem.weights.symbolic_pickle import (
    BadPickle,
    Call,
    Dict,
    Global,
    Persistent,
    TruncatedPickle,
    read_pickle,
)

# 768 experts of 3 tensors take 320 kB of pickle; a file that asks for more than this is no checkpoint.
LARGEST_PICKLE = 64 * 2**20
_GROWTH = 4

# The fixed part of a zip local file header: PKWARE's APPNOTE.TXT, 4.3.7.
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ZIP = b"PK\x03\x04"
_END_OF_ENTRY = b"PK\x07\x08"
# What legacy files begin with: the pickled number 0x1950a86a20f9469cfc6c.
_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")

_STORAGES = {
    "Double": "F64",
    "Float": "F32",
    "Half": "F16",
    "BFloat16": "BF16",
    "Long": "I64",
    "Int": "I32",
    "Short": "I16",
    "Char": "I8",
    "Byte": "U8",
    "Bool": "BOOL",
    "ComplexFloat": "C64",
    "QInt8": "I8",
    "QUInt8": "U8",
    "QInt32": "I32",
    "QUInt4x2": "U8",
    "QUInt2x4": "U8",
    "Untyped": "U8",
}
_DENSE = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"})
_MAKERS = _DENSE | {
    "_rebuild_sparse_tensor",
    "_rebuild_nested_tensor",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_device_tensor_from_numpy",
    "_rebuild_device_tensor_from_cpu_tensor",
}
_WRAPPERS = frozenset(
    {"_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_from_type", "_rebuild_from_type_v2"}
)
_DEEPEST_WRAPPER = 4
# Deeper than any checkpoint: a name grows by each level.
_DEEPEST_OBJECT = 100
# Keys that checkpoints of trainers keep the model under, in the order they are looked for.
_STATE_DICTS = (
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "params",
    "ema_state_dict",
    "net",
    "weights",
)
# Where `nn.Module` keeps what it has, which is no part of a tensor's name.
_CONTAINERS = frozenset({"_parameters", "_buffers", "_modules"})
_NOT_THE_MODEL = frozenset(
    {"optimizer", "optimizer_state_dict", "optimizer_states", "lr_scheduler", "lr_schedulers"}
)


class Stored(NamedTuple):
    """The tensors of a file, and which of them lie in the same bytes as one before."""

    tensors: list[Tensor]
    copies: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A tensor's place in a storage."""

    tensor: Tensor
    storage: str
    begin: int
    end: int


def bytes_needed(head: bytes) -> int:
    """How many bytes of a file hold its pickle: four times as many as so far, until it has an end."""
    if len(head) >= LARGEST_PICKLE or _is_whole(head):
        return len(head)
    return min(LARGEST_PICKLE, max(_GROWTH * len(head), _LOCAL_HEADER.size))


def _is_whole(head: bytes) -> bool:
    if head.startswith(_ZIP) and _END_OF_ENTRY in head:
        return True
    try:
        _saved_object(head, "")
    except TruncatedPickle:
        return False
    except (BadPickle, MalformedWeights):
        pass
    return True


def parse_file(head: bytes, *, path: str) -> Stored:
    """The tensors of a file, from its first bytes.

    Raises:
        MalformedWeights: not a file `torch.save` wrote, or one without tensors.
    """
    try:
        saved = _saved_object(head, path)
    except TruncatedPickle:
        raise MalformedWeights(
            path, "it ends, or passes 64 MiB, before the pickle it begins with does."
        ) from None
    except BadPickle as error:
        raise MalformedWeights(path, f"it does not begin with a pickle: {error}.") from None
    views = list(_views(saved, path))
    if not views:
        raise MalformedWeights(path, "its pickle holds no tensors.", hint="Is it a checkpoint of a model?")
    return Stored([view.tensor for view in views], frozenset(_copies(views)))


def _saved_object(head: bytes, path: str) -> Any:
    if head.startswith(_ZIP):
        return read_pickle(head, _first_entry(head, path))[0]
    if head.startswith(_LEGACY):
        position = 0
        for _ in ("magic number", "protocol version", "system information"):
            _, position = read_pickle(head, position)
        return read_pickle(head, position)[0]
    _refuse_others(head, path)
    return read_pickle(head)[0]


def _first_entry(head: bytes, path: str) -> int:
    """Where the data of a zip archive's first entry begins."""
    if len(head) < _LOCAL_HEADER.size:
        raise TruncatedPickle("a zip header")
    _, _, _, method, _, _, _, _, _, name_length, extra_length = _LOCAL_HEADER.unpack_from(head)
    start: int = _LOCAL_HEADER.size + name_length + extra_length
    name = head[_LOCAL_HEADER.size : _LOCAL_HEADER.size + name_length]
    if start > len(head):
        raise TruncatedPickle("a zip header")
    if not name.endswith(b"data.pkl"):
        raise MalformedWeights(
            path,
            f"its first entry is {name.decode('utf-8', 'replace')!r}: TorchScript, or another archive.",
            hint="Look for the same model as safetensors or as a state dict.",
        )
    if method:
        raise MalformedWeights(path, "its entries are compressed, which torch.save does not do.")
    return start


def _refuse_others(head: bytes, path: str) -> None:
    reasons = (
        (head[257:262] == b"ustar", "it is a tar archive, as PyTorch wrote them before version 0.1.10."),
        (head.startswith(b"version https://git-lfs"), "it is a pointer of Git LFS in place of the file."),
        (head.startswith(b"\x89HDF"), "it is an HDF5 file."),
        (head.startswith(b"GGUF"), "it is a GGUF file under another name."),
        (len(head) >= 9 and head[8:9] == b"{", "it is a safetensors file under another name."),
        (not head, "it is empty."),
    )
    for applies, reason in reasons:
        if applies:
            raise MalformedWeights(path, reason)


def _views(saved: Any, path: str) -> Iterator[_View]:
    """The tensors of the model in a saved object, each under a name of its own."""
    seen: Counter[str] = Counter()
    for name, call in _tensors_in(_state_dict(saved)):
        seen[name] += 1
        yield _view(name if seen[name] == 1 else f"{name}#{seen[name]}", call, path)


def _state_dict(saved: Any) -> Any:
    """The model in a trainer's checkpoint, or the object itself."""
    for _ in _STATE_DICTS:
        pairs = {key: value for key, value in _pairs(saved) if isinstance(key, str)}
        if any(_as_tensor(value) is not None for value in pairs.values()):
            return saved
        inner = next((pairs[key] for key in _STATE_DICTS if key in pairs and _pairs(pairs[key])), None)
        if inner is None:
            return saved
        saved = inner
    return saved


def _tensors_in(root: Any) -> Iterator[tuple[str, Call]]:
    """Tensors by their dotted names, in order; every object once, however often it is referred to."""
    visited: set[int] = set()
    pending: list[tuple[int, str, Any]] = [(0, "", root)]
    while pending:
        depth, prefix, value = pending.pop()
        tensor = _as_tensor(value)
        if tensor is not None:
            yield prefix, tensor
            continue
        if id(value) in visited or depth > _DEEPEST_OBJECT:
            continue
        visited.add(id(value))
        inside = [
            (depth + 1, _joined(prefix, key), item)
            for key, item in _children(value)
            if not (isinstance(key, str) and key in _NOT_THE_MODEL)
        ]
        pending.extend(reversed(inside))


def _joined(prefix: str, key: Any) -> str:
    is_name = isinstance(key, int) or (isinstance(key, str) and key not in _CONTAINERS)
    if not is_name:
        return prefix
    return f"{prefix}.{key}" if prefix else str(key)


def _children(value: Any) -> Sequence[tuple[Any, Any]]:
    """What an object is made of, with the part each adds to a name; None adds nothing."""
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if not isinstance(value, Call):
        return _pairs(value)
    arguments = value.arguments if isinstance(value.arguments, tuple) else ()
    return [*((None, argument) for argument in arguments), *value.pairs, (None, value.state)]


def _pairs(value: Any) -> Sequence[tuple[Any, Any]]:
    """The keys and values of a dict, or of what would become one, such as an OrderedDict."""
    return value.pairs if isinstance(value, Dict | Call) else ()


def _as_tensor(value: Any) -> Call | None:
    """The call that makes a tensor, out of a parameter or a subclass around it."""
    for _ in range(_DEEPEST_WRAPPER):
        if not isinstance(value, Call):
            return None
        name = _function(value)
        if name in _MAKERS:
            return value
        if name not in _WRAPPERS or not isinstance(value.arguments, tuple) or not value.arguments:
            return None
        first, *rest = value.arguments
        # _rebuild_from_type_v2(function, type, arguments, state), but _rebuild_parameter(data, …).
        value = Call(first, rest[1]) if isinstance(first, Global) and len(rest) > 1 else first
    return None


def _function(value: Any) -> str | None:
    if isinstance(value, Call) and isinstance(value.function, Global):
        return value.function.name.rpartition(".")[2]
    return None


def _view(name: str, call: Call, path: str) -> _View:
    """A tensor from `(storage, offset, size, stride, …)`.

    Raises:
        MalformedWeights: sparse, without data, or described in an unknown way.
    """
    kind = _function(call)
    if kind not in _DENSE:
        raise MalformedWeights(path, f"tensor {name[:200]!r} is made by {kind}, which is not counted.")
    try:
        storage, offset, size, stride, *rest = call.arguments
        key, dtype = _storage(storage)
        if kind == "_rebuild_tensor_v3":
            dtype = _dtype(rest[2])
        shape = tuple(map(_whole, size))
        extent = sum((dim - 1) * _whole(step) for dim, step in zip(shape, stride, strict=True)) + 1
        begin = _whole(offset)
    except (ValueError, TypeError, KeyError, IndexError):
        message = f"its pickle describes tensor {name[:200]!r} in an unknown way."
        raise MalformedWeights(path, message) from None
    end = begin + (extent if math.prod(shape) else 0)
    return _View(tensor=Tensor(name, dtype, shape), storage=key, begin=begin, end=end)


def _storage(value: Any) -> tuple[str, str]:
    """The key and the dtype of `("storage", type, key, location, elements, …)`."""
    if not isinstance(value, Persistent):
        raise TypeError("no storage of the file")
    kind, storage_type, key, *_ = value.key
    if kind != "storage" or not isinstance(storage_type, Global):
        raise ValueError("no storage of the file")
    name = storage_type.name.rpartition(".")[2].removesuffix("Storage")
    return str(key), _STORAGES[name]


def _dtype(named: Any) -> str:
    found = dtypes.find(named.name) if isinstance(named, Global) else None
    if found is None:
        raise ValueError("unknown dtype")
    return found.name


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError("not a whole number")
    return value


def _copies(views: Sequence[_View]) -> Iterator[str]:
    """The names of tensors whose bytes are another's: of those that overlap, the largest counts."""
    by_storage: defaultdict[str, list[_View]] = defaultdict(list)
    for view in views:
        by_storage[view.storage].append(view)
    for sharing in by_storage.values():
        # Counted views do not overlap, so only the neighbours of a new one can.
        counted: list[tuple[int, int]] = []
        for view in sorted(sharing, key=lambda view: view.begin - view.end):
            place = bisect.bisect(counted, (view.begin, view.end))
            neighbours = counted[max(place - 1, 0) : place + 1]
            if any(view.begin < end and begin < view.end for begin, end in neighbours):
                yield view.tensor.name
            else:
                counted.insert(place, (view.begin, view.end))
