"""What a plan says of layers that it takes for granted."""

from dataclasses import replace
from typing import Any

import pytest
from hubmem.memory.notes import notes
from hubmem.memory.sharding import ranks
from hubmem.memory.workload import AttentionCode, Workload
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Indexer, Kept, LatentAttention, Recurrent
from hubmem.models.sights import Nearest
from hubmem.models.towers import Tower
from hubmem.weights.census import Census, fold_file
from hubmem.weights.safetensors import Tensor

from tests.memory.models import llama
from tests.weights.censuses import census_of

LLAMA, TENSORS = llama(layers=1)
PATCHES = fold_file([Tensor("vision_tower.patch_embed.weight", "BF16", (8, 3, 14, 14))], "model.safetensors")
SEEING = replace(
    LLAMA,
    tower=Tower(body=LLAMA, pixel_values=3, sight=Nearest(side=448, most=12, patches=1024, features=256)),
)


def _notes(architecture: Architecture | None, census: Census = TENSORS, **workload: Any) -> tuple[str, ...]:
    (rank,) = ranks(architecture, census, Workload(**workload))
    return notes(rank, unknown="unknown")


def _with(name: str, *, chunk: int = 0) -> tuple[str, ...]:
    mixer = Recurrent(name=name, state=Kept(), chunk=chunk)
    return _notes(replace(LLAMA, layers=(Layer(mixers=(mixer,), feed_forward=None),)))


def test_attention_takes_nothing_for_granted() -> None:
    assert _notes(LLAMA) == ()


@pytest.mark.parametrize(
    ("heads", "said"), [(4, "planned in plain operators"), (0, "not counted")], ids=["known", "unknown"]
)
def test_what_chooses_keys_is_said_to_be_counted_or_not(heads: int, said: str) -> None:
    latent = LatentAttention(heads=4, latent_dim=8, rope_dim=2, key_dim=4, value_dim=4)
    layer = Layer(mixers=(latent, Indexer(dim=8)), feed_forward=None)
    shapes = {"model.layers.0.self_attn.indexer.weights_proj.weight": (heads, 64)} if heads else {}
    census = census_of({"model.norm.weight": (64,), **shapes})
    (note,) = _notes(replace(LLAMA, layers=(layer,)), census)
    assert said in note


def test_unknown_layers_are_said_to_be_unknown() -> None:
    assert _notes(None) == ("unknown",)


@pytest.mark.parametrize(("model_type", "said"), [("longformer", 1), ("mobilebert", 1), ("bert", 0)])
def test_a_family_that_mixes_tokens_otherwise_is_said_to_be_planned_roughly(
    model_type: str, said: int
) -> None:
    found = _notes(replace(LLAMA, model_type=model_type))
    assert sum(f"The code of {model_type} mixes tokens in a way of its own" in note for note in found) == said


@pytest.mark.parametrize(("attention", "said"), [("sdpa", 1), ("eager", 0)])
def test_a_family_without_fused_attention_says_so_unless_eager_is_asked(
    attention: AttentionCode, said: int
) -> None:
    found = _notes(replace(LLAMA, model_type="gpt_oss"), attention=attention)
    assert sum("no fused attention for gpt_oss" in note for note in found) == said


def test_a_plan_without_images_says_so_of_a_model_that_sees_them() -> None:
    census = replace(TENSORS, groups=(*TENSORS.groups, *PATCHES))
    (unknown,), (known,) = _notes(LLAMA, census), _notes(SEEING, census)
    assert unknown == "Images are not counted: this is the plan of text alone."
    assert known == f"{unknown} --images says how many a sequence has."


def test_a_plan_with_images_says_how_many_tokens_each_is() -> None:
    (note,) = _notes(SEEING, images=2, image_size="1024x1024")
    assert note == (
        "An image of 1,024 × 1,024 pixels is 10 pictures, 2,560 of the 8,192 tokens of a sequence."
    )


def test_a_scan_is_said_to_be_planned_with_its_kernel() -> None:
    (note,) = _with("mamba")
    assert "mamba-ssm" in note


def test_a_scan_whose_operators_are_known_is_said_to_be_planned_in_them() -> None:
    (note,) = _with("mamba2", chunk=256)
    assert "plain operators, as transformers runs them" in note


def test_a_short_convolution_needs_no_kernel() -> None:
    assert _with("short_convolution") == ()
