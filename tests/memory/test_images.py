"""Images in a plan: their tokens, their tower, and what a model cannot see."""

from dataclasses import replace
from typing import Any

import pytest
from hubmem.errors import UsageError
from hubmem.memory.cache import cache_term
from hubmem.memory.images import check_images, with_images
from hubmem.memory.inference import plan_inference
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Dense, Layer
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.models.mixers import Attention
from hubmem.models.sights import Whole
from hubmem.models.towers import Handing, Tower
from hubmem.weights import counting
from hubmem.weights.census import Census, fold_file
from hubmem.weights.safetensors import Tensor

from tests.memory.models import llama

TEXT, TENSORS = llama(layers=2, hidden=256, heads=4, kv_heads=4, head_dim=64, mlp=512, vocabulary=1000)
WIDTH, PATCHES, TOKENS = 512, 1024, 256
PIXELS = 3 * 448 * 448
LAYER = Layer(
    mixers=(Attention(heads=8, kv_heads=8, key_dim=64, value_dim=64),),
    feed_forward=Dense(width=2048, gated=False),
)
BODY = replace(
    TEXT, model_type="siglip_vision_model", hidden_size=WIDTH, layers=(LAYER,) * 3, generates=False
)
TOWER = Tower(body=BODY, pixel_values=3, sight=Whole(side=448, patches=PATCHES, features=TOKENS))
SEEING = replace(TEXT, tower=TOWER)
ONE = Workload(images=1, context=512)


def _seeing() -> Census:
    names = [f"vision_tower.encoder.layers.{n}.mlp.fc{k}.weight" for n in range(3) for k in (1, 2)]
    tower = fold_file([Tensor(name, "BF16", (2048, 512)) for name in names], "model.safetensors")
    return counting.count(replace(TENSORS, groups=(*TENSORS.groups, *tower)), tied_embeddings=False)


def _held(architecture: Architecture, workload: Workload, phase: str) -> int:
    return plan_inference(architecture, TENSORS, workload).peaks[phase]


def test_a_prompt_with_an_image_holds_its_pixels_and_what_it_became() -> None:
    """While the last layer of a longer text runs."""
    workload = replace(ONE, context=8192)
    more = _held(SEEING, workload, "prefill") - _held(SEEING, replace(workload, images=0), "prefill")
    pixels, output, features = 4 * PIXELS, 2 * PATCHES * WIDTH, 2 * TOKENS * 256
    assert more == pixels + output + 2 * features


@pytest.mark.parametrize(
    ("facts", "more"),
    [
        ({"handing": Handing(outputs=2)}, 2 * PATCHES * WIDTH),
        ({"handing": Handing(joined=False)}, -2 * TOKENS * 256),
        # Features in the place of patches.
        ({"shrunk": 128}, 2 * TOKENS * 128 - 2 * PATCHES * WIDTH),
        ({"pixel_bytes": 2}, -2 * PIXELS),
        # Two features of each, and an early layer's output before they are added to it.
        ({"deepstack": 1}, 2 * 2 * TOKENS * 256 + 2 * 8192 * 256),
    ],
)
def test_what_a_model_refers_to_of_its_images_is_its_familys(facts: dict[str, Any], more: int) -> None:
    workload = replace(ONE, context=8192)
    other = replace(SEEING, tower=replace(TOWER, **facts))
    assert _held(other, workload, "prefill") - _held(SEEING, workload, "prefill") == more


def _kept(**facts: Any) -> str:
    tower = replace(TOWER, **facts)
    plan = plan_training(replace(SEEING, tower=tower), _seeing(), replace(ONE, train="full"))
    (kept,) = {term.formula for term in plan.terms if term.name == "activations kept"}
    return kept


def test_layers_that_nothing_is_read_from_keep_nothing() -> None:
    assert "2 × vision layer" in _kept(unused=1)


def test_each_layer_whose_output_becomes_features_has_a_projection() -> None:
    assert "3 × projection of images" in _kept(deepstack=2)


def test_patches_put_side_by_side_are_projected_at_the_width_of_all() -> None:
    """Through a norm, whose input is kept besides."""
    assert f"4 × {4 * WIDTH:,}" in _kept(handing=Handing(merges=True))
    assert f"2 × {WIDTH:,} + 4 × 256" in _kept()


def test_many_images_make_their_tower_the_peak_of_a_prompt() -> None:
    plan = plan_inference(SEEING, TENSORS, replace(ONE, images=2))
    assert plan.deciding.name.startswith("images: ")


def test_some_models_refer_to_pixels_in_both_dtypes_while_the_tower_runs() -> None:
    names = ("siglip_vision_model", "idefics3_vision")
    towers = (replace(TOWER, body=replace(BODY, model_type=name)) for name in names)
    one, both = (
        plan_inference(replace(SEEING, tower=tower), TENSORS, replace(ONE, images=2)).peaks["prefill"]
        for tower in towers
    )
    assert both - one == 2 * 2 * PIXELS


