"""Snapshot records: a config and rows of tensor templates become a repo of real headers over virtual weights.

The expansion is the server's own, so that it and the package can be held against each other.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

from .blobs import Virtual
from .repos import Repo
from .tensors import Tensor, expand
from .torch_files import torch_file

Record: TypeAlias = Mapping[str, Any]


def repo_from_record(record: Record, **options: Any) -> Repo:
    """A repo for a ``hubmem.snapshot/1`` record; ``options`` are those of `Repo` (branches, private …)."""
    labels = (record.get("library_name"), record["weights"]["format"], record["config"].get("model_type"))
    defaults = {
        "gated": record.get("gated", False),
        "library_name": record.get("library_name"),
        "pipeline_tag": record.get("pipeline_tag"),
        "card_tags": tuple(label for label in labels if label),
    }
    return Repo(record["repo"], lambda: files_of(record), **{**defaults, **options})


def files_of(record: Record) -> dict[str, bytes | Virtual]:
    """Every file of a record's repo."""
    texts = {path: text.encode() for path, text in record.get("texts", {}).items()}
    config = json.dumps(record["config"], indent=2).encode() + b"\n"
    weights = weight_files(
        tensors_of(record), files=record["weights"]["files"], layout=record["weights"]["format"]
    )
    return {"config.json": config, **texts, **weights}


def tensors_of(record: Record) -> list[Tensor]:
    return [
        Tensor(name=name, dtype=dtype, shape=tuple(shape))
        for template, dtype, shape in record["tensors"]
        for name in expand(template)
    ]


def weight_files(
    tensors: Sequence[Tensor], *, files: int = 1, layout: str = "safetensors"
) -> dict[str, bytes | Virtual]:
    """One file, or ``files`` shards of about equal size and their index."""
    names = _LAYOUTS[layout]
    if files == 1:
        return {f"{names.stem}.{names.suffix}": names.write(tensors)}
    cuts = even_cuts([tensor.nbytes for tensor in tensors], files)
    shards = {
        f"{names.stem}-{number:05d}-of-{files:05d}.{names.suffix}": tensors[start:stop]
        for number, (start, stop) in enumerate(pairwise(cuts), 1)
    }
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors)},
        "weight_map": {tensor.name: shard for shard, held in shards.items() for tensor in held},
    }
    index_text = json.dumps(index, indent=2, sort_keys=True).encode() + b"\n"
    written = {shard: names.write(held) for shard, held in shards.items()}
    return {f"{names.stem}.{names.suffix}.index.json": index_text, **written}


def even_cuts(sizes: Sequence[int], parts: int) -> list[int]:
    """Where to cut so that every part holds something, and each cut comes once its share of bytes is full.

    >>> even_cuts([4, 4, 4, 4], 2), even_cuts([90, 1, 1, 1], 3)
    ([0, 2, 4], [0, 1, 2, 4])
    """
    if len(sizes) < parts:
        raise ValueError(f"{len(sizes)} tensors cannot fill {parts} files")
    ends = list(accumulate(sizes))
    cuts = [0]
    for part in range(1, parts):
        full = bisect_left(ends, ends[-1] * part / parts) + 1
        cuts.append(min(max(full, cuts[-1] + 1), len(sizes) - (parts - part)))
    return [*cuts, len(sizes)]


def safetensors_file(tensors: Sequence[Tensor]) -> Virtual:
    """The header safetensors itself would write (wide dtypes first, then by name) over virtual weights."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (-tensor.bits, tensor.name)):
        start, end = end, end + tensor.nbytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    prefix = len(text).to_bytes(8, "little") + text
    return Virtual(prefix, len(prefix) + end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How the files of a weight format are named and written."""

    stem: str
    suffix: str
    write: Callable[[Sequence[Tensor]], Virtual]


_LAYOUTS = {
    "safetensors": _Layout(stem="model", suffix="safetensors", write=safetensors_file),
    "pytorch": _Layout(stem="pytorch_model", suffix="bin", write=torch_file),
}
