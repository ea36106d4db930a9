"""Predicted pools and concurrencies of vLLM against lines of public start-up logs.

Each row is a fact of a log with where it was published. Logs print GiB with two digits, so that 0.25 % is as
near as they allow. The log or the size of its weights names the model, or else a comment says so.
"""

from typing import Any

import pytest
from hubmem.memory.engine_cache import (
    BlockLayout,
    PagedCache,
    block_layout,
)
from hubmem.models.architecture import Architecture
from hubmem.units import GIB

from tests.models.architectures import architecture_of
from tests.models.test_golden import published_config

TOLERANCE = 0.0025


def decoder(layers: int, kv_heads: int, head_dim: int = 128, heads: int = 64) -> dict[str, Any]:
    """An ordinary decoder by what a cache depends on."""
    return {
        "model_type": "llama", "head_dim": head_dim, "hidden_size": 4096, "intermediate_size": 11008,
        "num_attention_heads": heads, "num_hidden_layers": layers, "num_key_value_heads": kv_heads,
        "vocab_size": 32000,
    }  # fmt: skip


CONFIGS = {
    "Qwen/Qwen2.5-Math-1.5B": decoder(28, 2, heads=12),
    "rho-1b": decoder(22, 4, head_dim=64, heads=32),
    "mistralai/Mistral-Small-3.2-24B": decoder(40, 8, heads=32),
    "moonshotai/Kimi-K2-Thinking": published_config("moonshotai/Kimi-K2-Instruct"),
    "Qwen/Qwen3-Next-80B": published_config("Qwen/Qwen3-Next-80B-A3B-Thinking"),
    "google/gemma-4-26b-a4b-it": published_config("google/gemma-4-26B-A4B-it"),
    "Qwen/Qwen3-Coder-30B-A3B": decoder(48, 4, heads=32),
    "mistralai/Mistral-Small-4-119B": {
        "model_type": "mistral4", "hidden_size": 4096, "kv_lora_rank": 256, "num_attention_heads": 32,
        "num_hidden_layers": 36, "qk_nope_head_dim": 64, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "vocab_size": 131072,
    },
    "gemma-4 E4B": {
        "model_type": "gemma4_text", "attention_k_eq_v": False, "global_head_dim": 512, "head_dim": 256,
        "hidden_size": 2560, "intermediate_size": 10240, "num_attention_heads": 8, "num_hidden_layers": 42,
        "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 7, "num_key_value_heads": 2,
        "num_kv_shared_layers": 18, "sliding_window": 512, "vocab_size": 262144,
    },
    "DeepSeek-V4": {
        "model_type": "deepseek_v4", "head_dim": 512, "hidden_size": 4096, "index_head_dim": 128,
        "num_attention_heads": 64, "num_hidden_layers": 43, "sliding_window": 128, "vocab_size": 129280,
    },
    "LiquidAI/LFM2-700M": {
        "model_type": "lfm2", "block_dim": 1536, "conv_L_cache": 3, "full_attn_idxs": [2, 5, 8, 10, 12, 14],
        "hidden_size": 1536, "num_attention_heads": 24, "num_hidden_layers": 16, "num_key_value_heads": 8,
        "vocab_size": 65536,
    },
    "Qwen/Qwen3.5-27B": {
        "model_type": "qwen3_5_text", "full_attention_interval": 4, "head_dim": 256, "hidden_size": 5120,
        "intermediate_size": 17408, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 48, "linear_value_head_dim": 128,
        "num_attention_heads": 24, "num_hidden_layers": 64, "num_key_value_heads": 4, "vocab_size": 248320,
    },
    "Qwen/Qwen3.5-9B": {
        "model_type": "qwen3_5_text", "full_attention_interval": 4, "head_dim": 256, "hidden_size": 4096,
        "intermediate_size": 12288, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_value_head_dim": 128,
        "num_attention_heads": 16, "num_hidden_layers": 32, "num_key_value_heads": 4, "vocab_size": 248320,
    },
}  # fmt: skip


def architecture_named(name: str) -> Architecture:
    return architecture_of(CONFIGS.get(name) or published_config(name))


def layout_of(name: str, **settings: int) -> BlockLayout:
    layout = block_layout(architecture_named(name), PagedCache(**settings))
    assert layout is not None
    return layout


