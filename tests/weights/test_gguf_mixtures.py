"""llama.cpp's mixtures weigh what files made with them weigh, to the last published digit."""

import pytest
from hubmem.errors import UsageError
from hubmem.weights.census import Census, fold_file
from hubmem.weights.gguf_mixtures import MIXTURES, Kind, facts_of, kind_of
from hubmem.weights.precision import parse
from hubmem.weights.safetensors import Tensor

from tests.weights.censuses import census_of
from tests.weights.records import stored_census

# Bits a weight of Llama-3.1-8B: tools/quantize/README.md of llama.cpp, which llama-bench computed from the
# sizes and the 8,030,261,312 elements of all tensors, 64 rotary factors in float32 among them.
BITS = {
    "IQ1_S": 2.0042, "IQ1_M": 2.1460, "IQ2_XXS": 2.3824, "IQ2_XS": 2.5882, "IQ2_S": 2.7403, "IQ2_M": 2.9294,
    "IQ3_XXS": 3.2548, "IQ3_XS": 3.4977, "IQ3_S": 3.6606, "IQ3_M": 3.7628, "Q2_K_S": 2.9697, "Q2_K": 3.1593,
    "Q3_K_S": 3.6429, "Q3_K_L": 4.2979, "Q4_K_S": 4.6672, "Q4_K_M": 4.8944, "Q5_K_S": 5.5704,
    "Q5_K_M": 5.7036, "Q6_K": 6.5633, "Q8_0": 8.5008, "F16": 16.0005,
}  # fmt: skip
# The same table, where its files were made without an importance matrix and the rows here assume one.
BITS_WITHOUT_MATRIX = {"IQ4_XS": 4.4597, "IQ4_NL": 4.6818}

# GB of bartowski's files, as their model cards list them.
LLAMA_70B = {
    "Q8_0": 74.98, "Q6_K": 57.89, "Q5_K_M": 49.95, "Q5_K_S": 48.66, "Q4_K_M": 42.52, "Q4_K_S": 40.35,
    "Q4_0": 40.12, "IQ4_XS": 37.90, "Q3_K_L": 37.14, "Q3_K_M": 34.27, "IQ3_M": 31.94, "Q3_K_S": 30.91,
}  # fmt: skip
MIXTRAL_8X22B = {
    "Q5_K_M": 99.96, "Q5_K_S": 96.97, "Q4_K_M": 85.58, "Q4_K_S": 80.47, "Q3_K_L": 72.57, "Q3_K_M": 67.78,
    "IQ3_M": 64.49, "IQ3_S": 61.49, "Q3_K_S": 61.49, "IQ3_XS": 58.22, "Q2_K": 52.10,
}  # fmt: skip


def weight(census: Census, mixture: str) -> int:
    return sum(map(parse(f"gguf:{mixture}").of(census).nbytes, census.groups))


