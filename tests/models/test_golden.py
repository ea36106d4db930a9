"""The cache of real models at 32,768 tokens in bfloat16, derived by hand from their published configs.

Each row's bytes are layers × positions × elements × 2, written out so that the derivation can be followed.
Only what grows with the sequence is counted here; windows count what they can see.
"""

import json
from importlib.resources import files
from typing import Any

import pytest
from hubmem.models.mixers import Span

from tests.models.architectures import architecture_of

TOKENS = 32_768

# MiMo-V2-Flash: 0 is a full layer, 1 one with a window.
MIMO_LAYERS = [0, *[1] * 4, *([0] + [1] * 5) * 7, 0]
NEMOTRON_NANO = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
NEMOTRON_56B = "M-M-M-M*-" + "M-M-M-M-M*-" * 9 + "M-M-M-M-M-"
KIMI_K3_FULL = [*range(4, 93, 4), 93]


def nas_block(*, attends: bool) -> dict[str, Any]:
    return {
        "attention": {"n_heads_in_group": 8 if attends else None, "no_op": not attends},
        "ffn": {"ffn_mult": 5.25, "no_op": False},
    }


CONFIGS: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-VL-32B-Instruct": {
        "model_type": "qwen3_vl",
        "text_config": {
            "model_type": "qwen3_vl_text", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 25600,
            "num_attention_heads": 64, "num_hidden_layers": 64, "num_key_value_heads": 8,
            "vocab_size": 151936,
        },
    },
    "Qwen/Qwen3.5-27B": {
        "model_type": "qwen3_5",
        "text_config": {
            "model_type": "qwen3_5_text", "full_attention_interval": 4, "head_dim": 256, "hidden_size": 5120,
            "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
            "linear_num_value_heads": 48, "linear_value_head_dim": 128, "num_attention_heads": 24,
            "num_hidden_layers": 64, "num_key_value_heads": 4, "vocab_size": 248320,
        },
    },
    "Qwen/Qwen3-Next-80B-A3B-Thinking": {
        "model_type": "qwen3_next", "full_attention_interval": 4, "head_dim": 256, "hidden_size": 2048,
        "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
        "linear_num_value_heads": 32, "linear_value_head_dim": 128, "num_attention_heads": 16,
        "num_experts": 512, "num_experts_per_tok": 10, "num_hidden_layers": 48, "num_key_value_heads": 2,
        "vocab_size": 151936,
    },
    "deepseek-ai/DeepSeek-V3.2-Exp": {
        "model_type": "deepseek_v32", "first_k_dense_replace": 3, "hidden_size": 7168, "index_head_dim": 128,
        "index_n_heads": 64, "index_topk": 2048, "kv_lora_rank": 512, "num_attention_heads": 128,
        "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 129280,
    },
    "moonshotai/Kimi-K2-Instruct": {
        "model_type": "kimi_k2", "first_k_dense_replace": 1, "hidden_size": 7168, "intermediate_size": 18432,
        "kv_lora_rank": 512, "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_routed_experts": 384,
        "n_shared_experts": 1, "num_attention_heads": 64, "num_experts_per_tok": 8, "num_hidden_layers": 61,
        "num_key_value_heads": 64, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "vocab_size": 163840,
    },
    "moonshotai/Kimi-K2.5": {
        "model_type": "kimi_k25",
        "text_config": {
            "model_type": "kimi_k2", "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512,
            "n_routed_experts": 384, "num_attention_heads": 64, "num_experts_per_tok": 8,
            "num_hidden_layers": 61, "num_key_value_heads": 64, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 163840, "first_k_dense_replace": 1,
        },
    },
    "moonshotai/Kimi-K3": {
        "model_type": "kimi_k3",
        "text_config": {
            "model_type": "kimi_linear", "hidden_size": 7168, "kv_lora_rank": 512,
            "linear_attn_config": {
                "full_attn_layers": KIMI_K3_FULL, "head_dim": 128, "num_heads": 96,
                "short_conv_kernel_size": 4,
                "kda_layers": [layer for layer in range(1, 94) if layer not in KIMI_K3_FULL],
            },
            "moe_intermediate_size": 3072, "num_attention_heads": 96, "num_experts": 896,
            "num_experts_per_token": 16, "num_hidden_layers": 93, "num_key_value_heads": 96,
            "num_shared_experts": 2, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
            "vocab_size": 163840,
        },
    },
    "zai-org/GLM-5": {
        "model_type": "glm_moe_dsa", "first_k_dense_replace": 3, "head_dim": 64, "hidden_size": 6144,
        "index_head_dim": 128, "kv_lora_rank": 512, "num_attention_heads": 64, "num_hidden_layers": 78,
        "num_key_value_heads": 64, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
        "vocab_size": 154880,
    },
    "google/gemma-4-26B-A4B-it": {
        "model_type": "gemma4",
        "text_config": {
            "model_type": "gemma4_text", "attention_k_eq_v": True, "enable_moe_block": True,
            "global_head_dim": 512, "head_dim": 256, "hidden_size": 2816, "intermediate_size": 2112,
            "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 5, "moe_intermediate_size": 704,
            "num_attention_heads": 16, "num_experts": 128, "num_global_key_value_heads": 2,
            "num_hidden_layers": 30, "num_key_value_heads": 8, "num_kv_shared_layers": 0,
            "sliding_window": 1024, "top_k_experts": 8, "use_bidirectional_attention": "vision",
            "vocab_size": 262144,
        },
    },
    "XiaomiMiMo/MiMo-V2-Flash": {
        "model_type": "mimo_v2_flash", "head_dim": 192, "hidden_size": 4096,
        "hybrid_layer_pattern": MIMO_LAYERS, "intermediate_size": 16384,
        "moe_intermediate_size": 2048, "moe_layer_freq": [0, *[1] * 47],
        "n_routed_experts": 256, "num_attention_heads": 64, "num_experts_per_tok": 8, "num_hidden_layers": 48,
        "num_key_value_heads": 4, "sliding_window": 128, "sliding_window_size": 128, "swa_head_dim": 192,
        "swa_num_attention_heads": 64, "swa_num_key_value_heads": 8, "swa_v_head_dim": 128, "v_head_dim": 128,
        "vocab_size": 152576,
    },
    "ai21labs/AI21-Jamba-Mini-1.5": {
        "model_type": "jamba", "attn_layer_offset": 4, "attn_layer_period": 8, "expert_layer_offset": 1,
        "expert_layer_period": 2, "hidden_size": 4096, "intermediate_size": 14336, "mamba_d_conv": 4,
        "mamba_d_state": 16, "mamba_expand": 2, "num_attention_heads": 32, "num_experts": 16,
        "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 65536,
    },
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": {
        "model_type": "nemotron_h", "conv_kernel": 4, "expand": 2, "head_dim": 128, "hidden_size": 2688,
        "hybrid_override_pattern": NEMOTRON_NANO, "intermediate_size": 1856, "mamba_head_dim": 64,
        "mamba_num_heads": 64, "moe_intermediate_size": 1856, "moe_shared_expert_intermediate_size": 3712,
        "n_groups": 8, "n_routed_experts": 128, "num_attention_heads": 32, "num_experts_per_tok": 6,
        "num_hidden_layers": 52, "num_key_value_heads": 2, "ssm_state_size": 128, "vocab_size": 131072,
    },
    "nvidia/Nemotron-H-56B-Base-8K": {
        "model_type": "nemotron_h", "attention_head_dim": 128, "conv_kernel": 4, "hidden_size": 8192,
        "hybrid_override_pattern": NEMOTRON_56B, "intermediate_size": 32768, "mamba_head_dim": 64,
        "mamba_num_heads": 256, "n_groups": 8, "num_attention_heads": 64, "num_hidden_layers": 118,
        "num_key_value_heads": 8, "ssm_state_size": 256, "vocab_size": 131072,
    },
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1": {
        "model_type": "nemotron-nas",
        # 49 of its 80 blocks kept their attention; which ones they are does not change the sum.
        "block_configs": [nas_block(attends=layer < 49) for layer in range(80)],
        "hidden_size": 8192, "intermediate_size": None, "num_attention_heads": 64, "num_hidden_layers": 80,
        "num_key_value_heads": None, "vocab_size": 128256,
    },
    "TheBloke/Llama-2-7B-GPTQ": {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 32, "vocab_size": 32000,
        "quantization_config": {"bits": 4, "group_size": 128, "quant_method": "gptq"},
    },
}  # fmt: skip

