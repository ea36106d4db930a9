"""Tied tensors once, draft layers apart, and what a token meets of a mixture of experts."""

import pytest
from hubmem.weights.census import Census
from hubmem.weights.counting import active_parameters, count, with_draft_layers
from hubmem.weights.quantization_config import read_quantization
from hubmem.weights.roles import Role

from tests.weights.censuses import census_of
from tests.weights.records import RECORDS, stored_census


def counted(repo: str, *, tied: bool = False, layers: int | None = None) -> Census:
    quantization = read_quantization(RECORDS[repo]["config"])
    return count(stored_census(repo), quantization=quantization, tied_embeddings=tied, layers=layers)


@pytest.mark.parametrize(
    ("repo", "tied", "parameters"),
    [
        # Qwen3's technical report, arXiv:2505.09388, table 1: 0.6 B and 1.7 B with tied embeddings.
        ("Qwen/Qwen3-0.6B", True, 596_049_920),
        ("Qwen/Qwen3-1.7B", True, 1_720_574_976),
        ("facebook/opt-6.7b", True, 6_658_473_984),
        ("google/flan-t5-xxl", False, 11_135_332_352),
        ("google-t5/t5-base", True, 222_903_552),
        ("nvidia/megatron-gpt2-345m", True, 354_871_296),
        ("tiiuae/falcon-7b", True, 6_921_720_704),
        ("meta-llama/Llama-3.1-8B", False, 8_030_261_248),
    ],
)
def test_tied_tensors_are_counted_once(repo: str, tied: bool, parameters: int) -> None:
    census = counted(repo, tied=tied)
    copies = stored_census(repo).parameters - census.parameters
    assert census.parameters == parameters
    assert any("repeats the embedding" in note for note in census.notes) == bool(copies)
    assert census.stored_bytes - census.loaded_bytes == copies * (4 if "t5" in repo else 2)


def test_a_head_of_another_shape_is_no_copy() -> None:
    census = census_of({"model.embed_tokens.weight": (100, 8), "lm_head.weight": (96, 8)})
    assert count(census, tied_embeddings=True).parameters == 100 * 8 + 96 * 8


def test_a_head_of_another_model_in_the_checkpoint_is_no_copy() -> None:
    """π0 has the head of a second Gemma beside PaliGemma's embeddings."""
    embedding = {"vlm.paligemma.language_model.model.embed_tokens.weight": (100, 8)}
    own, other = (
        {f"vlm.{model}.lm_head.weight": (100, 8)} for model in ("paligemma.language_model", "gemma_expert")
    )
    assert count(census_of(embedding | own), tied_embeddings=True).parameters == 800
    assert count(census_of(embedding | other), tied_embeddings=True).parameters == 1600


def test_the_bias_of_a_tied_decoder_is_counted_once_too() -> None:
    census = census_of(
        {
            "bert.embeddings.word_embeddings.weight": (100, 8),
            "cls.predictions.decoder.weight": (100, 8),
            "cls.predictions.decoder.bias": (100,),
            "cls.predictions.bias": (100,),
        }
    )
    assert count(census, tied_embeddings=True).parameters == 100 * 8 + 100


def test_two_models_of_one_checkpoint_are_tied_each_to_its_own_embedding() -> None:
    census = census_of(
        {
            "a.embed_tokens.weight": (100, 8),
            "a.lm_head.weight": (100, 8),
            "b.embed_tokens.weight": (50, 8),
            "b.lm_head.weight": (50, 8),
        }
    )
    assert count(census, tied_embeddings=True).parameters == 150 * 8


def test_a_head_is_counted_unless_the_config_ties_it() -> None:
    census = census_of({"model.embed_tokens.weight": (100, 8), "lm_head.weight": (100, 8)})
    assert count(census).parameters == 2 * 800


def test_a_decoder_s_bias_that_repeats_none_is_counted() -> None:
    census = census_of(
        {
            "bert.embeddings.word_embeddings.weight": (100, 8),
            "cls.predictions.decoder.weight": (100, 8),
            "cls.predictions.decoder.bias": (100,),
        }
    )
    assert count(census, tied_embeddings=True).parameters == 100 * 8 + 100


def test_layers_beyond_the_config_s_are_draft_layers() -> None:
    """DeepSeek-V3, arXiv:2412.19437 §2.2: 671 B parameters, and 14 B of the multi-token prediction module."""
    census = counted("deepseek-ai/DeepSeek-V3", layers=61)
    draft = census.by_role()[Role.DRAFT]
    assert draft == 13_463_426_048
    assert census.parameters - draft == 671_026_404_352
    assert census.tensors == stored_census("deepseek-ai/DeepSeek-V3").tensors
    assert census.stored_bytes == stored_census("deepseek-ai/DeepSeek-V3").stored_bytes


