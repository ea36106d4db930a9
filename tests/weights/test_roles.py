"""Names of tensors, as published checkpoints spell them, and what they are for."""

import re

import pytest
from hubmem.weights.roles import Role, role_of

from tests.weights.records import RECORDS, Record, stored_census

MATRIX = (64, 64)
VECTOR = (64,)
MASK = (1, 1, 64, 64)


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        # LLaMA, Mistral, Qwen, Gemma
        ("model.embed_tokens.weight", MATRIX, Role.EMBEDDING),
        ("model.layers.0.self_attn.q_proj.weight", MATRIX, Role.ATTENTION),
        ("model.layers.0.self_attn.q_proj.bias", VECTOR, Role.ATTENTION),
        ("model.layers.0.self_attn.q_norm.weight", VECTOR, Role.NORM),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", VECTOR, Role.BUFFER),
        ("model.layers.0.mlp.gate_proj.weight", MATRIX, Role.MLP),
        ("model.layers.0.mlp.gate_up_proj.weight", MATRIX, Role.MLP),
        ("model.layers.0.mlp.down_proj.weight", MATRIX, Role.MLP),
        ("model.layers.0.input_layernorm.weight", VECTOR, Role.NORM),
        ("model.layers.0.pre_feedforward_layernorm.weight", VECTOR, Role.NORM),
        ("model.norm.weight", VECTOR, Role.NORM),
        ("lm_head.weight", MATRIX, Role.HEAD),
        # mixtures of experts
        ("model.layers.0.block_sparse_moe.gate.weight", MATRIX, Role.ROUTER),
        ("model.layers.0.block_sparse_moe.experts.3.w1.weight", MATRIX, Role.EXPERTS),
        ("model.layers.3.mlp.gate.weight", MATRIX, Role.ROUTER),
        ("model.layers.3.mlp.gate.e_score_correction_bias", VECTOR, Role.BUFFER),
        ("model.layers.3.mlp.experts.7.gate_proj.weight", MATRIX, Role.EXPERTS),
        ("model.layers.3.mlp.shared_experts.gate_proj.weight", MATRIX, Role.SHARED_EXPERTS),
        ("model.layers.3.mlp.shared_expert_gate.weight", MATRIX, Role.ROUTER),
        ("model.layers.3.mlp.router.weight", MATRIX, Role.ROUTER),
        ("model.layers.3.mlp.experts.gate_up_proj_blocks", (4, 64, 2, 16), Role.EXPERTS),
        ("language_model.model.layers.0.feed_forward.experts.gate_up_proj", (4, 64, 64), Role.EXPERTS),
        ("model.layers.0.block_sparse_moe.input_linear.weight", (8, 64, 64), Role.EXPERTS),
        ("model.layers.0.shared_mlp.input_linear.weight", MATRIX, Role.SHARED_EXPERTS),
        ("backbone.layers.1.mixer.gate.weight", MATRIX, Role.ROUTER),
        ("backbone.layers.1.mixer.experts.3.up_proj.weight", MATRIX, Role.EXPERTS),
        # DeepSeek's latent attention
        ("model.layers.0.self_attn.kv_a_proj_with_mqa.weight", MATRIX, Role.ATTENTION),
        ("model.layers.0.self_attn.kv_a_layernorm.weight", VECTOR, Role.NORM),
        # GPT-2, GPT-J, GPT-NeoX, BLOOM, OPT
        ("wte.weight", MATRIX, Role.EMBEDDING),
        ("wpe.weight", MATRIX, Role.EMBEDDING),
        ("h.0.attn.bias", MASK, Role.BUFFER),
        ("h.0.attn.c_attn.bias", VECTOR, Role.ATTENTION),
        ("h.0.mlp.c_fc.weight", MATRIX, Role.MLP),
        ("h.0.ln_1.weight", VECTOR, Role.NORM),
        ("ln_f.bias", VECTOR, Role.NORM),
        ("transformer.h.0.attn.masked_bias", (), Role.BUFFER),
        ("transformer.h.0.attn.out_proj.weight", MATRIX, Role.ATTENTION),
        ("transformer.h.0.mlp.fc_in.weight", MATRIX, Role.MLP),
        ("transformer.h.0.mlp.fc_out.weight", MATRIX, Role.MLP),
        ("gpt_neox.layers.0.attention.query_key_value.weight", MATRIX, Role.ATTENTION),
        ("gpt_neox.layers.0.attention.dense.bias", VECTOR, Role.ATTENTION),
        ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", MATRIX, Role.MLP),
        ("embed_out.weight", MATRIX, Role.HEAD),
        ("h.0.self_attention.query_key_value.weight", MATRIX, Role.ATTENTION),
        ("word_embeddings_layernorm.weight", VECTOR, Role.NORM),
        ("model.decoder.layers.0.fc1.weight", MATRIX, Role.MLP),
        # BERT and its kin
        ("bert.embeddings.word_embeddings.weight", MATRIX, Role.EMBEDDING),
        ("bert.embeddings.LayerNorm.gamma", VECTOR, Role.NORM),
        ("bert.embeddings.position_ids", (1, 64), Role.BUFFER),
        ("bert.encoder.layer.0.attention.output.dense.weight", MATRIX, Role.ATTENTION),
        ("bert.encoder.layer.0.intermediate.dense.weight", MATRIX, Role.MLP),
        ("bert.encoder.layer.0.output.dense.weight", MATRIX, Role.MLP),
        ("bert.pooler.dense.weight", MATRIX, Role.HEAD),
        ("cls.predictions.bias", VECTOR, Role.HEAD),
        # T5, Whisper
        ("shared.weight", MATRIX, Role.EMBEDDING),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", MATRIX, Role.ATTENTION),
        ("encoder.block.0.layer.1.DenseReluDense.wi_0.weight", MATRIX, Role.MLP),
        ("encoder.block.0.layer.0.layer_norm.weight", VECTOR, Role.NORM),
        ("model.encoder.conv1.weight", (64, 80, 3), Role.AUDIO),
        ("model.decoder.layers.0.encoder_attn.k_proj.weight", MATRIX, Role.ATTENTION),
        # diffusion models
        ("transformer_blocks.0.img_mlp.net.2.weight", MATRIX, Role.MLP),
        ("transformer_blocks.0.attn.to_q.weight", MATRIX, Role.ATTENTION),
        ("down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2.weight", MATRIX, Role.MLP),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight", MATRIX, Role.ATTENTION),
        ("down_blocks.0.resnets.0.conv1.weight", (64, 64, 3, 3), Role.OTHER),
        ("img_in.weight", MATRIX, Role.EMBEDDING),
        # towers, recurrent layers, draft heads, adapters
        ("visual.blocks.0.attn.qkv.weight", MATRIX, Role.VISION),
        ("vision_tower.vision_model.embeddings.patch_embedding.weight", (64, 3, 14, 14), Role.VISION),
        ("multi_modal_projector.mm_input_projection_weight", MATRIX, Role.VISION),
        ("backbone.layers.0.mixer.A_log", MATRIX, Role.RECURRENT),
        ("backbone.layers.0.mixer.q_proj.weight", MATRIX, Role.ATTENTION),
        ("backbone.layers.0.mixer.up_proj.weight", MATRIX, Role.MLP),
        ("mlp1.1.weight", MATRIX, Role.VISION),
        ("model.layers.0.linear_attn.in_proj_qkvz.weight", MATRIX, Role.RECURRENT),
        ("mtp.layers.0.mlp.gate_proj.weight", MATRIX, Role.DRAFT),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", (8, 64), Role.ADAPTER),
    ],
)
def test_a_published_name_has_its_role(name: str, shape: tuple[int, ...], role: Role) -> None:
    assert role_of(name, shape) is role