def test_of_a_tower_whose_layers_are_not_known_what_it_hands_over_is_counted() -> None:
    unknown = replace(SEEING, tower=replace(TOWER, body=None))
    plan = plan_inference(unknown, TENSORS, ONE)
    blind = plan_inference(TEXT, TENSORS, replace(ONE, images=0))
    assert plan.peaks["prefill"] > blind.peaks["prefill"] + 4 * PIXELS
    assert not any(moment.name.startswith("images: ") for moment in plan.moments)
    assert any("layers of its tower" in note for note in plan.notes)


def test_of_a_tower_whose_layers_are_not_known_training_keeps_the_projection() -> None:
    unknown = replace(SEEING, tower=replace(TOWER, body=None))
    plan = plan_training(unknown, _seeing(), replace(ONE, train="full"))
    (kept,) = {term.formula for term in plan.terms if term.name == "activations kept"}
    assert "projection of images" in kept
    assert "vision layer" not in kept


def test_pictures_packed_into_one_sequence_take_a_mask_of_all_pairs() -> None:
    """In Pixtral's tower, of the model's dtype; twice as many pictures make it four times as large."""
    packed = replace(TOWER, body=replace(BODY, model_type="pixtral"))
    apart = replace(TOWER, body=replace(BODY, model_type="siglip_vision_model"))

    def tower(of: Tower, images: int) -> int:
        plan = plan_inference(replace(SEEING, tower=of), TENSORS, replace(ONE, images=images))
        return max(sum(t.nbytes for t in m.terms) for m in plan.moments if m.name.startswith("images: "))

    grown = [tower(packed, images) - tower(apart, images) for images in (1, 2, 4)]
    # What else the towers differ in grows with the pictures: the second difference is the masks' alone.
    assert grown[2] - 3 * grown[1] + 2 * grown[0] == 2 * PATCHES**2 * (16 - 3 * 4 + 2)


def test_after_the_prompt_only_pixels_are_left() -> None:
    more = _held(SEEING, ONE, "decode") - _held(SEEING, replace(ONE, images=0), "decode")
    assert more == 4 * PIXELS


def test_full_training_keeps_the_activations_of_the_tower() -> None:
    plan = plan_training(SEEING, _seeing(), replace(ONE, train="full"))
    (kept,) = {term.formula for term in plan.terms if term.name == "activations kept"}
    assert "3 × vision layer" in kept


def test_lora_beside_the_text_keeps_nothing_of_the_tower() -> None:
    workload = replace(ONE, train="lora", batch=4)
    seeing, blind = (
        plan_training(SEEING, _seeing(), replace(workload, images=images)).allocated_bytes
        for images in (1, 0)
    )
    assert seeing - blind == 4 * 4 * PIXELS


def test_gradients_of_the_tower_come_after_those_of_the_text() -> None:
    plan = plan_training(SEEING, _seeing(), replace(ONE, train="full", context=256))
    backward = [moment for moment in plan.moments if moment.phase == "backward"]
    (tower,) = (moment for moment in backward if moment.name.startswith("vision layer"))
    gradients = next(term.nbytes for term in tower.terms if term.name == "gradients")
    embedding = 1000 * 256
    assert gradients >= 2 * (TENSORS.parameters - embedding)


def test_a_model_that_sees_no_images_is_refused_them() -> None:
    for plan, workload in ((plan_inference, ONE), (plan_training, replace(ONE, train="full"))):
        with pytest.raises(UsageError, match="how many tokens an image is to llama is not known"):
            plan(TEXT, TENSORS, workload)


def test_images_longer_than_the_context_are_refused_with_both_figures() -> None:
    with pytest.raises(UsageError, match="--images 3 are 768 tokens, and --context is 512"):
        check_images(SEEING, replace(ONE, images=3))
    check_images(SEEING, replace(ONE, images=2))
    check_images(None, ONE)


def test_a_shorter_context_that_is_tried_still_holds_its_images() -> None:
    tried, least = replace(ONE, context=1), replace(ONE, context=TOKENS)
    assert plan_inference(SEEING, TENSORS, tried) == plan_inference(SEEING, TENSORS, least)


def test_layers_that_look_across_keep_every_position_of_an_images_pictures() -> None:
    """Llama 3.2 Vision: four tiles of 1,601 positions each, in the eight layers that look across."""
    text = {"model_type": "mllama_text_model", "num_hidden_layers": 40, "hidden_size": 4096}
    across = {"cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38]}
    vision = {"image_size": 560, "patch_size": 14, "max_num_tiles": 4}
    config = {"model_type": "mllama", "text_config": text | across, "vision_config": vision}
    architecture = read_architecture(Config(config))
    assert architecture is not None
    one, two = (with_images(architecture, Workload(context=1024, images=images)) for images in (1, 2))
    assert (one.context, one.encoder_context) == (1024, 4 * 1601)
    kept = [cache_term(architecture, each, tokens=1024).nbytes for each in (one, two)]
    assert kept[1] - kept[0] == 8 * 2 * 8 * 128 * 2 * 4 * 1601


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"images": -1}, "--images"),
        ({"image_size": "0x10"}, "--image-size"),
        ({"image_size": "1024"}, "--image-size"),
        ({"image_size": "10x1000000"}, "--image-size"),
    ],
)
def test_sizes_that_mean_nothing_are_refused(asked: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError, match=option):
        Workload(**asked)
