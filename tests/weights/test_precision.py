"""What other precisions weigh: whole bytes of each tensor, by the layout of each method."""

import math
from dataclasses import replace

import pytest
from hubmem.errors import UsageError
from hubmem.units import GIB
from hubmem.weights.census import Census, TensorGroup, fold_file
from hubmem.weights.precision import BY_NAME, Target, parse
from hubmem.weights.quantization import unpack_census
from hubmem.weights.quantization_config import read_quantization
from hubmem.weights.safetensors import Tensor

from tests.weights.records import RECORDS, stored_census

# What llama.cpp does with the tensors below is in test_gguf_mixtures.
METHODS = {name: target for name, target in BY_NAME.items() if not name.startswith("gguf:")}
every_target = pytest.mark.parametrize("target", METHODS.values(), ids=METHODS)


def group(name: str, *shape: int, dtype: str = "BF16") -> TensorGroup:
    return fold_file([Tensor(name, dtype, shape)], "model.safetensors")[0]


def total(repo: str, name: str) -> int:
    return sum(map(parse(name).nbytes, stored_census(repo).groups))


# By hand for q_proj of Llama-3.1-8B's first layer, [4096, 4096] = 16,777,216 weights.
@pytest.mark.parametrize(
    ("name", "weights", "beside"),
    [
        ("fp32", 67_108_864, 0),
        ("bf16", 33_554_432, 0),
        ("fp8", 16_777_216, 4096 * 4),
        ("fp8-block", 16_777_216, 32 * 32 * 4),
        ("int8", 16_777_216, 4096 * 4),
        ("nf4", 8_388_608, 262_144 * 4 + 16 * 4),
        ("nf4-dq", 8_388_608, 262_144 + 1024 * 4 + 256 * 4 + 4 + 16 * 4),
        ("gptq-int4", 8_388_608, 32 * 4096 * 2 + 32 * 512 * 4 + 4096 * 4),
        ("gptq-int8", 16_777_216, 32 * 4096 * 2 + 32 * 1024 * 4 + 4096 * 4),
        ("awq-int4", 8_388_608, 32 * 4096 * 2 + 32 * 512 * 4),
        ("mxfp4", 8_388_608, 4096 * 128),
        ("nvfp4", 8_388_608, 4096 * 256 + 8),
    ],
)
def test_a_matrix_weighs_its_weights_and_what_comes_with_them(name: str, weights: int, beside: int) -> None:
    matrix = group("model.layers.0.self_attn.q_proj.weight", 4096, 4096)
    assert parse(name).nbytes(matrix) == weights + beside


@every_target
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.embed_tokens.weight", (128, 64)),
        ("lm_head.weight", (128, 64)),
        ("model.layers.0.mlp.gate.weight", (8, 64)),
        ("model.layers.0.self_attn.q_proj.bias", (64,)),
        ("model.layers.0.input_layernorm.weight", (64,)),
        ("model.layers.0.mlp.experts.gate_up_proj_bias", (8, 64)),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, 12)),
        ("backbone.layers.0.mixer.conv1d.weight", (64, 1, 4)),
        ("backbone.layers.0.mixer.A_log", (64, 16)),
    ],
)
def test_what_is_no_linear_layer_keeps_its_width(target: Target, name: str, shape: tuple[int, ...]) -> None:
    assert target.nbytes(group(name, *shape)) == math.prod(shape) * target.kept_bits // 8


@every_target
def test_buffers_stay_and_scales_go(target: Target) -> None:
    mask = group("h.0.attn.bias", 1, 1, 8, 8, dtype="F32")
    assert target.nbytes(mask) == mask.nbytes == 256
    scales = replace(group("model.layers.0.mlp.down_proj.weight_scale", 8, 1), unpacked=None)
    assert target.nbytes(scales) == 0


@every_target
def test_fused_experts_weigh_as_much_as_the_same_experts_apart(target: Target) -> None:
    fused = group("model.layers.0.mlp.experts.down_proj", 4, 256, 512)
    apart = [group(f"model.layers.0.mlp.experts.{n}.down_proj.weight", 256, 512) for n in range(4)]
    assert target.nbytes(fused) == sum(map(target.nbytes, apart))


def test_a_vision_tower_is_quantized_by_bitsandbytes_and_kept_by_recipes_for_language_models() -> None:
    tower = group("visual.blocks.0.attn.qkv.weight", 128, 128)
    assert parse("nf4").quantizes(tower)
    assert parse("int8").quantizes(tower)
    assert not any(parse(name).quantizes(tower) for name in ("fp8", "gptq-int4", "awq-int4", "nvfp4"))


