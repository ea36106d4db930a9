"""What images become, by the rules of each family's processor."""

from typing import Any

import pytest
from hubmem.models.architecture import Architecture, Dense
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.models.mixers import Attention
from hubmem.models.towers import Handing, Tower, read_tower

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


def _body(model_type: str, vision: dict[str, Any]) -> Architecture:
    body = _tower(model_type, vision).body
    assert body is not None
    return body


def test_a_limit_of_the_processor_is_read_where_it_says_one() -> None:
    vision = {"model_type": "qwen2_5_vl"}
    config = Config({"model_type": "qwen2_5_vl", "text_config": {}, "vision_config": vision})
    unlimited, limited = (
        read_tower(config, settings) for settings in (None, Config({"max_pixels": 28 * 28 * 100}))
    )
    assert unlimited is not None
    assert limited is not None
    assert (unlimited.assumed, limited.assumed) == (True, False)
    assert unlimited.sight.see(1024, 1024).tokens == 37 * 37
    assert limited.sight.see(1024, 1024).tokens == 100


@pytest.mark.parametrize(
    "settings",
    [{"min_pixels": -1}, {"size": 5}, {"size": {"longest_edge": "long"}}],
)
def test_settings_that_mean_nothing_leave_images_uncounted(settings: dict[str, Any]) -> None:
    assert read_tower(Config({"model_type": "qwen2_vl", "vision_config": {}}), Config(settings)) is None


@pytest.mark.parametrize("canvases", [[], [[336, 336], [672]], [[335, 672]], [336, 672], None])
def test_canvases_that_hold_no_tile_leave_images_uncounted(canvases: Any) -> None:
    settings = Config({"image_grid_pinpoints": canvases})
    config = Config({"model_type": "llava_next", "vision_config": CLIP})
    assert read_tower(config, settings) is None


def test_of_several_images_llava_onevision_cuts_none() -> None:
    vision = {"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14}
    sight = _tower("llava_onevision", vision).sight
    assert sight.see(1024, 1024).crops == 10
    several = sight.see(1024, 1024, beside=1)
    assert (several.crops, several.tokens) == (1, 27 * 27 + 1)


def test_a_towers_layers_are_those_of_its_config() -> None:
    body = _body("gemma3", SIGLIP)
    assert (body.hidden_size, len(body.layers)) == (1152, 27)
    (layer,) = set(body.layers)
    assert layer.mixers == (Attention(heads=16, kv_heads=16, key_dim=72, value_dim=72),)
    assert layer.feed_forward == Dense(width=4304, gated=False)


def test_qwen2_vl_calls_its_own_width_otherwise_and_sees_two_frames() -> None:
    vision = {"embed_dim": 1280, "hidden_size": 8192, "depth": 32, "num_heads": 16}
    body = _body("qwen2_vl", vision)
    assert body.hidden_size == 1280
    assert body.layers[0].feed_forward == Dense(width=4 * 1280, gated=False)
    assert _tower("qwen2_vl", vision).pixel_values == 3 * 2


def test_a_tower_may_bear_the_whole_models_name() -> None:
    named = {"model_type": "qwen3_vl", "depth": 27, "hidden_size": 1152, "num_heads": 16, "patch_size": 16}
    assert len(_body("qwen3_vl", named).layers) == 27


@pytest.mark.parametrize(
    ("facts", "unused"),
    [
        ({"vision_feature_layer": -2}, 1),
        ({"vision_feature_layer": -1}, 0),
        ({}, 1),
        ({"vision_feature_layer": [-2, -5, 6]}, 0),
        ({"vision_feature_layer": 3}, 0),
    ],
)
def test_layers_after_the_one_that_is_read_are_unused(facts: dict[str, Any], unused: int) -> None:
    """LLaVA's class reads the last but one where the config says nothing."""
    assert _tower("llava", CLIP, **facts).unused == unused


def test_qwen3_vl_hands_over_features_of_early_layers_too() -> None:
    deep = _tower("qwen3_vl", {"deepstack_visual_indexes": [8, 16, 24]})
    assert (deep.deepstack, deep.handing) == (3, Handing(merges=True, widens=True))


def test_glm_4v_calls_the_width_of_its_towers_mlp_otherwise() -> None:
    tower = _tower("glm4v", {"out_hidden_size": 4096, "intermediate_size": 13696})
    assert tower.trained[0].feed_forward == Dense(width=4096, gated=True)
    assert tower.shrunk == 4096


def test_llama_4_hands_over_pixels_in_half_precision() -> None:
    tower = _tower("llama4", {"hidden_size": 1408, "num_attention_heads": 16, "vision_output_dim": 4096})
    assert (tower.pixel_bytes, tower.shrunk) == (2, 4096)


def test_a_model_whose_images_are_not_known_has_no_tower() -> None:
    assert _read("blip-2", CLIP).tower is None


def test_a_tower_whose_layers_are_not_known_still_has_tokens() -> None:
    tower = _tower("gemma3n", {})
    assert tower.body is None
    assert tower.sight.see(640, 480).features == 256


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
