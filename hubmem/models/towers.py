"""Towers for images beside a language model: the layers they have, and what they see.

Source: transformers 5.23, models/*/modeling_*.py.
"""

from dataclasses import dataclass

from hubmem.errors import MalformedConfig
from hubmem.models.architecture import Architecture, Dense, Layer
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
        pixel_bytes: of each number, as its processor hands it over.
        outputs: tensors of its output's size that the model refers to until it returns.
        shrunk: width of its output where it is of features already; 0 where it is of positions.
        joined: whether features of all images are then copied into one tensor.
        merges: whether patches of a feature are put side by side, and go through a norm before they are projected.
        inner: width between the two matrices of that projection; 0 for the language model's.
        unused: layers after the one whose output becomes features.
        deepstack: layers before it whose outputs become features too, which early layers of the language model add.
        assumed: whether settings that its sight depends on are its family's, the repo's own not being known.
    """

    body: Architecture | None
    class_tokens: int = 0
    pixel_values: int
    sight: Sight
    pixel_bytes: int = 4
    outputs: int = 1
    shrunk: int = 0
    joined: bool = True
    merges: bool = False
    inner: int = 0
    unused: int = 0
    deepstack: int = 0
    assumed: bool = False

    @property
    def trained(self) -> tuple[Layer, ...]:
        """The layers that what is read of it depends on."""
        layers = self.body.layers if self.body else ()
        return layers[: max(0, len(layers) - self.unused)]


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
            pixel_bytes=2 if vision.model_type == "llama4_vision_model" else 4,
            outputs=_OUTPUTS.get(config.model_type, 1),
            shrunk=vision.positive(_SHRUNK[vision.model_type]) if vision.model_type in _SHRUNK else 0,
            joined=config.model_type not in _UNJOINED,
            merges=config.model_type in _MERGING,
            inner=_inner(vision) if config.model_type in _INNER_AS_MERGED else 0,
            unused=_unused(config),
            deepstack=len(vision.integers("deepstack_visual_indexes") or ()),
            assumed=settings is None and depends_on_settings(sight),
        )
    except MalformedConfig:
        return None


def _inner(vision: Config) -> int:
    return vision.positive("spatial_merge_size") ** 2 * _width(vision)


def _unused(config: Config) -> int:
    """Layers after the one that is read, which is counted from the last; none where several are."""
    if config.sequence("vision_feature_layer") is not None:
        return 0
    return max(0, -1 - (config.optional_integer("vision_feature_layer") or -1))


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
    width = vision.optional_positive(_MLP_WIDTH.get(vision.model_type, "intermediate_size"))
    return Dense(
        width=width or vision.positive("mlp_ratio") * _width(vision), gated=vision.model_type in _GATED
    )


def _width(vision: Config) -> int:
    """Qwen2-VL calls the language model's width `hidden_size`, its own `embed_dim`."""
    return vision.optional_positive("embed_dim") or hidden_size(vision)


# The types of towers whose layers are known, and of them those whose MLPs have a gate.
_GATED = frozenset({"glm4v_moe_vision", "glm4v_vision", "qwen2_5_vl_vision", "pixtral"})
_KNOWN = _GATED | {
    "clip_vision_model", "idefics3_vision", "internvl_vision", "llama4_vision_model", "qwen2_vl_vision",
    "qwen3_5_moe_vision", "qwen3_5_vision", "qwen3_vl_moe_vision", "qwen3_vl_vision", "siglip_vision_model",
    "smolvlm_vision",
}  # fmt: skip
# Where it is not one: what is read of a tower, beside its last layer's output or that after a norm.
_OUTPUTS = {"llava": 2, "llava_next": 2, "llava_onevision": 2, "aya_vision": 2}
_UNJOINED = frozenset({
    "aya_vision", "cohere2_vision", "deepseek_vl", "gemma3", "llama4", "paligemma",
})  # fmt: skip
# Where convolutions or an MLP at a tower's end make features of patches, and the key of their width.
_SHRUNK = {
    "glm4v_moe_vision": "out_hidden_size",
    "glm4v_vision": "out_hidden_size",
    "llama4_vision_model": "vision_output_dim",
}
# GLM-4V calls the width of the part after its tower `intermediate_size`.
_MLP_WIDTH = {"glm4v_moe_vision": "out_hidden_size", "glm4v_vision": "out_hidden_size"}
_INNER_AS_MERGED = frozenset({"qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe"})
_MERGING = _INNER_AS_MERGED | {"aya_vision", "glm46v", "glm4v", "glm4v_moe", "internvl"}
_STACK = Stack(pattern=all_of(FULL), mixers={FULL: _attention}, feed_forward=_feed_forward)
