"""Towers for images beside a language model: the layers they have, and what they see.

Source: transformers 5.23, models/*/modeling_*.py.
"""

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """How a language model takes over what its tower makes.

    Attributes:
        outputs: tensors of the tower's output's size that the model refers to until it returns.
        joined: whether features of all images are copied into one tensor.
        merges: whether patches of a feature are put side by side, and go through a norm before they are projected.
        widens: whether what lies between the two matrices of that projection is as wide as they are together.
    """

    outputs: int = 1
    joined: bool = True
    merges: bool = False
    widens: bool = False


@dataclass(frozen=True, kw_only=True)
class Tower:
    """The layers images go through.

    Attributes:
        body: its layers, as of an encoder without a vocabulary; None where what they do is not known.
        class_tokens: positions of its sequence that are no patches.
        pixel_values: numbers of a pixel: its colours, in each frame it is repeated in.
        sight: what an image becomes.
        pixel_bytes: of each number, as its processor hands it over.
        shrunk: width of its output where it is of features already; 0 where it is of positions.
        unused: layers after the one whose output becomes features.
        deepstack: layers before it whose outputs become features too, which early layers of the language model add.
        assumed: whether settings that its sight depends on are its family's, the repo's own not being known.
    """

    body: Architecture | None
    class_tokens: int = 0
    pixel_values: int
    sight: Sight
    pixel_bytes: int = 4
    handing: Handing = Handing()
    shrunk: int = 0
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
        known = vision.model_type in _BY_TYPE
        kind = _BY_TYPE[vision.model_type] if known else _Kind()
        return Tower(
            body=_body(vision) if known else None,
            class_tokens=class_tokens(vision),
            pixel_values=_COLOURS * (vision.optional_positive("temporal_patch_size") or 1),
            sight=sight,
            pixel_bytes=kind.pixel_bytes,
            handing=_HANDING.get(config.model_type, Handing()),
            shrunk=vision.positive(kind.shrunk) if kind.shrunk else 0,
            unused=_unused(config),
            deepstack=len(vision.integers("deepstack_visual_indexes") or ()),
            assumed=settings is None and depends_on_settings(sight),
        )
    except MalformedConfig:
        return None


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
    kind = _BY_TYPE[vision.model_type]
    width = vision.optional_positive(kind.mlp_width)
    return Dense(width=width or vision.positive("mlp_ratio") * _width(vision), gated=kind.gated)


def _width(vision: Config) -> int:
    """Qwen2-VL calls the language model's width `hidden_size`, its own `embed_dim`."""
    return vision.optional_positive("embed_dim") or hidden_size(vision)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What the class of a tower does, and which keys of its config say how wide.

    Attributes:
        gated: whether its MLPs have a gate.
        mlp_width: the key of their width.
        shrunk: the key of its output's width, where convolutions or an MLP at its end make features of patches.
        pixel_bytes: of each number it is given.
    """

    gated: bool = False
    mlp_width: str = "intermediate_size"
    shrunk: str = ""
    pixel_bytes: int = 4


_PLAIN = (
    "clip_vision_model idefics3_vision internvl_vision qwen2_vl_vision qwen3_5_moe_vision qwen3_5_vision"
    " qwen3_vl_moe_vision qwen3_vl_vision siglip_vision_model smolvlm_vision"
)
_KINDS: Mapping[str, _Kind] = {
    _PLAIN: _Kind(),
    "pixtral qwen2_5_vl_vision": _Kind(gated=True),
    # `intermediate_size` is the width of the part after its tower.
    "glm4v_moe_vision glm4v_vision": _Kind(gated=True, mlp_width="out_hidden_size", shrunk="out_hidden_size"),
    # Its processor rescales in half precision.
    "llama4_vision_model": _Kind(shrunk="vision_output_dim", pixel_bytes=2),
}
_HANDINGS: Mapping[str, Handing] = {
    "llava llava_next llava_onevision": Handing(outputs=2),
    "aya_vision": Handing(outputs=2, joined=False, merges=True),
    "cohere2_vision deepseek_vl gemma3 llama4 paligemma": Handing(joined=False),
    "glm46v glm4v glm4v_moe internvl": Handing(merges=True),
    "qwen2_5_vl qwen2_vl qwen3_5 qwen3_5_moe qwen3_vl qwen3_vl_moe": Handing(merges=True, widens=True),
}
_BY_TYPE = {name: kind for names, kind in _KINDS.items() for name in names.split()}
_HANDING = {name: handing for names, handing in _HANDINGS.items() for name in names.split()}
_STACK = Stack(pattern=all_of(FULL), mixers={FULL: _attention}, feed_forward=_feed_forward)