def has_layers_of_gated_mlps(record: Record) -> bool:
    kinds = {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"}
    return record["config"]["model_type"] in kinds and "quantization_config" not in record["config"]


@pytest.mark.parametrize(
    "repo", [repo for repo, record in RECORDS.items() if has_layers_of_gated_mlps(record)]
)
def test_the_mlp_is_what_the_config_says_of_it(repo: str) -> None:
    config = RECORDS[repo]["config"]
    gate, up, down = 3 * [config["hidden_size"] * config["intermediate_size"]]
    assert stored_census(repo).by_role()[Role.MLP] == config["num_hidden_layers"] * (gate + up + down)


# DeepSeek's draft layer is known by its number alone, which is the config's to say.
@pytest.mark.parametrize("repo", RECORDS)
def test_no_tensor_of_a_known_repo_is_without_a_role(repo: str) -> None:
    unknown = {group.template for group in stored_census(repo).groups if group.role is Role.OTHER}
    assert not {name for name in unknown if not re.search(r"layers\.61\.", name)}


@pytest.mark.timeout(5)
@pytest.mark.parametrize("part", ["_a", "norm_", "a.", "{0..1}.", "_q"])
def test_a_name_of_a_million_characters_takes_no_longer_than_another(part: str) -> None:
    assert role_of(part * 500_000 + "!", VECTOR) in Role
