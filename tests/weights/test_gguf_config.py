"""GGUF metadata says the same of a model as its config.json: the same layers, and so the same cache."""

import re
from typing import Any

import pytest
from hubmem.errors import MalformedConfig
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.weights.gguf import Skipped
from hubmem.weights.gguf_config import config_of

from tests.models.architectures import architecture_of
from tests.weights.records import RECORDS

# The keys convert_hf_to_gguf.py writes for the published config of each repo.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "meta-llama/Llama-3.1-8B": (
        "llama",
        {
            "block_count": 32, "context_length": 131072, "embedding_length": 4096,
            "feed_forward_length": 14336,
            "attention.head_count": 32, "attention.head_count_kv": 8, "rope.dimension_count": 128,
            "rope.scaling.original_context_length": 8192, "vocab_size": 128256,
        },
    ),
    "mistralai/Mixtral-8x7B-v0.1": (
        "llama",
        {
            "block_count": 32, "context_length": 32768, "embedding_length": 4096,
            "feed_forward_length": 14336,
            "attention.head_count": 32, "attention.head_count_kv": 8, "expert_count": 8,
            "expert_used_count": 2,
            "vocab_size": 32000,
        },
    ),
    "Qwen/Qwen3-0.6B": (
        "qwen3",
        {
            "block_count": 28, "context_length": 40960, "embedding_length": 1024,
            "feed_forward_length": 3072,
            "attention.head_count": 16, "attention.head_count_kv": 8, "attention.key_length": 128,
            "attention.value_length": 128,
        },
    ),
    "Qwen/Qwen3-30B-A3B": (
        "qwen3moe",
        {
            "block_count": 48, "context_length": 40960, "embedding_length": 2048,
            "feed_forward_length": 6144,
            "attention.head_count": 32, "attention.head_count_kv": [4] * 48, "attention.key_length": 128,
            "attention.value_length": 128, "expert_count": 128, "expert_used_count": 8,
            "expert_feed_forward_length": 768,
        },
    ),
    "google/gemma-2-9b": (
        "gemma2",
        {
            "block_count": 42, "context_length": 8192, "embedding_length": 3584,
            "feed_forward_length": 14336,
            "attention.head_count": 16, "attention.head_count_kv": 8, "attention.key_length": 256,
            "attention.value_length": 256, "attention.sliding_window": 4096,
        },
    ),
    "google/gemma-3-1b-it": (
        "gemma3",
        {
            "block_count": 26, "context_length": 32768, "embedding_length": 1152,
            "feed_forward_length": 6912,
            "attention.head_count": 4, "attention.head_count_kv": 1, "attention.key_length": 256,
            "attention.value_length": 256, "attention.sliding_window": 512,
        },
    ),
    "openai/gpt-oss-20b": (
        "gpt-oss",
        {
            "block_count": 24, "context_length": 131072, "embedding_length": 2880,
            "feed_forward_length": 2880,
            "attention.head_count": 64, "attention.head_count_kv": 8, "attention.key_length": 64,
            "attention.value_length": 64, "attention.sliding_window": 128, "expert_count": 32,
            "expert_used_count": 4, "expert_feed_forward_length": 2880,
        },
    ),
    "deepseek-ai/DeepSeek-V3": (
        "deepseek2",
        {
            "block_count": 61, "context_length": 163840, "embedding_length": 7168,
            "feed_forward_length": 18432,
            "attention.head_count": 128, "attention.head_count_kv": 1, "attention.q_lora_rank": 1536,
            "attention.kv_lora_rank": 512, "attention.key_length": 576, "attention.value_length": 512,
            "attention.key_length_mla": 192, "attention.value_length_mla": 128, "rope.dimension_count": 64,
            "expert_count": 256, "expert_used_count": 8, "expert_shared_count": 1, "expert_gating_func": 2,
            "expert_feed_forward_length": 2048, "leading_dense_block_count": 3,
        },
    ),
    "deepseek-ai/DeepSeek-V2-Lite": (
        "deepseek2",
        {
            "block_count": 27, "context_length": 163840, "embedding_length": 2048,
            "feed_forward_length": 10944,
            "attention.head_count": 16, "attention.head_count_kv": 16, "attention.kv_lora_rank": 512,
            "attention.key_length": 192, "attention.value_length": 128, "rope.dimension_count": 64,
            "expert_count": 64, "expert_used_count": 6, "expert_shared_count": 2, "expert_gating_func": 1,
            "expert_feed_forward_length": 1408, "leading_dense_block_count": 1,
        },
    ),
    "microsoft/Phi-3-mini-4k-instruct": (
        "phi3",
        {
            "block_count": 32, "context_length": 4096, "embedding_length": 3072,
            "feed_forward_length": 8192,
            "attention.head_count": 32, "attention.head_count_kv": 32, "attention.sliding_window": 2047,
            "rope.dimension_count": 96,
        },
    ),
    "tiiuae/falcon-7b": (
        "falcon",
        {
            "block_count": 32, "context_length": 2048, "embedding_length": 4544,
            "feed_forward_length": 18176,
            "attention.head_count": 71, "attention.head_count_kv": 1,
        },
    ),
    "openai-community/gpt2": (
        "gpt2",
        {
            "block_count": 12, "context_length": 1024, "embedding_length": 768,
            "feed_forward_length": 3072,
            "attention.head_count": 12,
        },
    ),
    "google-bert/bert-base-uncased": (
        "bert",
        {
            "block_count": 12, "context_length": 512, "embedding_length": 768,
            "feed_forward_length": 3072,
            "attention.head_count": 12,
        },
    ),
    "bigscience/bloom-560m": (
        "bloom",
        {
            "block_count": 24, "context_length": 2048, "embedding_length": 1024,
            "feed_forward_length": 4096,
            "attention.head_count": 16, "attention.head_count_kv": 16,
        },
    ),
    "google-t5/t5-base": (
        "t5",
        {
            "block_count": 12, "decoder_block_count": 12, "context_length": 512, "embedding_length": 768,
            "feed_forward_length": 3072, "attention.head_count": 12, "attention.key_length": 64,
            "attention.value_length": 64,
        },
    ),
    "state-spaces/mamba-130m-hf": (
        "mamba",
        {
            "block_count": 24, "context_length": 1048576, "embedding_length": 768,
            "feed_forward_length": 0,
            "attention.head_count": 0, "ssm.conv_kernel": 4, "ssm.inner_size": 1536, "ssm.state_size": 16,
            "ssm.time_step_rank": 48,
        },
    ),
}  # fmt: skip


