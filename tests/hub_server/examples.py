"""One small model in the two shapes that tests ask for most: a single file, and shards with their index."""

from typing import Any

from .repos import Repo
from .snapshots import repo_from_record

SMALL: dict[str, Any] = {
    "schema": "hubmem.snapshot/1",
    "repo": "org/small",
    "gated": False,
    "library_name": "transformers",
    "pipeline_tag": "text-generation",
    "config": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8},
    "weights": {"format": "safetensors", "files": 1},
    "tensors": [
        ["embed.weight", "BF16", [32, 8]],
        ["layers.{0..19}.{1,2}.weight", "BF16", [8, 8]],
        ["ids", "I64", [1, 16]],
    ],
    "texts": {"README.md": "# Small\n", "notes/deep/a.txt": "a"},
}
SHARDED = {**SMALL, "repo": "org/sharded", "weights": {"format": "safetensors", "files": 3}}
ELEMENTS = {"BF16": 32 * 8 + 20 * 2 * 64, "I64": 16}


def small(**options: Any) -> Repo:
    return repo_from_record(SMALL, **options)


def sharded(**options: Any) -> Repo:
    return repo_from_record(SHARDED, **options)
