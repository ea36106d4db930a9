"""GGUF metadata in the names of config.json, so that models are read in one place whatever the format.

Keys are matched whole: `rope.scaling.original_context_length` is not a context length.

Source: `Keys` and `MODEL_ARCH_NAMES` of gguf 0.19 (gguf-py/gguf/constants.py in llama.cpp), and what
convert_hf_to_gguf.py writes under them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubmem.errors import MalformedConfig
from hubmem.weights.gguf import Skipped

_KEYS = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.value_length": "v_head_dim",
    "attention.sliding_window": "sliding_window",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "leading_dense_block_count": "first_k_dense_replace",
    "full_attention_interval": "full_attention_interval",
    "shortconv.l_cache": "conv_L_cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Architecture:
    """What llama.cpp calls an architecture.

    Attributes:
        model_type: of transformers.
        experts: the key of config.json for the number of routed experts.
        renames: from keys of the metadata to those of config.json, where `_KEYS` has another or none.
        values: of keys of the metadata, where the file's own value means something else in config.json.
        facts: of keys of config.json that no key of the metadata stands for.
        without_heads: the kind of layers whose number of KV heads is 0.
    """

    model_type: str
    experts: str = "num_local_experts"
    renames: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    without_heads: str | None = None


_SHARED_WIDTH = {"expert_shared_feed_forward_length": "shared_expert_intermediate_size"}
_T5 = {
    "embedding_length": "d_model",
    "block_count": "num_layers",
    "decoder_block_count": "num_decoder_layers",
    "feed_forward_length": "d_ff",
    "attention.head_count": "num_heads",
    "attention.key_length": "d_kv",
}
_MAMBA = {
    "ssm.conv_kernel": "conv_kernel",
    "ssm.inner_size": "intermediate_size",
    "ssm.state_size": "state_size",
    "ssm.time_step_rank": "time_step_rank",
}
_ARCHITECTURES = {
    "bert": _Architecture(model_type="bert"),
    "bloom": _Architecture(model_type="bloom"),
    "command-r": _Architecture(model_type="cohere"),
    "gemma": _Architecture(model_type="gemma"),
    "gemma2": _Architecture(model_type="gemma2"),
    "gemma3": _Architecture(model_type="gemma3_text"),
    "glm4": _Architecture(model_type="glm4"),
    "glm4moe": _Architecture(model_type="glm4_moe", experts="n_routed_experts"),
    "gpt-oss": _Architecture(model_type="gpt_oss"),
    "gpt2": _Architecture(model_type="gpt2"),
    "gptneox": _Architecture(model_type="gpt_neox"),
    "granite": _Architecture(model_type="granite"),
    "granitemoe": _Architecture(model_type="granitemoe"),
    "lfm2": _Architecture(model_type="lfm2", without_heads="conv"),
    "llama4": _Architecture(model_type="llama4_text"),
    "mamba": _Architecture(model_type="mamba", renames=_MAMBA),
    "minimax-m2": _Architecture(model_type="minimax_m2"),
    "mistral3": _Architecture(model_type="ministral3"),
    "nemotron": _Architecture(model_type="nemotron"),
    "olmo2": _Architecture(model_type="olmo2"),
    "olmoe": _Architecture(model_type="olmoe", experts="num_experts"),
    "phi2": _Architecture(model_type="phi"),
    "phi3": _Architecture(model_type="phi3"),
    "phimoe": _Architecture(model_type="phimoe"),
    "qwen2": _Architecture(model_type="qwen2"),
    "qwen2moe": _Architecture(model_type="qwen2_moe", experts="num_experts", renames=_SHARED_WIDTH),
    "qwen2vl": _Architecture(model_type="qwen2"),
    "qwen3": _Architecture(model_type="qwen3"),
    "qwen3moe": _Architecture(model_type="qwen3_moe", experts="num_experts"),
    "qwen3next": _Architecture(model_type="qwen3_next", experts="num_experts", renames=_SHARED_WIDTH),
    "qwen3vl": _Architecture(model_type="qwen3"),
    "qwen3vlmoe": _Architecture(model_type="qwen3_moe", experts="num_experts"),
    "seed_oss": _Architecture(model_type="seed_oss"),
    "smollm3": _Architecture(model_type="smollm3"),
    "stablelm": _Architecture(model_type="stablelm"),
    "starcoder2": _Architecture(model_type="starcoder2"),
    "t5": _Architecture(model_type="t5", renames=_T5),
}


def config_of(metadata: Mapping[str, Any], *, has_output: bool) -> dict[str, Any] | None:
    """A config.json made from metadata; None where it describes no model, as in the later files of a split.

    An architecture without a row keeps its own name as model type, and so does one whose layers differ in a
    way that config.json has no general name for: neither is taken for another.

    Args:
        metadata: of the header.
        has_output: whether there is an output matrix apart from the embedding.

    Raises:
        MalformedConfig: a number that others follow from is something else.
    """
    name = metadata.get("general.architecture")
    if not isinstance(name, str) or not isinstance(metadata.get(f"{name}.block_count"), int):
        return None
    own = {
        key.removeprefix(f"{name}."): value for key, value in metadata.items() if key.startswith(f"{name}.")
    }
    row = (
        _SPECIAL[name](own)
        if name in _SPECIAL
        else _ARCHITECTURES.get(name) or _Architecture(model_type=name)
    )
    layers = own["block_count"] - _whole(own, "nextn_predict_layers", 0)
    described = {**own, "block_count": layers, **row.values}
    config = {
        row.renames.get(key) or _KEYS[key]: value
        for key, value in described.items()
        # A number of 0 says that a model has none, such as the heads of Mamba.
        if value != 0 and (key in row.renames or key in _KEYS)
    }
    if own.get("expert_count"):
        config[row.experts] = own["expert_count"]
    tokens = metadata.get("tokenizer.ggml.tokens")
    if "vocab_size" not in config and isinstance(tokens, Skipped | list):
        config["vocab_size"] = tokens.length if isinstance(tokens, Skipped) else len(tokens)
    known = {"model_type": row.model_type, "tie_word_embeddings": not has_output, **row.facts}
    return _with_one_value_a_key(known | config, row, name)


def _with_one_value_a_key(config: dict[str, Any], row: _Architecture, name: str) -> dict[str, Any]:
    """Arrays of a number for each layer as the one number they repeat."""
    heads = config.get("num_key_value_heads")
    if isinstance(heads, list) and 0 in heads and row.without_heads:
        config["layer_types"] = ["full_attention" if count else row.without_heads for count in heads]
        config["num_key_value_heads"] = max(heads)
    for key, value in config.items():
        if isinstance(value, list) and key != "layer_types":
            if len(set(value)) != 1:
                return {**config, "model_type": f"{name}, layers of different {key}"}
            config[key] = value[0]
    return config


def _whole(own: Mapping[str, Any], key: str, default: int) -> int:
    value = own.get(key, default)
    if not isinstance(value, int):
        raise MalformedConfig(f"expected a whole number, got {value!r}", key=key)
    return value


def _llama(own: Mapping[str, Any]) -> _Architecture:
    """Mixtral's experts are the only ones under this name."""
    return _Architecture(model_type="mixtral" if own.get("expert_count") else "llama")


def _falcon(own: Mapping[str, Any]) -> _Architecture:
    """Falcon-7B has one KV head, the later ones groups."""
    grouped = own.get("attention.head_count_kv", 1) != 1
    return _Architecture(
        model_type="falcon",
        renames={"attention.head_count_kv": "num_kv_heads"},
        facts={"new_decoder_architecture": grouped, "multi_query": not grouped},
    )


def _deepseek2(own: Mapping[str, Any]) -> _Architecture:
    """Latent attention; files since 2025 have its keys as one head of the latent and the rotary part.

    Source: `DeepseekV2Model.set_gguf_parameters` in convert_hf_to_gguf.py.
    """
    rope = _whole(own, "rope.dimension_count", 64)
    key = _whole(own, "attention.key_length_mla", _whole(own, "attention.key_length", 192))
    value = own.get("attention.value_length_mla", own.get("attention.value_length", 128))
    sigmoid = own.get("expert_gating_func") == 2
    return _Architecture(
        model_type="deepseek_v3" if sigmoid else "deepseek_v2",
        experts="n_routed_experts",
        renames={
            "attention.kv_lora_rank": "kv_lora_rank",
            "attention.q_lora_rank": "q_lora_rank",
            "expert_shared_count": "n_shared_experts",
            "attention.key_length": "qk_head_dim",
        },
        values={
            "attention.key_length": key,
            "attention.value_length": value,
            "attention.head_count_kv": own.get("attention.head_count", 1),
        },
        facts={"qk_rope_head_dim": rope, "qk_nope_head_dim": key - rope},
    )


_SPECIAL: dict[str, Callable[[Mapping[str, Any]], _Architecture]] = {
    "llama": _llama,
    "falcon": _falcon,
    "deepseek2": _deepseek2,
}
