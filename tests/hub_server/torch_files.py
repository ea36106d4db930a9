"""The head of a file that ``torch.save`` writes, made without torch.

Such a file is a zip archive whose first entry, stored uncompressed, is a pickle that names every
tensor's dtype, shape and storage. Source: ``torch/serialization.py`` and ``torch/_utils.py``, torch 2.13.
"""

import math
import pickle
import struct
from collections.abc import Sequence
from typing import Any

from .blobs import Virtual
from .tensors import Tensor

_STORAGES = {
    "BOOL": "BoolStorage",
    "U8": "ByteStorage",
    "I8": "CharStorage",
    "I16": "ShortStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I32": "IntStorage",
    "F32": "FloatStorage",
    "I64": "LongStorage",
    "F64": "DoubleStorage",
}

# The fixed part of a zip local file header. Source: PKWARE's APPNOTE.TXT, 4.3.7.
_FIXED = struct.Struct("<4sHHHHHIIIHH")


def torch_file(tensors: Sequence[Tensor]) -> Virtual:
    """A state dict's pickle as the first zip entry; the storages and the central directory are zeros."""
    prefix = _local_file_header("archive/data.pkl") + pickled_state_dict(tensors)
    return Virtual(prefix, len(prefix) + sum(tensor.nbytes for tensor in tensors))


def pickled_state_dict(tensors: Sequence[Tensor]) -> bytes:
    items = (_value(tensor.name) + _tensor(str(key), tensor) for key, tensor in enumerate(tensors))
    state_dict = _EMPTY_ORDERED_DICT + pickle.MARK + b"".join(items) + pickle.SETITEMS
    return pickle.PROTO + b"\x02" + state_dict + pickle.STOP


def _tensor(key: str, tensor: Tensor) -> bytes:
    storage = (
        _value("storage")
        + _global("torch", _STORAGES[tensor.dtype])
        + _value(key)
        + _value("cpu")
        + _value(math.prod(tensor.shape))
    )
    arguments = (
        pickle.MARK + storage + pickle.TUPLE + pickle.BINPERSID,
        _value(0),
        _value(tensor.shape),
        _value(_strides(tensor.shape)),
        _value(False),
        _EMPTY_ORDERED_DICT,
    )
    rebuild = _global("torch._utils", "_rebuild_tensor_v2")
    return rebuild + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of a contiguous tensor, in elements."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _value(value: Any) -> bytes:
    """A value's opcodes alone: pickled without the protocol before it and the stop behind it."""
    return pickle.dumps(value, protocol=2)[2:-1]


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


_EMPTY_ORDERED_DICT = _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def _local_file_header(name: str) -> bytes:
    """As torch writes it: sizes of zero (flag 0x808: they follow the data), then padding to 64 bytes."""
    padding = b"Z" * (-(_FIXED.size + len(name) + 4) % 64)
    extra = struct.pack("<2sH", b"FB", len(padding)) + padding
    fixed = _FIXED.pack(b"PK\x03\x04", 0, 0x808, 0, 0, 0, 0, 0, 0, len(name), len(extra))
    return fixed + name.encode() + extra