def test_only_experts_change_where_the_name_says_so() -> None:
    assert parse("mxfp4-experts").quantizes(group("model.layers.0.mlp.experts.down_proj", 4, 64, 64))
    assert not parse("mxfp4-experts").quantizes(group("model.layers.0.self_attn.q_proj.weight", 64, 64))


@every_target
def test_sixteen_bits_are_never_beaten_by_more(target: Target) -> None:
    if target.name != "fp32":
        assert (
            total("meta-llama/Llama-3.1-8B", target.name)
            <= stored_census("meta-llama/Llama-3.1-8B").stored_bytes
        )


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("bfloat16", "bf16"),
        ("torch.float16", "fp16"),
        ("FP8", "fp8"),
        ("8bit", "int8"),
        ("4bit", "nf4"),
        ("int4", "gptq-int4"),
    ],
)
def test_other_spellings(spelling: str, name: str) -> None:
    assert parse(spelling).name == name


@pytest.mark.parametrize("text", ["", "fp7", "q4", "int"])
def test_an_unknown_precision_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match="Unknown precision") as caught:
        parse(text)
    assert "nf4" in caught.value.hint


def counted(repo: str) -> Census:
    return unpack_census(stored_census(repo), read_quantization(RECORDS[repo]["config"]))


def weight(census: Census, name: str) -> int:
    return sum(map(parse(name).of(census).nbytes, census.groups))


# A quantized repo, the repo it was made from, and how.
SIBLINGS = [
    ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct", "awq-int4"),
    ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "meta-llama/Llama-3.1-8B-Instruct", "gptq-int4"),
    ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16", "meta-llama/Llama-3.3-70B-Instruct", "gptq-int4"),
    ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", "meta-llama/Llama-3.1-8B-Instruct", "fp8"),
    ("Qwen/Qwen3-30B-A3B-FP8", "Qwen/Qwen3-30B-A3B", "fp8-block"),
    ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama/Llama-3.1-8B-Instruct", "nf4-dq"),
]


@pytest.mark.parametrize(("quantized", "base", "name"), SIBLINGS)
def test_a_quantized_repo_is_predicted_from_its_base(quantized: str, base: str, name: str) -> None:
    assert weight(counted(base), name) == pytest.approx(stored_census(quantized).stored_bytes, rel=0.01)


# What vLLM logged as loaded, in GiB: vllm-project/vllm#12569.
LOADED = [
    (
        "RedHatAI/Meta-Llama-3.1-70B-Instruct-quantized.w8a8",
        "meta-llama/Llama-3.1-70B-Instruct",
        "int8",
        67.7229,
    ),
]


@pytest.mark.parametrize(("_", "base", "name", "gib"), LOADED)
def test_what_an_engine_loads_is_predicted_from_the_base(_: str, base: str, name: str, gib: float) -> None:
    assert weight(counted(base), name) / GIB == pytest.approx(gib, rel=0.01)


# Trained in the precision they are published in.
OF_OWN_PRECISION = [
    ("deepseek-ai/DeepSeek-V3", "fp8-block"),
    ("openai/gpt-oss-20b", "mxfp4-experts"),
    ("openai/gpt-oss-120b", "mxfp4-experts"),
]


@pytest.mark.parametrize(
    ("repo", "name"), [*((quantized, name) for quantized, _, name in SIBLINGS), *OF_OWN_PRECISION]
)
def test_a_quantized_repo_asked_for_in_its_own_precision_weighs_what_it_does(repo: str, name: str) -> None:
    """Packed weights are unpacked to the shapes they had, or the scales would come out otherwise."""
    assert weight(counted(repo), name) == pytest.approx(stored_census(repo).stored_bytes, rel=0.01)


@pytest.mark.parametrize(("quantized", "base", "_"), SIBLINGS)
def test_a_quantized_repo_and_its_base_are_one_in_sixteen_bits(quantized: str, base: str, _: str) -> None:
    assert weight(counted(quantized), "bf16") == pytest.approx(weight(counted(base), "bf16"), rel=0.001)


def test_every_precision_is_held_against_a_repo_or_computed_by_hand() -> None:
    """Of those by hand no repo's size is at hand whose original is known too."""
    held = {name for _, _, name in SIBLINGS} | {name for _, _, name, _ in LOADED}
    held |= {name for _, name in OF_OWN_PRECISION}
    by_hand = {"fp32", "fp16", "bf16", "nf4", "fp4", "gptq-int8", "mxfp4", "nvfp4"}
    assert set(METHODS) == held | by_hand
