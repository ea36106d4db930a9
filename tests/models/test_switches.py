"""What configs say about how their classes compute."""

import pytest
from hubmem.errors import MalformedConfig
from hubmem.models.config import Config
from hubmem.models.switches import Stretch, Switches, read_switches

from tests.models.architectures import architecture_of


def _read(model_type: str, **keys: object) -> Switches:
    return read_switches(Config({"model_type": model_type, **keys}))


@pytest.mark.parametrize(
    ("model_type", "keys", "activation"),
    [
        ("llama", {"hidden_act": "silu"}, "silu"),
        ("gemma", {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}, "gelu_pytorch_tanh"),
        ("gpt2", {"activation_function": "gelu_new"}, "gelu_new"),
        ("t5", {"feed_forward_proj": "gated-gelu"}, "gelu_new"),
        ("t5", {"feed_forward_proj": "gated-silu"}, "silu"),
        ("t5", {}, "relu"),
        ("llama", {}, None),
    ],
)
def test_the_activation_is_found_under_each_familys_key(
    model_type: str, keys: dict[str, object], activation: str | None
) -> None:
    assert _read(model_type, **keys).activation == activation


@pytest.mark.parametrize(
    ("keys", "dropped"),
    [
        ({"resid_pdrop": 0.1}, True),
        ({"hidden_dropout_prob": 0.0}, False),
        ({"dropout": None}, False),
        ({}, None),
    ],
)
def test_dropout_at_zero_is_none_and_a_silent_config_says_nothing(
    keys: dict[str, object], dropped: bool | None
) -> None:
    assert _read("anything", **keys).dropout is dropped


def test_dropout_of_probabilities_and_of_embeddings_have_keys_of_their_own() -> None:
    read = _read("gpt2", resid_pdrop=0.0, attn_pdrop=0.1, embd_pdrop=0.1)
    assert (read.dropout, read.attention_dropout, read.embedding_dropout) == (False, True, True)


@pytest.mark.parametrize(
    ("model_type", "keys", "parallel"),
    [
        ("gpt_neox", {}, True),
        ("gpt_neox", {"use_parallel_residual": False}, False),
        ("falcon", {"parallel_attn": False}, False),
        ("llama", {}, None),
    ],
)
def test_whether_parts_run_side_by_side(
    model_type: str, keys: dict[str, object], parallel: bool | None
) -> None:
    assert _read(model_type, **keys).parallel is parallel


def test_a_null_cap_caps_nothing() -> None:
    read = _read("gemma2", attn_logit_softcapping=None, final_logit_softcapping=30.0)
    assert (read.caps_scores, read.caps_logits) == (False, True)


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"partial_rotary_factor": 0.5}, True),
        ({"rope_parameters": {"partial_rotary_factor": 1.0}}, False),
        ({"rotary_pct": 0.25}, True),
        ({}, False),
    ],
)
def test_a_slice_that_rotates_is_found_wherever_it_is_said(keys: dict[str, object], part: bool) -> None:
    assert _read("anything", **keys).rotates_part is part


def test_a_composite_has_the_switches_of_its_language_model() -> None:
    text = {"model_type": "qwen2", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4}
    text |= {"num_hidden_layers": 2, "intermediate_size": 128, "vocab_size": 100, "hidden_act": "silu"}
    architecture = architecture_of({"model_type": "llava", "text_config": text})
    assert (architecture.model_type, architecture.switches.model_type) == ("llava", "qwen2")


def test_a_function_that_is_no_name_is_refused_with_its_key() -> None:
    with pytest.raises(MalformedConfig, match="hidden_act"):
        _read("llama", hidden_act=3)


@pytest.mark.parametrize(
    ("keys", "rotates"),
    [({"rope_theta": 10000.0}, True), ({"rotary_dim": 64}, True), ({"n_positions": 1024}, False)],
)
def test_rotation_is_what_keys_speak_of(keys: dict[str, object], *, rotates: bool) -> None:
    assert _read("", **keys).rotates is rotates


@pytest.mark.parametrize(
    ("keys", "upcasts"),
    [
        ({"attention_softmax_in_fp32": True}, True),
        ({"reorder_and_upcast_attn": False}, False),
        ({"scale_embedding": True}, False),
        ({}, None),
    ],
)
def test_an_upcast_softmax_is_stated_or_known_by_descent(
    keys: dict[str, object], upcasts: bool | None
) -> None:
    assert _read("", **keys).upcasts_softmax is upcasts


def test_a_named_factor_of_routing_weights_means_a_router_in_float32() -> None:
    assert _read("", routed_scaling_factor=2.5).scales_routing
    assert not _read("", num_experts_per_tok=2).scales_routing


@pytest.mark.parametrize(
    ("keys", "stretch"),
    [
        ({"rope_scaling": {"type": "linear", "factor": 8}}, Stretch(kind="linear", factor=8)),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0}}},
            Stretch(kind="linear", factor=8),
        ),
        (
            {
                "rope_scaling": {"type": "longrope", "factor": 32},
                "original_max_position_embeddings": 4096,
            },
            Stretch(kind="longrope", factor=32, trained=4096),
        ),
        ({"rope_scaling": {"type": "mrope"}}, None),
        ({}, None),
    ],
)
def test_a_stretch_is_found_wherever_it_is_said(keys: dict[str, object], stretch: Stretch | None) -> None:
    assert _read("anything", **keys).stretch == stretch
