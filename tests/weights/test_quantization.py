"""Packed weights are counted as the model has them: by each method's layout, to the published numbers."""

from typing import Any

import pytest
from hubmem.weights.quantization import METHODS, Quantization, unpack_census
from hubmem.weights.quantization_config import read_quantization

from tests.weights.censuses import census_of_rows
from tests.weights.records import RECORDS, stored_census


def unpacked(
    config: dict[str, Any], *tensors: tuple[str, str, tuple[int, ...]]
) -> list[tuple[int, ...] | None]:
    census = unpack_census(census_of_rows(tensors), read_quantization({"quantization_config": config}))
    return [group.unpacked for group in census.groups]


COMPRESSED = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 128}}},
}

# One matrix of 4096 outputs and 1024 inputs in each method's storage, and what lies beside it.
MATRIX = (4096, 1024)
STORED: dict[str, tuple[dict[str, Any], list[tuple[str, str, tuple[int, ...]]]]] = {
    "gptq": (
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        [
            ("qweight", "I32", (128, 4096)),
            ("qzeros", "I32", (8, 512)),
            ("scales", "F16", (8, 4096)),
            ("g_idx", "I32", (1024,)),
        ],
    ),
    "gptq, 3 bits": (
        {"quant_method": "gptq", "bits": 3, "group_size": 128},
        [
            ("qweight", "I32", (96, 4096)),
            ("qzeros", "I32", (8, 384)),
            ("scales", "F16", (8, 4096)),
            ("g_idx", "I32", (1024,)),
        ],
    ),
    "gptq, 8 bits": (
        {"quant_method": "gptq", "bits": 8},
        [("qweight", "I32", (256, 4096)), ("scales", "F16", (8, 4096))],
    ),
    "awq": (
        {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"},
        [("qweight", "I32", (1024, 512)), ("qzeros", "I32", (8, 512)), ("scales", "F16", (8, 4096))],
    ),
    "auto-round": (
        {
            "quant_method": "auto-round",
            "bits": 4,
            "group_size": 128,
            "packing_format": "auto_round:auto_gptq",
        },
        [("qweight", "I32", (128, 4096)), ("qzeros", "I32", (8, 512)), ("scales", "F16", (8, 4096))],
    ),
    "auto-round, packed as AWQ (Qwen2-0.5B-Instruct-int4-sym-AutoRound)": (
        {"quant_method": "auto-round", "bits": 4, "packing_format": "auto_round:auto_awq"},
        [("qweight", "I32", (1024, 512)), ("qzeros", "I32", (8, 512)), ("scales", "F16", (8, 4096))],
    ),
    "bitsandbytes 8-bit": (
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        [("weight", "I8", (4096, 1024)), ("SCB", "F32", (4096,)), ("weight_format", "U8", ())],
    ),
    "compressed-tensors": (
        COMPRESSED,
        [
            ("weight_packed", "I32", (4096, 128)),
            ("weight_scale", "BF16", (4096, 8)),
            ("weight_shape", "I64", (2,)),
            ("weight_g_idx", "I32", (1024,)),
        ],
    ),
    "compressed-tensors nvfp4": (
        {**COMPRESSED, "format": "nvfp4-pack-quantized"},
        [
            ("weight_packed", "U8", (4096, 512)),
            ("weight_scale", "F8_E4M3", (4096, 64)),
            ("weight_global_scale", "F32", (1,)),
            ("input_global_scale", "F32", (1,)),
        ],
    ),
    "compressed-tensors mxfp4": (
        {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"},
        [("weight_packed", "U8", (4096, 512)), ("weight_scale", "U8", (4096, 32))],
    ),
    "compressed-tensors fp8": (
        {
            "quant_method": "compressed-tensors",
            "format": "float-quantized",
            "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 8}}},
        },
        [("weight", "F8_E4M3", (4096, 1024)), ("weight_scale", "BF16", (1,)), ("input_scale", "BF16", (1,))],
    ),
    "fp8 per tensor": (
        {"quant_method": "fp8"},
        [
            ("weight", "F8_E4M3", (4096, 1024)),
            ("weight_scale", "F32", (1,)),
            ("activation_scale", "F32", (1,)),
        ],
    ),
    "fp8 in blocks": (
        {"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"},
        [("weight", "F8_E4M3", (4096, 1024)), ("weight_scale_inv", "F32", (32, 8))],
    ),
    "fbgemm fp8": (
        {"quant_method": "fbgemm_fp8"},
        [("weight", "F8_E4M3", (4096, 1024)), ("weight_scale", "F32", (4096, 1))],
    ),
    "nvfp4": (
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16},
        [
            ("weight", "U8", (4096, 512)),
            ("weight_scale", "F8_E4M3", (4096, 64)),
            ("weight_scale_2", "F32", ()),
            ("input_scale", "F32", ()),
        ],
    ),
    "quark": ({"quant_method": "quark"}, [("weight", "U8", (4096, 512)), ("weight_scale", "U8", (4096, 32))]),
    "aqlm": (
        {
            "quant_method": "aqlm",
            "in_group_size": 8,
            "out_group_size": 1,
            "num_codebooks": 1,
            "nbits_per_codebook": 16,
        },
        [
            ("codes", "I16", (4096, 128, 1)),
            ("codebooks", "F16", (1, 65536, 1, 8)),
            ("scales", "F16", (4096, 1, 1, 1)),
        ],
    ),
    "eetq": ({"quant_method": "eetq"}, [("weight", "I8", (1024, 4096)), ("weight_scales", "F16", (4096,))]),
    "quanto int8": (
        {"quant_method": "quanto", "weights": "int8"},
        [
            ("weight._data", "I8", (4096, 1024)),
            ("weight._scale", "BF16", (4096, 1)),
            ("input_scale", "F32", ()),
            ("output_scale", "F32", ()),
        ],
    ),
    "quanto int4": (
        {"quant_method": "quanto", "weights": "int4"},
        [
            ("weight._data._data", "U8", (2048, 1024)),
            ("weight._scale", "BF16", (4096, 1)),
            ("weight._shift", "BF16", (4096, 1)),
        ],
    ),
    "torchao": (
        {
            "quant_method": "torchao",
            "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}},
        },
        [
            ("_weight_qdata", "U8", (4096, 512)),
            ("_weight_scale", "BF16", (8, 4096)),
            ("_weight_zero_point", "BF16", (8, 4096)),
        ],
    ),
    "mlx": (
        {"bits": 4, "group_size": 64},
        [("weight", "U32", (4096, 128)), ("scales", "BF16", (4096, 16)), ("biases", "BF16", (4096, 16))],
    ),
    "mlx, 6 bits": (
        {"bits": 6, "group_size": 64},
        [("weight", "U32", (4096, 192)), ("scales", "BF16", (4096, 16)), ("biases", "BF16", (4096, 16))],
    ),
    "bitnet": ({"quant_method": "bitnet"}, [("weight", "U8", (1024, 1024)), ("weight_scale", "BF16", (1,))]),
    "exl3": (
        {"quant_method": "exl3", "bits": 3.5},
        [
            ("trellis", "I16", (64, 256, 64)),
            ("suh", "F16", (1024,)),
            ("svh", "F16", (4096,)),
            ("mcg", "I32", ()),
        ],
    ),
}


@pytest.mark.parametrize(("config", "tensors"), STORED.values(), ids=STORED)
def test_a_matrix_is_unpacked_to_its_shape_and_what_lies_beside_it_is_no_parameter(
    config: Any, tensors: Any
) -> None:
    module = "model.layers.0.mlp.down_proj"
    named = [(f"{module}.{end}", dtype, shape) for end, dtype, shape in tensors]
    assert unpacked(config, *named) == [MATRIX, *[None] * (len(tensors) - 1)]


def test_every_method_is_in_the_table_above() -> None:
    shown = {read_quantization({"quantization_config": config}).method for config, _ in STORED.values()}  # type: ignore[union-attr]
    flat = {"hqq", "mxfp4"}
    assert {METHODS[method] for method in shown | flat | {"metal"}} == set(METHODS.values())


@pytest.mark.parametrize(
    ("config", "dtype", "shape", "parameters"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "U8", (2_097_152, 1), 4096 * 1024),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
            "U8",
            (32768, 64),
            4096 * 1024,
        ),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 2, "group_size": 64}}},
            "U8",
            (16384, 64),
            4096 * 1024,
        ),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 8, "group_size": 64}}},
            "U8",
            (65536, 64),
            4096 * 1024,
        ),
    ],
)
def test_where_the_header_does_not_tell_the_shape_the_number_of_weights_is_right(
    config: Any, dtype: str, shape: tuple[int, ...], parameters: int
) -> None:
    end = "W_q" if config["quant_method"] == "hqq" else "weight"
    census = census_of_rows([(f"model.layers.0.mlp.down_proj.{end}", dtype, shape)])
    counted = unpack_census(census, read_quantization({"quantization_config": config}))
    assert counted.parameters == parameters
    assert len(counted.groups[0].unpacked or ()) == 2


