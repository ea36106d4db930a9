"""What configs say of quantization, in all their spellings, and what they may not say."""

from contextlib import suppress
from typing import Any

import pytest
from hubmem.errors import MalformedConfig
from hubmem.weights.quantization_config import read_quantization
from hypothesis import given
from hypothesis import strategies as st


def read(config: Any, side: Any = None) -> tuple[str, int | None, Any, str]:
    quantization = read_quantization(config, side)
    assert quantization is not None
    return quantization.method, quantization.bits, quantization.block, quantization.scheme


@pytest.mark.parametrize(
    ("config", "method", "bits", "block", "scheme"),
    [
        ({"quant_method": "GPTQ", "bits": 4.0, "group_size": -1}, "gptq", 4, None, ""),
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, "awq", 4, (1, 64), ""),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", 4, (1, 64), "fp4"),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 3, "group_size": 64}}},
            "hqq",
            3,
            (1, 64),
            "",
        ),
        (
            {"quant_method": "torchao", "quant_type": "int8_weight_only"},
            "torchao",
            8,
            None,
            "int8_weight_only",
        ),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "modelopt", 8, None, "fp8"),
        ({"quant_algo": "NVFP4", "group_size": 16}, "modelopt", 4, (1, 16), "nvfp4"),
        ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, "mlx", 4, (1, 32), "mxfp4"),
    ],
)
def test_a_config_is_read(config: Any, method: str, bits: int, block: Any, scheme: str) -> None:
    assert read({"quantization_config": config}) == (method, bits, block, scheme)


@pytest.mark.parametrize(
    "config",
    [
        {"text_config": {"quantization_config": {"quant_method": "awq", "bits": 4}}},
        {"compression_config": {"quant_method": "awq", "bits": 4}},
        {"quantization": {"quant_method": "awq", "bits": 4}},
        {
            "quantization_config": None,
            "text_config": {"quantization_config": {"quant_method": "awq", "bits": 4}},
        },
    ],
)
def test_a_config_is_found_under_every_name(config: Any) -> None:
    assert read(config) == ("awq", 4, None, "")


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ({"bits": 4, "group_size": 128, "desc_act": False}, ("gptq", 4, (1, 128), "")),
        ({"w_bit": 4, "q_group_size": 128, "zero_point": True, "version": "GEMM"}, ("awq", 4, (1, 128), "")),
        (
            {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "group_size": 16}},
            ("modelopt", 4, (1, 16), "nvfp4"),
        ),
    ],
)
def test_a_file_beside_the_config_is_read(side: Any, expected: Any) -> None:
    assert read({"model_type": "llama"}, side) == expected


@pytest.mark.parametrize(
    "config",
    [None, {}, {"quantization_config": None}, {"quantization_config": {}}, {"quantization_config": []}],
)
def test_a_config_that_says_nothing_of_it_is_none(config: Any) -> None:
    assert read_quantization(config) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"quant_method": 4}, r"^quantization_config\.quant_method: expected string, got int"),
        (
            {"quant_method": "gptq", "bits": "4"},
            r"^quantization_config\.bits: expected a positive int, got '4'",
        ),
        ({"quant_method": "gptq", "bits": True}, r"^quantization_config\.bits: expected a positive int"),
        ({"quant_method": "gptq", "bits": 0}, r"^quantization_config\.bits: expected a positive int"),
        (
            {"quant_method": "fp8", "weight_block_size": [128, True]},
            r"^quantization_config\.weight_block_size: expected a positive int, got True",
        ),
        (
            {"quant_method": "gptq", "group_size": 1.5},
            r"^quantization_config\.group_size: expected a positive int",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": "4"}}},
            },
            r"^quantization_config\.config_groups\.g\.weights\.num_bits",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_the_path_of_its_key(config: Any, message: str) -> None:
    with pytest.raises(MalformedConfig, match=message):
        read_quantization({"quantization_config": config})


@pytest.mark.timeout(5)
@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*)*x", "((ab)*)*", "[", "(", "a" * 10_000, ".*" * 40 + "x"])
def test_a_pattern_that_could_run_for_ever_is_not_run(pattern: str) -> None:
    groups = {
        "g": {"targets": [f"re:{pattern}"], "weights": {"num_bits": 8}},
        "h": {"targets": ["Linear"], "weights": {"num_bits": 4}},
    }
    quantization = read_quantization(
        {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": groups}}
    )
    assert quantization is not None
    assert quantization.bits_of("model.layers.0.self_attn.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.weight") == 4


keys = st.sampled_from(
    [
        "quant_method",
        "bits",
        "group_size",
        "config_groups",
        "weights",
        "targets",
        "format",
        "dynamic",
        "num_bits",
        "quant_type",
        "g",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 40)
    | st.floats()
    | st.sampled_from(["gptq", "mlx", "compressed-tensors", "re:.*", "int4"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keys, values, max_size=6))
def test_whatever_the_config_says_there_is_an_answer_or_a_hubmem_error(config: Any) -> None:
    with suppress(MalformedConfig):
        read_quantization({"quantization_config": config})
