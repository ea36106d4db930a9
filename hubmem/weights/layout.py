"""Which files of a repo hold its weights. Pure: a rule over names.

An index is authoritative: only the files it names count, whatever else lies beside them. Loaders of the
transformers line look for `model.*` first, then for the names other libraries give.
"""

import json
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from hubmem.errors import MalformedWeights, NoWeights
from hubmem.weights.safetensors import unique_object

_INDEX_SUFFIX = ".safetensors.index.json"
_FILE_SUFFIX = ".safetensors"
# In the order loaders prefer them: transformers, Mistral's own format, diffusers' single components.
_STEMS = ("model", "consolidated", "diffusion_pytorch_model")
_ADAPTER = "adapter_model.safetensors"
# Formats without a reader here, by the files that give them away, with what to do instead.
_OTHER_FORMATS = (
    (".gguf", "GGUF"),
    (".bin", "PyTorch .bin"),
    (".pth", "PyTorch .pth"),
    (".pt", "PyTorch .pt"),
    (".onnx", "ONNX"),
    (".msgpack", "Flax"),
    (".h5", "TensorFlow"),
    (".nemo", "NeMo"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the weights lie: in the files an index names, or in the files listed.

    Attributes:
        index: path of the index, or None.
        files: the weight files; empty where only the index knows them.
        notes: files that were passed over and why.
    """

    index: str | None
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose(paths: Iterable[str]) -> Layout:
    """The layout of a repo with these files.

    >>> choose(["config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors"]).index
    'model.safetensors.index.json'

    Raises:
        NoWeights: no safetensors file; the message names what there is instead.
    """
    names = set(paths)
    roots = {name for name in names if "/" not in name}
    for stem in _STEMS:
        single, index = stem + _FILE_SUFFIX, stem + _INDEX_SUFFIX
        if index in roots:
            stray = single in roots
            note = f"{single} lies beside {index} and is not counted: loaders follow the index."
            return Layout(index=index, files=(), notes=(note,) if stray else ())
        if single in roots:
            return Layout(index=None, files=(single,))
    return _unusual(names, roots)


def _unusual(names: set[str], roots: set[str]) -> Layout:
    """A layout no loader has a fixed name for: one odd index, or one odd file."""
    if _ADAPTER in roots:
        raise NoWeights("The repo is an adapter: it holds changes to a base model, not a model.")
    indexes = sorted(name for name in names if name.endswith(_INDEX_SUFFIX))
    if len(indexes) == 1:
        return Layout(index=indexes[0], files=())
    singles = sorted(name for name in names if name.endswith(_FILE_SUFFIX))
    if len(singles) == 1:
        return Layout(
            index=None, files=(singles[0],), notes=(f"Weights are in {singles[0]}, an unusual name.",)
        )
    if "model_index.json" in roots:
        raise NoWeights(
            "The repo is a diffusers pipeline of several models.", hint="Name one component's repo."
        )
    if singles:
        raise NoWeights(
            f"{len(singles)} safetensors files, and none is named as a model's: {', '.join(singles[:3])}, …"
        )
    present = [label for suffix, label in _OTHER_FORMATS if any(name.endswith(suffix) for name in names)]
    if present:
        raise NoWeights(f"No safetensors weights; the repo holds {' and '.join(present)}.")
    raise NoWeights(
        "The repo holds no weights.", hint="Is it a dataset, a tokenizer or a repo still to be filled?"
    )


def shards_in(index_text: str, index: str) -> tuple[str, ...]:
    """The files an index names, sorted, joined to the index's folder.

    Raises:
        MalformedWeights: not an index, or it names files outside its folder.
    """
    try:
        value = json.loads(index_text, object_pairs_hook=unique_object)
    except (ValueError, RecursionError) as error:
        raise MalformedWeights(index, f"not valid JSON: {error}") from error
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(v, str) for v in weight_map.values())
    ):
        raise MalformedWeights(index, "it has no weight_map from tensor names to files.")
    return tuple(shard_path(index, shard) for shard in sorted(set(weight_map.values())))


def shard_path(index: str, shard: str) -> str:
    """A shard's path in the repo.

    >>> shard_path("unet/model.safetensors.index.json", "model-00001-of-00002.safetensors")
    'unet/model-00001-of-00002.safetensors'

    Raises:
        MalformedWeights: the name leads out of the index's folder.
    """
    if "://" in shard or shard.startswith("/") or ".." in shard.split("/") or "\\" in shard:
        raise MalformedWeights(index, f"it names {shard!r}, outside its own folder.")
    return posixpath.join(posixpath.dirname(index), shard)
