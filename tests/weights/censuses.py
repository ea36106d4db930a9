"""Censuses of a few tensors, as if one safetensors file held them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from hubmem.weights.census import Census, TensorGroup, fold_file, load_groups
from hubmem.weights.safetensors import Tensor

Row: TypeAlias = tuple[str, str, Sequence[int]]
_FILE = "model.safetensors"


def census_of_rows(rows: Iterable[Row]) -> Census:
    """Name or template, dtype and shape of each tensor, as snapshot records have them."""
    return _census(load_groups(json.dumps(list(rows)).encode(), _FILE))


def census_of(shapes: Mapping[str, tuple[int, ...]], dtype: str = "BF16") -> Census:
    """Tensors of one dtype, by their names."""
    return _census(fold_file([Tensor(name, dtype, shape) for name, shape in shapes.items()], _FILE))


def _census(groups: tuple[TensorGroup, ...]) -> Census:
    return Census(groups=groups, format="safetensors", files=1, basis="headers")