# tokens · bytes a token against the pool: model, settings, tokens, GiB, source.
POOLS: list[tuple[str, dict[str, int], int, float, str]] = [
    ("meta-llama/Meta-Llama-3-8B", {}, 91056, 11.12, "vllm-project/vllm usage issue, A100-40GB"),
    ("Qwen/Qwen2.5-1.5B-Instruct", {}, 88304, 2.36, "public log, T4"),
    ("Qwen/Qwen2.5-Math-1.5B", {}, 581312, 15.52, "public log, L4"),
    ("Qwen/Qwen2.5-Math-1.5B", {}, 1249840, 33.37, "public log, L40S"),
    ("meta-llama/Llama-3.2-3B-Instruct", {}, 22320, 2.38, "public log, RTX 4070 Laptop, GGUF weights"),
    ("meta-llama/Llama-3.2-3B-Instruct", {}, 58192, 6.22, "public log, T4"),
    ("meta-llama/Llama-3.2-1B", {}, 1215552, 37.1, "public log"),
    ("meta-llama/Llama-3.1-8B-Instruct", {}, 702800, 85.79, "public log, eager"),
    ("meta-llama/Llama-3.1-8B-Instruct", {}, 31232, 3.81, "public log, RTX 3090"),
    ("meta-llama/Llama-3.1-8B", {}, 37696, 4.6, "public log, A10"),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", {}, 239744, 12.8, "public log, V100"),
    ("Qwen/Qwen3-8B", {"tp": 4}, 422051, 14.49, "public log of DeepSeek-R1-0528-Qwen3-8B, 4 × 2080 Ti"),
    ("Qwen/Qwen3-8B", {}, 389888, 53.54, "public log, vLLM 0.19.1"),
    ("Qwen/Qwen3-4B", {}, 22304, 3.06, "public log, RTX 2060"),
    ("microsoft/phi-4", {}, 237040, 45.21, "public log, 4-bit weights"),
    ("facebook/opt-125m", {}, 592176, 20.33, "public log, RX 7900 XTX"),
    ("Qwen/Qwen2.5-VL-7B-Instruct", {}, 81632, 4.36, "public log of Qwen2-VL-7B, whose text config is equal"),
    ("mistralai/Mistral-Small-3.2-24B", {"block_tokens": 128}, 184832, 28.2, "llm-d-planner e50305a"),
    ("Qwen/Qwen3-30B-A3B-FP8", {"tp": 2}, 566016, 25.91, "public log, 2 × L40S"),
    ("Qwen/Qwen3-30B-A3B", {"tp": 4}, 100752, 2.31, "public log, 4 × RTX 3090"),
    ("Qwen/Qwen3-30B-A3B-FP8", {"cache_bits": 8}, 88176, 4.04, "public log, GB10, FP8 cache"),
    ("Qwen/Qwen2.5-7B-Instruct-AWQ", {}, 651504, 34.79, "public log, H200"),
    ("rho-1b", {}, 5848784, 122.71, "public log, H200"),
    # MLA: the whole latent on each of 8 ranks.
    ("moonshotai/Kimi-K2-Thinking", {"tp": 8}, 715072, 46.8, "vllm-project/recipes"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "tokens", "gib"),
    [row[:4] for row in POOLS],
    ids=[f"{row[0]}, {row[4]}" for row in POOLS],
)
def test_a_pool_of_the_logged_tokens_has_the_logged_size(
    name: str, settings: dict[str, int], tokens: int, gib: float
) -> None:
    layout = layout_of(name, **settings)
    assert layout.groups == 1
    # The logged GiB is rounded to two digits; the tokens are whole blocks of what was available.
    assert layout.request_bytes(tokens) / GIB == pytest.approx(gib, rel=TOLERANCE, abs=0.005)


def test_latent_attention_is_whole_on_every_rank() -> None:
    one, eight = (layout_of("moonshotai/Kimi-K2-Thinking", tp=tp).block_bytes for tp in (1, 8))
    assert one == eight == 16 * 61 * (512 + 64) * 2


def test_an_fp8_latent_of_sparse_attention_takes_656_bytes_and_its_indexer_132() -> None:
    architecture = architecture_named("deepseek-ai/DeepSeek-V3.2-Exp")
    layout = block_layout(architecture, PagedCache(block_tokens=64, cache_bits=8))
    assert layout is not None
    assert layout.block_bytes == 64 * 61 * (656 + 132)


# Groups of equal length: model, settings, groups and layers in each.
GROUPS = [
    ("google/gemma-3-1b-it", {}, (7, 4)),
    ("google/gemma-3-4b-it", {}, (7, 5)),
    ("Qwen/Qwen3-Next-80B", {"tp": 2}, (4, 12)),
    ("openai/gpt-oss-120b", {}, (2, 18)),
    ("google/gemma-4-26b-a4b-it", {}, (6, 5)),
]


@pytest.mark.parametrize(("name", "settings", "expected"), GROUPS, ids=[row[0] for row in GROUPS])
def test_layers_of_several_kinds_are_put_into_groups_of_equal_length(
    name: str, settings: dict[str, int], expected: tuple[int, int]
) -> None:
    layout = layout_of(name, **settings)
    full = next(kind for kind in layout.kinds if kind.kind == "full")
    assert full.groups == 1
    layers = architecture_named(name).layer_kinds["full_attention"]
    assert (layout.groups, layers) == expected