GOLDEN = [
    ("meta-llama/Llama-3.1-8B", 32 * TOKENS * 2 * 8 * 128 * 2),
    ("meta-llama/Llama-3.1-70B", 80 * TOKENS * 2 * 8 * 128 * 2),
    ("mistralai/Mixtral-8x7B-v0.1", 32 * TOKENS * 2 * 8 * 128 * 2),
    ("Qwen/Qwen3-0.6B", 28 * TOKENS * 2 * 8 * 128 * 2),
    # FP8 weights do not change it: Qwen3-32B-FP8 has the same text config.
    ("Qwen/Qwen3-32B", 64 * TOKENS * 2 * 8 * 128 * 2),
    ("Qwen/Qwen3-VL-32B-Instruct", 64 * TOKENS * 2 * 8 * 128 * 2),
    # One layer in four attends; the others keep a state.
    ("Qwen/Qwen3.5-27B", 16 * TOKENS * 2 * 4 * 256 * 2),
    ("Qwen/Qwen3-Next-80B-A3B-Thinking", 12 * TOKENS * 2 * 2 * 256 * 2),
    # A latent of 512 and a rotary part of 64, and 128 more where an indexer keeps its key.
    ("deepseek-ai/DeepSeek-V3", 61 * TOKENS * (512 + 64) * 2),
    ("deepseek-ai/DeepSeek-V3.2-Exp", 61 * TOKENS * (512 + 64 + 128) * 2),
    ("deepseek-ai/DeepSeek-V2-Lite", 27 * TOKENS * (512 + 64) * 2),
    ("moonshotai/Kimi-K2-Instruct", 61 * TOKENS * (512 + 64) * 2),
    ("moonshotai/Kimi-K2.5", 61 * TOKENS * (512 + 64) * 2),
    ("moonshotai/Kimi-K3", 24 * TOKENS * (512 + 64) * 2),
    ("zai-org/GLM-5", 78 * TOKENS * (512 + 64 + 128) * 2),
    # Every second layer sees 128 positions.
    ("openai/gpt-oss-20b", 12 * (TOKENS + 128) * 2 * 8 * 64 * 2),
    ("openai/gpt-oss-120b", 18 * (TOKENS + 128) * 2 * 8 * 64 * 2),
    # Every sixth of 62, and of 34, layers sees everything, the others 1,024 positions.
    ("google/gemma-3-27b-it", (10 * TOKENS + 52 * 1024) * 2 * 16 * 128 * 2),
    ("google/gemma-3-4b-it", (5 * TOKENS + 29 * 1024) * 2 * 4 * 256 * 2),
    # Full layers have 2 KV heads of 512, windowed ones 8 of 256.
    ("google/gemma-4-26B-A4B-it", 5 * TOKENS * 2 * 2 * 512 * 2 + 25 * 1024 * 2 * 8 * 256 * 2),
    # Chunks of 8,192 in three layers of four.
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", (12 * TOKENS + 36 * 8192) * 2 * 8 * 128 * 2),
    # Keys of 192 and values of 128; a window is the token itself and 128 before it, with twice the KV heads.
    ("XiaomiMiMo/MiMo-V2-Flash", 9 * TOKENS * 4 * (192 + 128) * 2 + 39 * 129 * 8 * (192 + 128) * 2),
    ("ai21labs/AI21-Jamba-Mini-1.5", 4 * TOKENS * 2 * 8 * 128 * 2),
    ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 6 * TOKENS * 2 * 2 * 128 * 2),
    ("nvidia/Nemotron-H-56B-Base-8K", 10 * TOKENS * 2 * 8 * 128 * 2),
    ("nvidia/Llama-3_3-Nemotron-Super-49B-v1", 49 * TOKENS * 2 * 8 * 128 * 2),
    ("tiiuae/falcon-7b", 32 * TOKENS * 2 * 1 * 64 * 2),
    ("tiiuae/falcon-40b", 60 * TOKENS * 2 * 8 * 64 * 2),
    ("mistralai/Mistral-7B-v0.1", 32 * 4096 * 2 * 8 * 128 * 2),
    ("TheBloke/Llama-2-7B-GPTQ", 32 * TOKENS * 2 * 32 * 128 * 2),
    ("openai-community/gpt2", 12 * TOKENS * 2 * 12 * 64 * 2),
    # Its own tokens and the encoder's, once each.
    ("google-t5/t5-base", 12 * 2 * TOKENS * 2 * 12 * 64 * 2),
    ("state-spaces/mamba-130m-hf", 0),
]


