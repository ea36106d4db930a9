"""Towers for images beside a language model: the layers they have, and what they see.

Source: transformers 5.23, models/*/modeling_*.py.
"""

from dataclasses import dataclass

from hubmem.errors import MalformedConfig
from hubmem.models.architecture import Architecture, Dense
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size, refuse_remainder
from hubmem.models.mixers import Attention, Mixer
from hubmem.models.patterns import FULL, all_of
from hubmem.models.processors import class_tokens, depends_on_settings, read_sight
from hubmem.models.sights import Sight
from hubmem.models.stack import Stack
from hubmem.models.switches import read_switches

_COLOURS = 3


@dataclass(frozen=True, kw_only=True)
class Tower:
    """The layers images go through.

    Attributes:
        body: its layers, as of an encoder without a vocabulary; None where what they do is not known.
        class_tokens: positions of its sequence that are no patches.
        pixel_values: numbers of a pixel: its colours, in each frame it is repeated in.
        sight: what an image becomes.
        assumed: whether settings that its sight depends on are its family's, the repo's own not being known.
    """

    body: Architecture | None
    class_tokens: int = 0
    pixel_values: int
    sight: Sight
    assumed: bool = False


def read_tower(config: Config, settings: Config | None = None) -> Tower | None:
    """The tower of a model whose images can be counted; None also where its config is not as its class writes it.

    What is wrong with a tower is no reason to refuse the language model beside it.

    Args:
        config: the whole model's.
        settings: its image processor's; None where they were not read.
    """
    try:
        vision = _vision(config)
        sight = read_sight(config, vision, settings) if vision else None
        if vision is None or sight is None:
            return None
        return Tower(
            body=_body(vision) if vision.model_type in _KNOWN else None,
            class_tokens=class_tokens(vision),
            pixel_values=_COLOURS * (vision.optional_positive("temporal_patch_size") or 1),
            sight=sight,
            assumed=settings is None and depends_on_settings(sight),
        )
    except MalformedConfig:
        return None


def _vision(config: Config) -> Config | None:
    """The config of the tower; some files name the whole model's type in it (Qwen3-VL)."""
    vision = config.child("vision_config")
    if vision is not None and vision.model_type in ("", config.model_type):
        return vision.read_as(config.sub_type("vision_config"))
    return vision


def _body(vision: Config) -> Architecture:
    return Architecture(
        model_type=vision.model_type,
        class_name=None,
        hidden_size=_width(vision),
        vocab_size=0,
        max_context=None,
        dtype=None,
        tied_embeddings=False,
        layers=_STACK.read(vision),
        generates=False,
        switches=read_switches(vision),
    )


def _attention(vision: Config, _: int) -> tuple[Mixer, ...]:
    heads = vision.positive("num_attention_heads")
    refuse_remainder(vision, "hidden_size", _width(vision), "num_attention_heads", heads)
    head_dim = _width(vision) // heads
    return (Attention(heads=heads, kv_heads=heads, key_dim=head_dim, value_dim=head_dim),)


def _feed_forward(vision: Config, _: int) -> Dense:
    width = vision.optional_positive("intermediate_size")
    return Dense(
        width=width or vision.positive("mlp_ratio") * _width(vision), gated=vision.model_type in _GATED
    )


def _width(vision: Config) -> int:
    """Qwen2-VL calls the language model's width `hidden_size`, its own `embed_dim`."""
    return vision.optional_positive("embed_dim") or hidden_size(vision)


# The types of towers whose layers are known, and of them those whose MLPs have a gate.
_GATED = frozenset({"qwen2_5_vl_vision", "pixtral"})
_KNOWN = _GATED | {
    "clip_vision_model", "idefics3_vision", "internvl_vision", "qwen2_vl_vision", "qwen3_vl_moe_vision",
    "qwen3_vl_vision", "siglip_vision_model", "smolvlm_vision",
}  # fmt: skip
_STACK = Stack(pattern=all_of(FULL), mixers={FULL: _attention}, feed_forward=_feed_forward)
