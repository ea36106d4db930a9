"""Small models to scan: each a llama in miniature, so that everything but its size is as on the Hub."""

from typing import Any

from tests.hub_server import Repo, files_of, repo_from_record

VOCABULARY = 256


def parameters(vocabulary: int = VOCABULARY) -> int:
    attention, feed_forward, norms = 2 * 64 * 64 + 2 * 32 * 64, 3 * 128 * 64, 2 * 64
    return 2 * vocabulary * 64 + 2 * (attention + feed_forward + norms) + 64


def record(repo: str, *, vocabulary: int = VOCABULARY, files: int = 1, **config: Any) -> dict[str, Any]:
    """A snapshot record; models of different vocabularies have no file in common."""
    layer = "model.layers.{0..1}"
    return {
        "schema": "hubmem.snapshot/1",
        "repo": repo,
        "gated": False,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "config": {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": vocabulary,
            "max_position_embeddings": 2048,
            "torch_dtype": "bfloat16",
            "tie_word_embeddings": False,
            **config,
        },
        "weights": {"format": "safetensors", "files": files},
        "tensors": [
            ["model.embed_tokens.weight", "BF16", [vocabulary, 64]],
            [f"{layer}.self_attn.q_proj.weight", "BF16", [64, 64]],
            [f"{layer}.self_attn.k_proj.weight", "BF16", [32, 64]],
            [f"{layer}.self_attn.v_proj.weight", "BF16", [32, 64]],
            [f"{layer}.self_attn.o_proj.weight", "BF16", [64, 64]],
            [f"{layer}.mlp.gate_proj.weight", "BF16", [128, 64]],
            [f"{layer}.mlp.up_proj.weight", "BF16", [128, 64]],
            [f"{layer}.mlp.down_proj.weight", "BF16", [64, 128]],
            [f"{layer}.input_layernorm.weight", "BF16", [64]],
            [f"{layer}.post_attention_layernorm.weight", "BF16", [64]],
            ["model.norm.weight", "BF16", [64]],
            ["lm_head.weight", "BF16", [vocabulary, 64]],
        ],
    }


def model(
    repo: str,
    *,
    vocabulary: int = VOCABULARY,
    files: int = 1,
    config: dict[str, Any] | None = None,
    **options: Any,
) -> Repo:
    return repo_from_record(record(repo, vocabulary=vocabulary, files=files, **(config or {})), **options)


def models(count: int, *, owner: str = "org") -> list[Repo]:
    """So many, no two alike, every fifth in three files."""
    return [
        model(f"{owner}/m{number}", vocabulary=VOCABULARY + number, files=1 if number % 5 else 3)
        for number in range(count)
    ]


def without_weights(repo: str) -> Repo:
    return Repo(repo, {"config.json": b"{}", "README.md": b"#"})


def moved(repo: str) -> dict[str, Any]:
    """The files of a further commit: a longer context."""
    return files_of(record(repo, max_position_embeddings=4096))