def mixtral_8x22b() -> Census:
    """mistralai/Mixtral-8x22B-v0.1: 56 layers of width 6144, MLP 16384, 8 KV heads of 128, 32,000 tokens."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (32000, 6144),
        "lm_head.weight": (32000, 6144),
        "model.norm.weight": (6144,),
    }
    for layer in range(56):
        prefix = f"model.layers.{layer}"
        shapes |= {f"{prefix}.self_attn.{part}_proj.weight": (6144, 6144) for part in ("q", "o")}
        shapes |= {f"{prefix}.self_attn.{part}_proj.weight": (1024, 6144) for part in ("k", "v")}
        shapes |= {f"{prefix}.{part}_layernorm.weight": (6144,) for part in ("input", "post_attention")}
        shapes |= {f"{prefix}.block_sparse_moe.gate.weight": (8, 6144)}
        for expert in range(8):
            experts = f"{prefix}.block_sparse_moe.experts.{expert}"
            shapes |= {f"{experts}.{part}.weight": (16384, 6144) for part in ("w1", "w3")}
            shapes |= {f"{experts}.w2.weight": (6144, 16384)}
    return census_of(shapes)


@pytest.mark.parametrize(("mixture", "bits"), BITS.items())
def test_llama_8b_weighs_the_published_bits(mixture: str, bits: float) -> None:
    nbytes = weight(stored_census("meta-llama/Llama-3.1-8B"), mixture) + 64 * 4
    assert 8 * nbytes / 8_030_261_312 == pytest.approx(bits, abs=0.00006)


@pytest.mark.parametrize(("mixture", "bits"), BITS_WITHOUT_MATRIX.items())
def test_files_made_without_an_importance_matrix_are_a_little_larger(mixture: str, bits: float) -> None:
    nbytes = weight(stored_census("meta-llama/Llama-3.1-8B"), mixture) + 64 * 4
    assert 0.99 * bits < 8 * nbytes / 8_030_261_312 < bits


@pytest.mark.parametrize(("mixture", "gigabytes"), LLAMA_70B.items())
def test_llama_70b_weighs_what_its_files_do(mixture: str, gigabytes: float) -> None:
    """A file has the vocabulary beside the tensors: 8 MB."""
    assert weight(stored_census("meta-llama/Llama-3.1-70B"), mixture) / 1e9 == pytest.approx(
        gigabytes, rel=0.0005
    )


@pytest.mark.parametrize(("mixture", "gigabytes"), MIXTRAL_8X22B.items())
def test_mixtral_8x22b_weighs_what_its_files_do(mixture: str, gigabytes: float) -> None:
    assert weight(mixtral_8x22b(), mixture) / 1e9 == pytest.approx(gigabytes, rel=0.0005)


def test_every_mixture_is_held_against_a_published_size_or_is_one_type_throughout() -> None:
    plain = {name for name, mixture in MIXTURES.items() if not mixture.rules}
    assert set(MIXTURES) - plain - {"Q5_0"} == (set(BITS) | set(BITS_WITHOUT_MATRIX) | set(LLAMA_70B)) - plain


def test_the_sum_is_exact_however_the_groups_are_divided_or_merged() -> None:
    """Which layers are the last eighth is not to be seen from one shard, and merged groups have no layers."""
    census = stored_census("meta-llama/Llama-3.1-8B")
    target = parse("gguf:Q4_K_M").of(census)
    whole = sum(map(target.nbytes, census.groups))
    downs = [
        Tensor(f"model.layers.{layer}.mlp.down_proj.weight", "BF16", (4096, 14336)) for layer in range(32)
    ]
    shards = [fold_file(downs[:16], "1"), fold_file(downs[16:], "2")]
    apart = sum(target.nbytes(group) for groups in shards for group in groups)
    together = sum(target.nbytes(group) for group in census.groups if kind_of(group.template) is Kind.DOWN)
    assert sum(map(target.nbytes, census.kinds)) == whole
    assert apart == together


def test_a_tensor_by_itself_is_not_weighed() -> None:
    census = stored_census("meta-llama/Llama-3.1-8B")
    with pytest.raises(UsageError, match="gguf:Q4_K_M is not known for a tensor by itself"):
        parse("gguf:Q4_K_M").nbytes(census.groups[0])


def test_an_embedding_that_is_the_output_matrix_has_its_type() -> None:
    tied = stored_census("Qwen/Qwen2.5-0.5B")
    assert facts_of(tied.groups).tied
    embedding = next(group for group in tied.groups if kind_of(group.template) is Kind.EMBEDDING)
    # 896 columns are no whole blocks of 256, so Q6_K gives way to Q8_0.
    assert parse("gguf:Q4_K_M").of(tied).nbytes(embedding) == 151936 * 896 // 32 * 34


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("transformer.h.{0..11}.attn.c_attn.weight", Kind.QKV),
        ("gpt_neox.layers.{0..43}.attention.query_key_value.weight", Kind.QKV),
        ("gpt_neox.layers.{0..43}.attention.dense.weight", Kind.ATTENTION_OUTPUT),
        ("model.layers.{0..47}.mlp.experts.{0..127}.down_proj.weight", Kind.DOWN),
        ("model.layers.{0..35}.mlp.experts.down_proj", Kind.DOWN),
        ("blk.{0..31}.ffn_down_exps.weight", Kind.DOWN),
        ("model.layers.{0..31}.mlp.gate_up_proj.weight", Kind.UP),
        ("model.layers.{0..61}.self_attn.kv_b_proj.weight", Kind.OTHER),
        ("output.weight", Kind.OUTPUT),
        ("token_embd.weight", Kind.EMBEDDING),
    ],
)
def test_names_of_both_worlds_are_told_apart_alike(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind
