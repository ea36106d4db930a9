"""The index of a sharded checkpoint: which tensors lie in which file, and what it claims of their sizes."""

import json
import posixpath
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote

from hubmem.errors import MalformedWeights
from hubmem.weights.safetensors import unique_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index as it was published.

    Attributes:
        tensors: for each shard's path in the repo, sorted, the number of tensors the index puts there.
        name_characters: for each shard, the characters of their names, by which a header's length is guessed.
        total_bytes: what it claims all tensors take, or None.
    """

    tensors: dict[str, int]
    name_characters: dict[str, int]
    total_bytes: int | None


def parse_index(text: str, path: str) -> Index:
    """The index in a file.

    Raises:
        MalformedWeights: not an index, or it names files outside its folder.
    """
    try:
        value = json.loads(text, object_pairs_hook=unique_object)
    except (ValueError, RecursionError) as error:
        raise MalformedWeights(path, f"not valid JSON: {error}") from error
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(shard, str) for shard in weight_map.values())
    ):
        raise MalformedWeights(path, "it has no weight_map from tensor names to files.")
    tensors, characters = Counter(weight_map.values()), Counter[str]()
    for name, shard in weight_map.items():
        characters[shard] += len(name)
    paths = {shard: shard_path(path, shard) for shard in sorted(tensors)}
    return Index(
        tensors={paths[shard]: tensors[shard] for shard in paths},
        name_characters={paths[shard]: characters[shard] for shard in paths},
        total_bytes=claimed_bytes(value.get("metadata")),
    )


def claimed_bytes(metadata: object) -> int | None:
    """The `total_size` an index claims, or None where it claims none that could be one."""
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    if isinstance(total, float) and total.is_integer():
        total = int(total)
    return total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else None


def shard_path(index: str, shard: str) -> str:
    """A shard's path in the repo.

    >>> shard_path("unet/model.safetensors.index.json", "model-00001-of-00002.safetensors")
    'unet/model-00001-of-00002.safetensors'

    Raises:
        MalformedWeights: the name leads out of the index's folder.
    """
    decoded = unquote(unquote(shard))
    if (
        not shard
        or "://" in decoded
        or decoded.startswith("/")
        or "\\" in decoded
        or not {".", ".."}.isdisjoint(decoded.split("/"))
    ):
        raise MalformedWeights(index, f"it names {shard!r}, outside its own folder.")
    return posixpath.join(posixpath.dirname(index), shard)