def test_modules_that_auto_round_gives_other_bits_are_unpacked_by_them() -> None:
    extra = {"model.layers.0.mlp.down_proj": {"bits": 8}, "lm_head": {"bits": 16}, "model.norm": None}
    assert unpacked(
        {"quant_method": "auto-round", "bits": 4, "extra_config": extra},
        ("model.layers.0.mlp.up_proj.qweight", "I32", (128, 4096)),
        ("model.layers.0.mlp.down_proj.qweight", "I32", (1024, 1024)),
    ) == [(4096, 1024), (1024, 4096)]


def test_the_blocks_of_mxfp4_are_rows_of_experts() -> None:
    assert unpacked(
        {"quant_method": "mxfp4"},
        ("model.layers.0.mlp.experts.gate_up_proj_blocks", "U8", (32, 5760, 90, 16)),
        ("model.layers.0.mlp.experts.gate_up_proj_scales", "U8", (32, 5760, 90)),
        ("model.layers.0.mlp.experts.gate_up_proj_bias", "BF16", (32, 5760)),
    ) == [(32, 5760, 2880), None, (32, 5760)]


@pytest.mark.parametrize("key", ["expert_dtype", "store_dtype"])
def test_experts_narrower_than_the_rest_are_unpacked_alone(key: str) -> None:
    """DeepSeek-V4 and MiMo-V2.6: FP8 but for the routed experts, which hold two weights a byte."""
    assert unpacked(
        {"quant_method": "fp8", key: "mxfp4"},
        ("model.layers.1.mlp.experts.0.gate_proj.weight", "U8", (2048, 2048)),
        ("model.layers.1.mlp.experts.0.gate_proj.weight_scale", "U8", (2048, 128)),
        ("model.layers.0.mlp.shared_experts.gate_proj.weight", "F8_E4M3", (2048, 4096)),
        ("model.layers.0.self_attn.q_proj.weight", "I8", (2048, 4096)),
    ) == [(2048, 4096), None, (2048, 4096), (2048, 4096)]


def test_the_dtype_of_experts_may_stand_in_the_model_config() -> None:
    config = {"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8"}}
    census = census_of_rows([("layers.0.ffn.experts.0.w1.weight", "I8", (2304, 2560))])
    assert unpack_census(census, read_quantization(config)).parameters == 2304 * 5120


def test_modules_of_other_bits_are_unpacked_by_theirs() -> None:
    """A compressed-tensors config of two groups: 4-bit layers and an 8-bit head."""
    config = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {
            "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4}},
            "group_1": {"targets": ["re:.*lm_head$"], "weights": {"num_bits": 8}},
        },
    }
    assert unpacked(
        config,
        ("model.layers.0.mlp.down_proj.weight_packed", "I32", (4096, 128)),
        ("lm_head.weight_packed", "I32", (4096, 256)),
    ) == [MATRIX, MATRIX]


def test_overrides_of_gptqmodel_and_mlx() -> None:
    dynamic = {"+:.*down_proj": {"bits": 8}, "-:.*gate_proj": {}}
    gptq = {"quant_method": "gptq", "bits": 4, "dynamic": dynamic}
    mlx = {"bits": 8, "group_size": 64, "model.layers.0.mlp.down_proj": {"bits": 4, "group_size": 64}}
    assert unpacked(
        gptq,
        ("model.layers.0.mlp.down_proj.qweight", "I32", (256, 4096)),
        ("model.layers.0.mlp.up_proj.qweight", "I32", (128, 4096)),
    ) == [MATRIX, MATRIX]
    assert unpacked(
        mlx,
        ("model.layers.0.mlp.down_proj.weight", "U32", (4096, 128)),
        ("model.layers.0.mlp.up_proj.weight", "U32", (4096, 256)),
    ) == [MATRIX, MATRIX]


def test_block_exponents_are_no_parameters_even_without_a_config() -> None:
    census = census_of_rows([("a.weight", "F4", (64, 64)), ("a.scale", "F8_E8M0", (64, 2))])
    assert unpack_census(census, None).parameters == 64 * 64


INTEGERS = [
    ("model.vision_model.summary_idxs", "I64", (2,)),
    ("layers.0.relative_position_index", "I64", (49, 49)),
    ("model.causal_mask", "BOOL", (1, 1, 8, 8)),
    ("model.layers.0.offsets", "I32", (16,)),
]