def published_config(repo: str) -> dict[str, Any]:
    if repo in CONFIGS:
        return CONFIGS[repo]
    path = files("hubmem") / "data" / "snapshots" / f"{repo.replace('/', '--')}.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["config"]
    return config


@pytest.mark.parametrize(("repo", "nbytes"), GOLDEN, ids=[repo for repo, _ in GOLDEN])
def test_what_grows_with_the_sequence_is_what_the_published_config_says(repo: str, nbytes: int) -> None:
    architecture = architecture_of(published_config(repo))
    kept = architecture.kept(Span(tokens=TOKENS, encoder_tokens=TOKENS))
    assert kept.cached * 2 == nbytes


# Convolution inputs in bfloat16 and states in float32, for one sequence however long.
STATES = [
    # 24 layers: 1,536 × (4 × 2 + 16 × 4).
    ("state-spaces/mamba-130m-hf", 24 * 1536 * (4 * 2 + 16 * 4)),
    # 28 layers of an inner width of 8,192.
    ("ai21labs/AI21-Jamba-Mini-1.5", 28 * 8192 * (4 * 2 + 16 * 4)),
    # 36 layers: (2 × 16 × 128 + 32 × 128) × 4 × 2 and 32 × 128 × 128 × 4.
    ("Qwen/Qwen3-Next-80B-A3B-Thinking", 36 * (8192 * 4 * 2 + 32 * 128 * 128 * 4)),
    # 69 layers of 96 heads: 3 × 96 × 128 × 4 × 2 and 96 × 128 × 128 × 4.
    ("moonshotai/Kimi-K3", 69 * (3 * 96 * 128 * 4 * 2 + 96 * 128 * 128 * 4)),
    # 23 layers of 64 heads of 64: the convolution also runs over 2 × 8 groups of 128.
    (
        "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
        23 * ((4096 + 2 * 8 * 128) * 4 * 2 + 4096 * 128 * 4),
    ),
]


@pytest.mark.parametrize(("repo", "nbytes"), STATES, ids=[repo for repo, _ in STATES])
def test_recurrent_states_keep_their_size_and_their_dtype(repo: str, nbytes: int) -> None:
    architecture = architecture_of(published_config(repo))
    for tokens in (1, TOKENS):
        kept = architecture.kept(Span(tokens=tokens))
        assert kept.model * 2 + kept.float32 * 4 == nbytes
