"""What images become, by the rules of each family's processor."""

from typing import Any

import pytest
from hubmem.models.architecture import Architecture, Dense
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.models.mixers import Attention
from hubmem.models.towers import Native, Tiled, Tower

SIGLIP: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "image_size": 896,
    "patch_size": 14,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "intermediate_size": 4304,
}
CLIP: dict[str, Any] = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14}
PIXTRAL: dict[str, Any] = {"model_type": "pixtral", "image_size": 1540, "patch_size": 14}
SMOL: dict[str, Any] = {"model_type": "smolvlm_vision", "image_size": 512, "patch_size": 16}


def _read(model_type: str, vision: dict[str, Any], **facts: Any) -> Architecture:
    text = {"model_type": "gemma"} if model_type == "paligemma" else {}
    config = {"model_type": model_type, "text_config": text, "vision_config": vision, **facts}
    architecture = read_architecture(Config(config))
    assert architecture is not None
    return architecture


def _tower(model_type: str, vision: dict[str, Any], **facts: Any) -> Tower:
    tower = _read(model_type, vision, **facts).tower
    assert tower is not None
    return tower


@pytest.mark.parametrize(
    ("model_type", "vision", "facts", "size", "crops", "patches", "tokens"),
    [
        # 24 × 24 patches of LLaVA-1.5, and a class token that goes no further.
        ("llava", CLIP, {}, (640, 480), 1, 577, 576),
        ("llava", CLIP, {"vision_feature_select_strategy": "full"}, (640, 480), 1, 577, 577),
        ("gemma3", SIGLIP, {}, (3000, 200), 1, 4096, 256),
        ("paligemma", {**SIGLIP, "image_size": 448}, {}, (1024, 1024), 1, 1024, 1024),
        # 4 × 4 tiles of SmolVLM2 and the whole, 64 tokens each; 4 × 3 of a wider image.
        ("smolvlm", SMOL, {"scale_factor": 4}, (1024, 1024), 17, 1024, 17 * 64),
        ("smolvlm", SMOL, {"scale_factor": 4}, (1920, 1080), 13, 1024, 13 * 64),
        ("idefics3", SMOL, {"scale_factor": 4}, (1080, 1920), 13, 1024, 13 * 64),
        ("internvl", {}, {}, (1024, 1024), 10, 1025, 10 * 256),
        ("internvl", {}, {}, (448, 448), 1, 1025, 256),
        ("internvl", {}, {}, (1920, 1080), 9, 1025, 9 * 256),
        # Sides rounded to 28 pixels: 69 × 39 tokens, four patches each.
        ("qwen2_5_vl", {}, {}, (1920, 1080), 1, 4 * 69 * 39, 69 * 39),
        ("qwen2_vl", {}, {}, (28, 28), 1, 4 * 4, 4),
        ("qwen2_vl", {}, {}, (10_000, 10_000), 1, 4 * 128 * 128, 128 * 128),
        ("qwen3_vl", {}, {}, (1024, 768), 1, 4 * 32 * 24, 32 * 24),
        ("qwen3_vl", {}, {}, (32, 32), 1, 4 * 8 * 8, 8 * 8),
        ("mistral3", PIXTRAL, {"spatial_merge_size": 2}, (1024, 1024), 1, 4 * 37 * 37, 37 * 37),
        ("mistral3", PIXTRAL, {"spatial_merge_size": 2}, (3080, 1540), 1, 4 * 55 * 28, 55 * 28),
        # Pixtral in LLaVA's class merges no patches.
        ("llava", {**PIXTRAL, "image_size": 1024, "patch_size": 16}, {}, (2048, 1024), 1, 64 * 32, 64 * 32),
    ],
)
def test_an_image_becomes_as_many_tokens_as_its_processor_makes(
    model_type: str,
    vision: dict[str, Any],
    facts: dict[str, Any],
    size: tuple[int, int],
    crops: int,
    patches: int,
    tokens: int,
) -> None:
    seen = _tower(model_type, vision, **facts).sight.see(*size)
    assert (seen.crops, seen.patches, seen.tokens) == (crops, patches, tokens)


def test_a_towers_layers_are_those_of_its_config() -> None:
    tower = _tower("gemma3", SIGLIP)
    assert (tower.body.hidden_size, len(tower.body.layers)) == (1152, 27)
    (layer,) = set(tower.body.layers)
    assert layer.mixers == (Attention(heads=16, kv_heads=16, key_dim=72, value_dim=72),)
    assert layer.feed_forward == Dense(width=4304, gated=False)
    assert tower.patch_values == 3 * 14 * 14


def test_qwen2_vl_calls_its_own_width_otherwise_and_its_patches_are_of_two_frames() -> None:
    tower = _tower("qwen2_vl", {"embed_dim": 1280, "hidden_size": 8192, "depth": 32, "num_heads": 16})
    assert tower.body.hidden_size == 1280
    assert tower.body.layers[0].feed_forward == Dense(width=4 * 1280, gated=False)
    assert tower.patch_values == 3 * 2 * 14 * 14


def test_a_tower_may_bear_the_whole_models_name() -> None:
    named = {"model_type": "qwen3_vl", "depth": 27, "hidden_size": 1152, "num_heads": 16, "patch_size": 16}
    assert len(_tower("qwen3_vl", named).body.layers) == 27


def test_a_model_whose_images_are_not_known_has_no_tower() -> None:
    assert _read("llava_next", CLIP).tower is None


@pytest.mark.parametrize(
    ("model_type", "vision"),
    [
        ("internvl", {"image_size": [448, 224]}),
        ("gemma3", {**SIGLIP, "num_attention_heads": 7}),
        ("llava", {"model_type": "vit_mae"}),
    ],
)
def test_a_tower_that_cannot_be_read_leaves_the_language_model_as_it_is(
    model_type: str, vision: dict[str, Any]
) -> None:
    architecture = _read(model_type, vision)
    assert architecture.tower is None
    assert architecture.layers


def test_an_image_is_never_cut_into_more_tiles_than_allowed() -> None:
    sight = Tiled(side=448, most=12, patches=1, tokens=1)
    assert max(sight.see(width, 448).crops for width in range(100, 20_000, 100)) == 13


def test_an_image_without_limits_has_at_least_one_token() -> None:
    assert Native(side=28, merged=4).see(1, 1).tokens == 1