# The block that makes a page of attention no smaller than a state: FP8 halves the page, so the block doubles.
@pytest.mark.parametrize(("cache_bits", "block_tokens"), [(16, 544), (8, 1072)])
def test_blocks_beside_states_grow_until_a_state_fits_into_a_page(cache_bits: int, block_tokens: int) -> None:
    layout = layout_of("Qwen/Qwen3-Next-80B", tp=2, cache_bits=cache_bits)
    assert next(kind.block_tokens for kind in layout.kinds if kind.kind == "full") == block_tokens


# Hybrid pools: model, settings, pool in GiB, length, concurrency and tokens as logged.
HYBRIDS: list[tuple[str, dict[str, int], float, int, float, int]] = [
    ("google/gemma-3-1b-it", {"max_batched_tokens": 2048}, 25.39, 2048, 461.21, 950864),
    ("Qwen/Qwen3-Next-80B", {"tp": 2, "cache_bits": 8}, 17.58, 32768, 84.29, 767552),
    # Not named: known from the shapes of its expert kernels.
    ("Qwen/Qwen3-Next-80B", {"tp": 2}, 44.59, 262144, 14.77, 973760),
    # The log does not say its cache is FP8; with FP8 both figures follow, without it neither.
    (
        "google/gemma-4-26b-a4b-it", {"cache_bits": 8, "max_batched_tokens": 2048}, 51.62, 131072, 33.42,
        451040,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "pool", "length", "concurrency", "tokens"),
    HYBRIDS,
    ids=[f"{row[0]} {row[2]} GiB" for row in HYBRIDS],
)
def test_a_hybrid_s_concurrency_and_tokens_are_the_logged_ones(
    name: str, settings: dict[str, int], pool: float, length: int, concurrency: float, tokens: int
) -> None:
    layout = layout_of(name, **settings)
    nbytes = int(pool * GIB)
    assert layout.concurrency(nbytes, length) == pytest.approx(concurrency, rel=TOLERANCE)
    assert layout.tokens_in(nbytes) == pytest.approx(tokens, rel=TOLERANCE)


# "… GiB KV cache is needed" for one sequence: model, settings, length, GiB, source.
NEEDED: list[tuple[str, dict[str, int], int, float, str]] = [
    ("Qwen/Qwen3-Coder-30B-A3B", {}, 262144, 24.0, "vllm-project/vllm#34076"),
    ("meta-llama/Llama-3.1-8B-Instruct", {}, 131072, 16.0, "public log"),
    # Not named: known from its bytes a token, and from asking for ten times as much.
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", {"tp": 8}, 1048576, 24.0, "vllm-project/vllm#16118"),
    # Not named: known from its bytes a token, and from asking for ten times as much.
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", {"tp": 8}, 10485760, 240.0, "vllm-project/vllm#16118"),
    ("mistralai/Mistral-Small-4-119B", {}, 1048576, 22.5, "public log"),
    ("google/gemma-2-9b", {}, 8192, 2.63, "public log"),
    # Not named: known from its bytes a token.
    ("Qwen/Qwen3-30B-A3B-FP8", {"cache_bits": 8}, 221000, 10.12, "vllm-project/vllm#25350"),
    ("openai/gpt-oss-120b", {"max_batched_tokens": 1024}, 131072, 4.54, "public log"),
]


@pytest.mark.parametrize(
    ("name", "settings", "tokens", "gib"),
    [row[:4] for row in NEEDED],
    ids=[f"{row[0]} at {row[2]}, {row[4]}" for row in NEEDED],
)
def test_one_sequence_needs_what_the_error_says(
    name: str, settings: dict[str, int], tokens: int, gib: float
) -> None:
    assert layout_of(name, **settings).request_bytes(tokens) / GIB == pytest.approx(gib, rel=TOLERANCE)


def test_compressed_caches_are_not_laid_out_by_a_rule_that_is_not_theirs() -> None:
    assert block_layout(architecture_named("DeepSeek-V4"), PagedCache()) is None


def test_a_window_needs_no_more_blocks_than_the_sequence_has_and_one() -> None:
    layout = layout_of("google/gemma-3-1b-it", max_batched_tokens=2048)
    blocks = [layout.request_blocks(tokens) for tokens in (16, 512, 2560, 4096, 32768)]
    assert blocks == sorted(blocks)
    # Six groups of windows are full at 511 + 2,048 tokens; from there on the one full group grows.
    assert blocks[-1] - blocks[-2] == (32768 - 4096) // 16


@pytest.mark.parametrize("tp", [2, 4, 8, 16])
@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B", "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-30B-A3B"])
def test_ranks_together_hold_no_less_than_one_device(name: str, tp: int) -> None:
    assert layout_of(name, tp=tp).request_bytes(4096) * tp >= layout_of(name).request_bytes(4096)