def test_only_the_decoder_s_own_layers_are_numbered_by_its_config() -> None:
    census = census_of(
        {
            **{f"visual.blocks.{n}.attn.qkv.weight": (8, 8) for n in range(4)},
            **{f"model.decoder.layers.{n}.fc1.weight": (8, 8) for n in range(4)},
            **{f"model.layers.{n}.mlp.up_proj.weight": (8, 8) for n in range(3)},
        }
    )
    roles = {group.template: group.role for group in with_draft_layers(census, 2).groups}
    assert roles == {
        "visual.blocks.{0..3}.attn.qkv.weight": Role.VISION,
        "model.decoder.layers.{0..3}.fc1.weight": Role.MLP,
        "model.layers.{0..1}.mlp.up_proj.weight": Role.MLP,
        "model.layers.2.mlp.up_proj.weight": Role.DRAFT,
    }


def test_a_single_draft_layer_keeps_all_of_its_experts() -> None:
    census = census_of(
        {
            **{f"model.layers.2.mlp.experts.{n}.up_proj.weight": (16, 8) for n in range(4)},
            "model.layers.0.mlp.up_proj.weight": (16, 8),
        }
    )
    counted_apart = with_draft_layers(census, 2)
    assert counted_apart.by_role()[Role.DRAFT] == 4 * 16 * 8
    assert counted_apart.tensors == census.tensors


def test_of_two_layers_one_may_draft() -> None:
    census = census_of({f"model.layers.{n}.mlp.up_proj.weight": (16, 8) for n in (1, 2)})
    assert with_draft_layers(census, 2).by_role() == {Role.MLP: 16 * 8, Role.DRAFT: 16 * 8}


def test_a_buffer_of_a_draft_layer_is_still_no_parameter() -> None:
    census = census_of(
        {"model.layers.2.self_attn.rotary_emb.inv_freq": (8,), "model.layers.2.mlp.up_proj.weight": (16, 8)}
    )
    roles = {group.template: group.role for group in with_draft_layers(census, 2).groups}
    assert set(roles.values()) == {Role.BUFFER, Role.DRAFT}


def test_without_experts_every_parameter_is_active() -> None:
    dense = census_of({"model.layers.0.mlp.up_proj.weight": (16, 8)})
    assert active_parameters(dense, 8, 2) == 16 * 8


@pytest.mark.parametrize(
    ("repo", "layers", "experts", "used", "published"),
    [
        # Mixtral: 12.9 B, arXiv:2401.04088. DeepSeek-V3: 37 B, arXiv:2412.19437. Qwen3: 3 B and 22 B in their
        # names, arXiv:2505.09388. Llama 4 Scout: 17 B in its name; its experts are fused, as are gpt-oss'.
        ("mistralai/Mixtral-8x7B-v0.1", 32, 8, 2, 12.9e9),
        ("deepseek-ai/DeepSeek-V3", 61, 256, 8, 37.5e9),
        ("Qwen/Qwen3-30B-A3B", 48, 128, 8, 3.35e9),
        ("Qwen/Qwen3-235B-A22B", 94, 128, 8, 22.2e9),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 48, 16, 1, 17.2e9),
    ],
)
def test_the_active_parameters_of_a_mixture(
    repo: str, layers: int, experts: int, used: int, published: float
) -> None:
    active = active_parameters(counted(repo, layers=layers), experts, used)
    assert active == pytest.approx(published, rel=0.005)


def test_the_active_parameters_of_gpt_oss_are_the_published_ones_but_for_the_embedding() -> None:
    """3.61 B of 20.91 B, arXiv:2508.10925 table 1, which leaves out the input embedding."""
    census = counted("openai/gpt-oss-20b")
    embedding = census.by_role()[Role.EMBEDDING]
    assert active_parameters(census, 32, 4) - embedding == pytest.approx(3.61e9, rel=0.001)


def test_fused_and_separate_experts_are_equally_active() -> None:
    experts = {f"model.layers.0.mlp.experts.{n}.up_proj.weight": (16, 8) for n in range(4)}
    fused = census_of({"model.layers.0.mlp.experts.up_proj": (4, 16, 8), "lm_head.weight": (10, 8)})
    apart = census_of({**experts, "lm_head.weight": (10, 8)})
    assert active_parameters(fused, 4, 1) == active_parameters(apart, 4, 1) == 16 * 8 + 80
