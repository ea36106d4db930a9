"""A config that contradicts itself, or lacks what it needs, is refused with the key and both values."""

from typing import Any

import pytest
from hubmem.errors import MalformedConfig
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.models.mixers import CachePolicy, Span
from hypothesis import given, settings
from hypothesis import strategies as st

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_hidden_layers": 2, "vocab_size": 320,
}  # fmt: skip
GEMMA = {
    "model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 6, "vocab_size": 320, "head_dim": 16, "sliding_window": 32,
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek_v3", "hidden_size": 64, "kv_lora_rank": 40, "num_attention_heads": 4,
    "num_hidden_layers": 2, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
    "vocab_size": 320,
}  # fmt: skip

CONTRADICTIONS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    (
        "heads are not a multiple of KV heads",
        {**LLAMA, "num_key_value_heads": 3},
        ("num_attention_heads", "4", "num_key_value_heads", "3"),
    ),
    (
        "hidden size is not a multiple of heads",
        {**LLAMA, "num_attention_heads": 5},
        ("hidden_size", "64", "num_attention_heads", "5"),
    ),
    (
        "layer_types are fewer than layers",
        {**GEMMA, "layer_types": ["full_attention"] * 5},
        ("layer_types", "5", "num_hidden_layers", "6"),
    ),
    (
        "layer_types are more than layers",
        {**GEMMA, "layer_types": ["full_attention"] * 7},
        ("layer_types", "7", "num_hidden_layers", "6"),
    ),
    (
        "a kind of layer nobody knows",
        {**GEMMA, "layer_types": ["psychic_attention"] * 6},
        ("layer_types", "psychic_attention"),
    ),
    (
        "kinds of layers that are no names",
        {**GEMMA, "layer_types": [{}] * 6},
        ("layer_types", "string", "object"),
    ),
    (
        "no kinds of layers where the class has none of its own",
        {**LLAMA, "model_type": "recurrent_gemma", "block_types": None},
        ("layer_types", "of what kind"),
    ),
    (
        "infinite blocks",
        {**LLAMA, "model_type": "funnel", "block_sizes": [float("inf")]},
        ("block_sizes", "Infinity"),
    ),
    (
        "not a number where one belongs",
        {
            **LLAMA,
            "model_type": "openelm",
            "num_query_heads": [4] * 2,
            "num_kv_heads": [2] * 2,
            "ffn_multipliers": [float("nan")] * 2,
        },
        ("ffn_multipliers", "nan"),
    ),
    (
        "a factor that no width can be multiplied by",
        {**LLAMA, "model_type": "xlstm", "num_heads": 4, "ffn_proj_factor": 1e308},
        ("ffn_proj_factor", "1e+308 is out of range"),
    ),
    ("a window of nothing", {**GEMMA, "sliding_window": 0}, ("sliding_window", "0")),
    ("a negative window", {**GEMMA, "sliding_window": -1}, ("sliding_window", "-1")),
    ("no window where layers have one", {**GEMMA, "sliding_window": None}, ("sliding_window", "null")),
    ("a negative rank", {**DEEPSEEK, "kv_lora_rank": -1}, ("kv_lora_rank", "-1")),
    ("a negative rotary part", {**DEEPSEEK, "qk_rope_head_dim": -8}, ("qk_rope_head_dim", "-8")),
    ("a negative width", {**LLAMA, "intermediate_size": -3}, ("intermediate_size", "-3")),
    (
        "negative experts beside",
        {**LLAMA, "num_experts": 4, "n_shared_experts": -1},
        ("n_shared_experts", "-1"),
    ),
    (
        "a list of widths that ends early",
        {**LLAMA, "intermediate_size": [8]},
        ("intermediate_size", "1 entries"),
    ),
    ("a class without a name", {**LLAMA, "architectures": [None]}, ("architectures", "string", "null")),
    ("null where a number belongs", {**LLAMA, "num_hidden_layers": None}, ("num_hidden_layers", "null")),
    ("a string for a number", {**LLAMA, "num_hidden_layers": "2"}, ("num_hidden_layers", "int", "string")),
    ("a list for a number", {**LLAMA, "num_attention_heads": [4]}, ("num_attention_heads", "int", "list")),
    (
        "more layers than any model has",
        {**LLAMA, "num_hidden_layers": 10**6},
        ("num_hidden_layers", "1000000"),
    ),
    (
        "the path of a nested key is given whole",
        {"model_type": "llava", "text_config": {**LLAMA, "num_hidden_layers": True}},
        ("text_config.num_hidden_layers", "int"),
    ),
    (
        "a composite without its language model",
        {"model_type": "llava", "vision_config": {}},
        ("text_config", "object", "nothing"),
    ),
    (
        "the file's own spelling is named",
        {"model_type": "gpt2", "n_head": "12", "vocab_size": 320},
        ("n_head", "int", "string"),
    ),
    (
        "a searched block that is not there",
        {**LLAMA, "model_type": "nemotron-nas", "block_configs": [{}]},
        ("block_configs.0.attention", "object"),
    ),
]


@pytest.mark.parametrize(
    ("config", "words"), [row[1:] for row in CONTRADICTIONS], ids=[row[0] for row in CONTRADICTIONS]
)
def test_it_is_refused_by_name(config: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(MalformedConfig) as refused:
        read_architecture(Config(config))
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_layer_is_found_by_decimal_digits_alone() -> None:
    """`"²".isdigit()` is true, and no number is read of it."""
    odd = {**LLAMA, "per_layer_config": {"²": {"head_dim": 8}, "1": {"head_dim": 8}}}

    architecture = read_architecture(Config(odd))

    assert architecture is not None
    assert [layer.mixers[0].key_dim for layer in architecture.layers] == [16, 8]  # type: ignore[attr-defined]


def test_null_falls_back_where_the_class_works_the_value_out() -> None:
    stated = read_architecture(Config({**LLAMA, "head_dim": 16, "num_key_value_heads": 4}))
    assert read_architecture(Config({**LLAMA, "head_dim": None, "num_key_value_heads": None})) == stated


def test_an_absent_key_has_the_value_of_its_class_and_a_null_one_has_not() -> None:
    absent = read_architecture(Config({**GEMMA, "model_type": "mistral", "sliding_window": 32}))
    null = read_architecture(Config({**GEMMA, "model_type": "mistral", "sliding_window": None}))
    assert absent is not None
    assert null is not None
    assert absent.layer_kinds == {"sliding_attention": 6}
    assert null.layer_kinds == {"full_attention": 6}


decoders = st.fixed_dictionaries(
    {
        "head_dim": st.integers(1, 256),
        "kv_heads": st.integers(1, 16),
        "groups": st.integers(1, 8),
        "window": st.integers(1, 4096),
        "period": st.integers(1, 8),
        "layers": st.integers(1, 64),
    }
)


@settings(deadline=None)
@given(decoders, st.integers(0, 8192), st.integers(0, 8192), st.sampled_from(CachePolicy))
def test_a_cache_never_shrinks_and_a_window_never_keeps_more_than_none(
    shape: dict[str, int], tokens: int, more: int, policy: CachePolicy
) -> None:
    config = {
        **GEMMA,
        "head_dim": shape["head_dim"],
        "num_attention_heads": shape["kv_heads"] * shape["groups"],
        "num_hidden_layers": shape["layers"],
        "num_key_value_heads": shape["kv_heads"],
        "sliding_window": shape["window"],
        "sliding_window_pattern": shape["period"],
    }
    windowed = read_architecture(Config(config))
    full = read_architecture(Config({**config, "layer_types": ["full_attention"] * shape["layers"]}))
    assert windowed is not None
    assert full is not None
    span, longer = (Span(tokens=count, policy=policy) for count in (tokens, tokens + more))
    assert windowed.kept(span).cached <= windowed.kept(longer).cached
    assert windowed.kept(span).cached <= full.kept(span).cached
    assert full.kept(longer).cached == (tokens + more) * full.kept(Span(tokens=1)).cached