def metadata(architecture: str, own: dict[str, Any]) -> dict[str, Any]:
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{key}": value for key, value in own.items()},
    }


def translated(architecture: str, own: dict[str, Any]) -> dict[str, Any]:
    config = config_of(metadata(architecture, own), has_output=True)
    assert config is not None
    return config


@pytest.mark.parametrize("repo", PUBLISHED)
def test_the_metadata_of_a_model_describes_the_layers_its_config_does(repo: str) -> None:
    from_gguf = architecture_of(translated(*PUBLISHED[repo]))
    from_config = architecture_of(RECORDS[repo]["config"])
    assert from_gguf.layers == from_config.layers
    assert from_gguf.hidden_size == from_config.hidden_size


def test_a_context_length_is_not_the_one_before_rope_was_scaled() -> None:
    """hf-mem 0.5.6 takes any key that ends in context_length: 8,192 of Llama-3.1's 131,072."""
    assert translated(*PUBLISHED["meta-llama/Llama-3.1-8B"])["max_position_embeddings"] == 131072


def test_the_vocabulary_is_counted_where_its_size_is_not_said() -> None:
    own = {"block_count": 2, "embedding_length": 64}
    described = metadata("qwen2", own) | {"tokenizer.ggml.tokens": Skipped(length=151936)}
    assert (config_of(described, has_output=True) or {})["vocab_size"] == 151936


@pytest.mark.parametrize("has_output", [True, False])
def test_a_model_without_an_output_matrix_ties_it_to_the_embedding(has_output: bool) -> None:
    config = config_of(metadata("qwen2", {"block_count": 2}), has_output=has_output)
    assert config is not None
    assert config["tie_word_embeddings"] != has_output


def test_draft_layers_are_not_counted_among_the_layers() -> None:
    assert translated("glm4moe", {"block_count": 47, "nextn_predict_layers": 1})["num_hidden_layers"] == 46


@pytest.mark.parametrize(
    ("architecture", "key"),
    [
        ("qwen3", "nextn_predict_layers"),
        ("deepseek2", "rope.dimension_count"),
        ("deepseek2", "attention.key_length"),
    ],
)
@pytest.mark.parametrize("value", ["x", [1, 2], 1.5, float("nan"), Skipped(length=5)], ids=str)
def test_a_number_of_another_type_is_refused_by_its_key(architecture: str, key: str, value: Any) -> None:
    with pytest.raises(MalformedConfig, match=rf"^{re.escape(key)}: expected a whole number"):
        translated(architecture, {"block_count": 2, key: value})


def test_layers_without_kv_heads_are_of_the_other_kind_their_family_has() -> None:
    config = translated("lfm2", {"block_count": 4, "attention.head_count_kv": [0, 0, 8, 0]})
    assert config["layer_types"] == ["conv", "conv", "full_attention", "conv"]
    assert config["num_key_value_heads"] == 8


@pytest.mark.parametrize(
    ("architecture", "own", "model_type"),
    [
        ("a-new-one", {"block_count": 4}, "a-new-one"),
        (
            "llama",
            {"block_count": 2, "attention.head_count_kv": [8, 4]},
            "llama, layers of different num_key_value_heads",
        ),
    ],
)
def test_what_has_no_row_is_taken_for_nothing_else(
    architecture: str, own: dict[str, Any], model_type: str
) -> None:
    config = translated(architecture, own)
    assert config["model_type"] == model_type
    assert read_architecture(Config(config)) is None


@pytest.mark.parametrize(
    "described", [{}, {"general.architecture": "llama"}, {"general.architecture": 5}, {"split.no": 1}]
)
def test_the_later_files_of_a_split_describe_no_model(described: dict[str, Any]) -> None:
    assert config_of(described, has_output=False) is None
