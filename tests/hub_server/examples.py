"""One small model in the shapes that tests ask for most: a single file, shards with their index, and as a LLaMA."""

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
# A whole architecture, which SMALL's config leaves to guess.
LLAMA_CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 20,
    "intermediate_size": 128,
    "vocab_size": 32,
}
SHARDED = {**SMALL, "repo": "org/sharded", "weights": {"format": "safetensors", "files": 3}}
LLAMA, SHARDED_LLAMA = ({**record, "config": LLAMA_CONFIG} for record in (SMALL, SHARDED))
# 64 parameters more.
LARGER_LLAMA = {**LLAMA, "tensors": [*SMALL["tensors"], ["more.weight", "BF16", [8, 8]]]}
ELEMENTS = {"BF16": 32 * 8 + 20 * 2 * 64, "I64": 16}


def small(**options: Any) -> Repo:
    return repo_from_record(SMALL, **options)


def sharded(**options: Any) -> Repo:
    return repo_from_record(SHARDED, **options)
