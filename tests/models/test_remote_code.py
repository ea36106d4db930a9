"""Models without a class in transformers are read from the fields their repos publish."""

from typing import Any

import pytest
from hubmem.models.architecture import Dense, Experts
from hubmem.models.mixers import Span

from tests.models.architectures import architecture_of

COMMON = {"vocab_size": 1000, "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32}

# Elements one token adds to the cache, by layers × 2 × KV heads × head dim.
GROWTH: list[tuple[str, dict[str, Any], int]] = [
    (
        "chatglm, GLM-4-9B: groups of 2",
        {
            "model_type": "chatglm", "num_layers": 40, "hidden_size": 4096, "num_attention_heads": 32,
            "multi_query_attention": True, "multi_query_group_num": 2, "kv_channels": 128,
            "ffn_hidden_size": 13696, "padded_vocab_size": 151552, "seq_length": 131072,
        },
        40 * 2 * 2 * 128,
    ),
    ("internlm2-7b", {**COMMON, "model_type": "internlm2", "num_hidden_layers": 32, "num_key_value_heads": 8},
     32 * 2 * 8 * 128),
    ("Baichuan-7B", {**COMMON, "model_type": "baichuan", "num_hidden_layers": 32}, 32 * 2 * 32 * 128),
    ("Qwen-7B of 2023", {**COMMON, "model_type": "qwen", "num_hidden_layers": 32, "kv_channels": 128},
     32 * 2 * 32 * 128),
    ("EXAONE-3.5-7.8B", {**COMMON, "model_type": "exaone", "num_layers": 32, "num_key_value_heads": 8},
     32 * 2 * 8 * 128),
    (
        "Hunyuan-Large: every second layer reads the cache of the one before",
        {
            "model_type": "hunyuan", "vocab_size": 129024, "hidden_size": 6400, "intermediate_size": 18304,
            "num_attention_heads": 80, "num_key_value_heads": 8, "num_hidden_layers": 64, "use_cla": True,
            "cla_share_factor": 2, "num_experts": 16, "moe_topk": 1,
        },
        32 * 2 * 8 * 80,
    ),
    (
        "Step-3: one group",
        {
            "model_type": "step3_vl",
            "text_config": {
                "vocab_size": 128815, "hidden_size": 7168, "intermediate_size": 18432, "head_dim": 256,
                "num_attention_heads": 64, "num_attention_groups": 1, "num_hidden_layers": 61,
                "moe_num_experts": 48, "moe_top_k": 3, "moe_intermediate_size": 5120,
                "share_expert_dim": 5120,
                "moe_layers_enum": ",".join(map(str, range(4, 60))),
            },
        },
        61 * 2 * 1 * 256,
    ),
    (
        "MiniMax-M1: one layer in eight attends",
        {
            "model_type": "minimax_m1", "vocab_size": 200064, "hidden_size": 6144, "intermediate_size": 9216,
            "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128, "num_hidden_layers": 80,
            "attn_type_list": [*[0] * 7, 1] * 10, "num_local_experts": 32, "num_experts_per_tok": 2,
        },
        10 * 2 * 8 * 128,
    ),
    (
        "Ring-mini-linear-2.0: one layer in five attends",
        {
            "model_type": "bailing_moe_linear", "vocab_size": 157184, "hidden_size": 2048, "head_dim": 128,
            "intermediate_size": 5120, "num_attention_heads": 16, "num_key_value_heads": 4,
            "num_hidden_layers": 20, "layer_group_size": 5, "num_experts": 256, "num_experts_per_tok": 8,
            "moe_intermediate_size": 512, "first_k_dense_replace": 1, "num_shared_experts": 1,
        },
        4 * 2 * 4 * 128,
    ),
    (
        "DeepSeek-VL2-tiny: no latent",
        {
            "model_type": "deepseek_vl_v2",
            "language_config": {
                "model_type": "deepseek_v2", "vocab_size": 129280, "hidden_size": 1280, "use_mla": False,
                "intermediate_size": 6848, "num_attention_heads": 10, "num_key_value_heads": 10,
                "num_hidden_layers": 12, "kv_lora_rank": None, "q_lora_rank": None, "v_head_dim": 0,
                "qk_nope_head_dim": 0, "qk_rope_head_dim": 0,
            },
        },
        12 * 2 * 10 * 128,
    ),
    (
        "InternVL2-8B: the language model is an InternLM 2",
        {
            "model_type": "internvl_chat",
            "llm_config": {
                **COMMON, "model_type": "internlm2", "num_hidden_layers": 32, "num_key_value_heads": 8
            },
        },
        32 * 2 * 8 * 128,
    ),
    (
        "OpenELM: heads of their own in each layer",
        {
            "model_type": "openelm", "vocab_size": 32000, "model_dim": 1280, "head_dim": 64,
            "num_transformer_layers": 2, "num_query_heads": [12, 16], "num_kv_heads": [3, 4],
            "ffn_multipliers": [0.5, 4.0], "ffn_dim_divisor": 256,
        },
        2 * (3 + 4) * 64,
    ),
    (
        "DeciLM-7B: KV heads of their own in each layer",
        {**COMMON, "model_type": "deci", "num_hidden_layers": 3, "num_key_value_heads_per_layer": [4, 2, 1]},
        2 * (4 + 2 + 1) * 128,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("config", "elements"), [row[1:] for row in GROWTH], ids=[row[0] for row in GROWTH])
def test_what_one_token_adds(config: dict[str, Any], elements: int) -> None:
    architecture = architecture_of(config)
    longer, shorter = (architecture.kept(Span(tokens=tokens)).cached for tokens in (1001, 1000))
    assert longer - shorter == elements


def of(name: str) -> dict[str, Any]:
    return next(config for label, config, _ in GROWTH if label.startswith(name))


def test_lightning_attention_keeps_a_matrix_for_each_head() -> None:
    minimax = architecture_of(of("MiniMax-M1"))
    assert minimax.kept(Span(tokens=1)).model == 70 * 64 * 128 * 128


def test_step_3_has_experts_in_the_layers_it_lists() -> None:
    step = architecture_of(of("Step-3"))
    sparse = [isinstance(layer.feed_forward, Experts) for layer in step.layers]
    assert sparse == [4 <= layer < 60 for layer in range(61)]


def test_openelm_rounds_its_widths_to_multiples() -> None:
    openelm = architecture_of(of("OpenELM"))
    assert [layer.feed_forward for layer in openelm.layers] == [
        Dense(width=768, gated=True),
        Dense(width=5120, gated=True),
    ]


def test_a_searched_block_without_attention_keeps_nothing_and_its_width_is_rounded_up() -> None:
    block = {"attention": {"no_op": True, "n_heads_in_group": None}, "ffn": {"ffn_mult": 2.625}}
    config = {**COMMON, "model_type": "nemotron-nas", "hidden_size": 8192, "num_hidden_layers": 1}
    architecture = architecture_of({**config, "block_configs": [block]})
    assert architecture.layers[0].mixers == ()
    assert architecture.layers[0].feed_forward == Dense(width=14336, gated=True)
