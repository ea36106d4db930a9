"""Weight formats by name: how far to read into a file, and what its beginning says.

A new format is a module and a row here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hubmem.weights import gguf, safetensors, torch_pickle
from hubmem.weights.census import Basis, TensorGroup, fold_file
from hubmem.weights.gguf_config import config_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the beginning of a weight file says.

    Attributes:
        groups: its tensors.
        config: the model's config in the names of config.json, where the format holds one; else None.
    """

    groups: tuple[TensorGroup, ...]
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A weight format.

    Attributes:
        basis: how its counts are known.
        first_read: bytes to ask of a file at first, where nothing tells how many it needs.
        entry_bytes: that a tensor takes in the header beside its name; None where no index tells their number.
        needed: from the bytes read so far, how many are needed in all.
        read: from a file's beginning, its path and its length, what it holds.
        has_config: whether files of the format describe the model too.
    """

    basis: Basis
    first_read: int
    needed: Callable[[bytes], int]
    read: Callable[[bytes, str, int], Contents]
    has_config: bool = False
    entry_bytes: int | None = None


def _read_safetensors(head: bytes, path: str, file_nbytes: int) -> Contents:
    return Contents(groups=fold_file(safetensors.parse_file(head, path=path, file_nbytes=file_nbytes), path))


def _read_gguf(head: bytes, path: str, file_nbytes: int) -> Contents:
    header = gguf.parse_file(head, path=path, file_nbytes=file_nbytes)
    has_output = any(tensor.name == "output.weight" for tensor in header.tensors)
    return Contents(
        groups=fold_file(header.tensors, path), config=config_of(header.metadata, has_output=has_output)
    )


def _read_torch(head: bytes, path: str, file_nbytes: int) -> Contents:  # noqa: ARG001 - the length is not told
    stored = torch_pickle.parse_file(head, path=path)
    return Contents(groups=fold_file(stored.tensors, path, stored.copies))


FORMATS = {
    "safetensors": Format(
        basis="headers",
        # 64 KiB covers 73 % of the headers of single-file repos in one read.
        first_read=64 * 1024,
        needed=safetensors.bytes_needed,
        read=_read_safetensors,
        entry_bytes=safetensors.ENTRY_BYTES,
    ),
    "gguf": Format(
        basis="gguf",
        # Enough to reach the vocabulary, which tells how much is still to come.
        first_read=64 * 1024,
        needed=gguf.bytes_needed,
        read=_read_gguf,
        has_config=True,
    ),
    "torch": Format(
        basis="pickle",
        # The pickle of a state dict of some 400 tensors.
        first_read=64 * 1024,
        needed=torch_pickle.bytes_needed,
        read=_read_torch,
    ),
}