@pytest.mark.parametrize("config", [None, {"quant_method": "gptq", "bits": 4}])
def test_integers_that_no_method_packed_are_buffers(config: Any) -> None:
    weight = ("model.layers.0.mlp.up_proj.weight", "BF16", (256, 256))
    quantization = read_quantization({"quantization_config": config})
    census = unpack_census(census_of_rows([weight, *INTEGERS]), quantization)
    assert (census.parameters, census.buffers) == (256 * 256, 2 + 49 * 49 + 64 + 16)
    assert not any("integers" in note for note in census.notes)


def test_a_checkpoint_of_integers_without_a_config_is_counted_as_stored_and_said() -> None:
    packed = ("model.layers.0.mlp.up_proj.qweight", "I32", (32, 256))
    census = unpack_census(census_of_rows([packed, ("model.norm.weight", "BF16", (256,))]), None)
    assert census.parameters == 32 * 256 + 256
    assert any("no config tells how they are packed" in note for note in census.notes)


def test_an_unknown_method_is_said_and_counted_as_stored() -> None:
    quantization = read_quantization({"quantization_config": {"quant_method": "vptq", "bits": "x"}})
    census = unpack_census(census_of_rows([("a.indices", "I32", (8, 8))]), quantization)
    assert census.parameters == 64
    assert census.notes == (
        "Quantization 'vptq' is not known: its packed weights are counted as they are stored.",
    )


def test_a_plain_repo_is_left_as_it_is() -> None:
    census = stored_census("meta-llama/Llama-3.1-8B")
    assert unpack_census(census, None) == census


# As the Hub counts them: huggingface.js, packages/hub/src/lib/parse-safetensors-metadata.spec.ts.
@pytest.mark.parametrize(
    ("repo", "packed", "plain"),
    [
        ("openai/gpt-oss-20b", 19_110_297_600, 1_804_459_584),
        ("openai/gpt-oss-120b", 114_661_785_600, 2_167_371_072),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", 6_979_321_856, 1_050_939_392),
        ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16", 68_451_041_280, 2_102_665_216),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", 6_979_321_856, 1_052_315_648),
    ],
)
def test_a_quantized_repo_has_the_published_parameters(repo: str, packed: int, plain: int) -> None:
    census = unpack_census(stored_census(repo), read_quantization(RECORDS[repo]["config"]))
    in_integers = sum(group.parameters for group in census.groups if group.dtype in ("I32", "U8"))
    assert (in_integers, census.parameters - in_integers) == (packed, plain)


SIBLINGS = [
    ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct"),
    ("Qwen/Qwen3-30B-A3B-FP8", "Qwen/Qwen3-30B-A3B"),
    ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", "meta-llama/Llama-3.1-8B-Instruct"),
    ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16", "meta-llama/Llama-3.3-70B-Instruct"),
    ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama/Llama-3.1-8B-Instruct"),
]


@pytest.mark.parametrize(("repo", "base"), SIBLINGS)
def test_a_quantized_repo_has_the_parameters_of_its_base_role_by_role(repo: str, base: str) -> None:
    census = unpack_census(stored_census(repo), read_quantization(RECORDS[repo]["config"]))
    assert census.by_role() == stored_census(base).by_role()


def test_what_is_said_of_a_quantization() -> None:
    read = {repo: read_quantization(RECORDS[repo]["config"]) for repo in RECORDS}
    assert read["openai-community/gpt2"] is None
    assert read["unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit"] == Quantization(
        method="bitsandbytes", bits=4, block=(1, 64), scheme="nf4, double quantization"
    )
    deepseek = read["deepseek-ai/DeepSeek-V3"]
    assert deepseek == Quantization(method="fp8", bits=8, block=(128, 128), scheme="e4m3")
    assert deepseek.summary() == {"method": "fp8", "bits": 8, "group_size": [128, 128], "scheme": "e4m3"}


PACKED_ENDS = (
    "qweight", "weight", "weight_packed", "w_blocks", "W_q", "codes", "weight._data", "_weight_qdata", "trellis",
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(), (0,), (64,), (2, 64), (2, 2, 64), (2, 2, 2, 64)], ids=str)
def test_whatever_shape_a_packed_tensor_has_it_is_counted(method: str, shape: tuple[int, ...]) -> None:
    config = {"quant_method": method, "bits": 4, "load_in_4bit": True}
    shapes = unpacked(config, *((f"a.{end}", "I32", shape) for end in PACKED_ENDS))
    assert all(found is None or min(found, default=1) >= 0 for found in shapes)
