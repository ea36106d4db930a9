"""Towers for images beside a language model: the layers they have, and how many tokens an image becomes.

Symbols: p side of a patch in pixels.

Source: transformers 5.23, models/*/processing_*.py and image_processing_*.py. Limits that repos keep in
preprocessor_config.json are those published with the family's models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, sqrt

from hubmem.errors import MalformedConfig
from hubmem.models.architecture import Architecture, Dense
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size, refuse_remainder
from hubmem.models.mixers import Attention, Mixer
from hubmem.models.patterns import FULL, all_of
from hubmem.models.stack import Stack
from hubmem.models.switches import read_switches

_CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one image becomes.

    Attributes:
        crops: pictures that go through the tower.
        patches: of each of them, positions of its sequence.
        tokens: of all of them in the language model's sequence.
    """

    crops: int
    patches: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Every image is scaled to one size.

    Attributes:
        patches: of it, with those that are no part of it (a class token).
    """

    patches: int
    tokens: int

    def see(self, width: int, height: int) -> Seen:
        """An image of so many pixels."""
        del width, height
        return Seen(crops=1, patches=self.patches, tokens=self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """An image is scaled to so many tiles along its longer side, and seen whole besides.

    Attributes:
        side: of a tile, in pixels.
        tiles: along the longer side.
        patches, tokens: of a tile.
    """

    side: int
    tiles: int
    patches: int
    tokens: int

    def see(self, width: int, height: int) -> Seen:
        """An image of so many pixels."""
        shorter = ceil(self.tiles * min(width, height) / max(width, height))
        crops = self.tiles * shorter + 1
        return Seen(crops=crops, patches=self.patches, tokens=crops * self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiled:
    """An image is cut into the grid of tiles that is most like it in shape, and seen whole besides.

    Attributes:
        side: of a tile, in pixels.
        most: tiles of a grid.
        patches, tokens: of a tile.
    """

    side: int
    most: int
    patches: int
    tokens: int

    def see(self, width: int, height: int) -> Seen:
        """An image of so many pixels. Of grids of the same shape the larger one, if the image fills half of it."""
        grids = [(c, r) for c in range(1, self.most + 1) for r in range(1, self.most // c + 1)]
        nearest = min(abs(width / height - c / r) for c, r in grids)
        alike = sorted(c * r for c, r in grids if abs(width / height - c / r) == nearest)
        filled = [tiles for tiles in alike if 2 * width * height > self.side**2 * tiles]
        tiles = max(filled, default=alike[0])
        crops = tiles + 1 if tiles > 1 else 1
        return Seen(crops=crops, patches=self.patches, tokens=crops * self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """An image keeps its shape, its sides rounded to whole tokens.

    Attributes:
        side: of a token, in pixels.
        merged: patches of a token.
        least, most: tokens of an image.
        longest: side of an image, in pixels; 0 without a limit of its own.
    """

    side: int
    merged: int
    least: int = 1
    most: int = 2**31
    longest: int = 0

    def see(self, width: int, height: int) -> Seen:
        """An image of so many pixels."""
        columns, rows = (self._longer(side, max(width, height)) for side in (width, height))
        if columns * rows > self.most:
            columns, rows = self._scaled(width, height, self.most, int)
        elif columns * rows < self.least:
            columns, rows = self._scaled(width, height, self.least, ceil)
        tokens = columns * rows
        return Seen(crops=1, patches=self.merged * tokens, tokens=tokens)

    def _longer(self, side: int, longer: int) -> int:
        if not self.longest:
            return max(1, round(side / self.side))
        scaled = int(side / max(1.0, longer / self.longest))
        return ceil(scaled / self.side)

    def _scaled(self, width: int, height: int, tokens: int, whole: Callable[[float], int]) -> tuple[int, int]:
        ratio = sqrt(tokens * self.side**2 / (width * height))
        return max(1, whole(width * ratio / self.side)), max(1, whole(height * ratio / self.side))


Sight = Whole | Split | Tiled | Native


@dataclass(frozen=True, kw_only=True)
class Tower:
    """The layers images go through.

    Attributes:
        body: its layers, as of an encoder without a vocabulary.
        patch_values: numbers of a patch: channels, frames and p² pixels.
        sight: what an image becomes.
    """

    body: Architecture
    patch_values: int
    sight: Sight


_Read = Callable[[Config, Config], Sight]
"""From a model's config and its tower's."""


def read_tower(config: Config) -> Tower | None:
    """The tower of a model whose images can be counted; None also where its config is not as its class writes it.

    What is wrong with a tower is no reason to refuse the language model beside it.
    """
    read = _BY_TYPE.get(config.model_type)
    vision = config.child("vision_config")
    if read is None or vision is None:
        return None
    # Some files name the whole model's type here (Qwen3-VL).
    if vision.model_type in ("", config.model_type):
        vision = vision.read_as(config.sub_type("vision_config"))
    if vision.model_type not in _TYPES:
        return None
    try:
        return _tower(vision, read(config, vision))
    except MalformedConfig:
        return None


def _tower(vision: Config, sight: Sight) -> Tower:
    body = Architecture(
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
    frames = vision.optional_positive("temporal_patch_size") or 1
    return Tower(body=body, patch_values=_CHANNELS * frames * _patch(vision) ** 2, sight=sight)


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


def _patch(vision: Config) -> int:
    return _side(vision, "patch_size")


def _side(vision: Config, key: str) -> int:
    """A side in pixels, or of two that must be alike.

    Raises:
        MalformedConfig: they are not.
    """
    sides = [vision.positive(key)] if vision.sequence(key) is None else vision.integers(key)
    if not sides or len(set(sides)) > 1 or sides[0] <= 0:
        raise MalformedConfig("expected the side of a square", key=vision.path_of(key))
    return sides[0]


def _squares(vision: Config) -> int:
    """Patches of a picture of the tower's own size."""
    return (_side(vision, "image_size") // _patch(vision)) ** 2


def _clip(config: Config, vision: Config) -> Sight:
    """A class token goes through the tower and, unless the strategy is `full`, no further."""
    if vision.model_type == "pixtral":
        return Native(side=_patch(vision), merged=1, longest=_side(vision, "image_size"))
    patches = _squares(vision)
    full = config.text("vision_feature_select_strategy") == "full"
    class_token = vision.model_type == "clip_vision_model"
    return Whole(patches=patches + class_token, tokens=patches + (class_token and full))


def _siglip(config: Config, vision: Config) -> Sight:
    del config
    return Whole(patches=_squares(vision), tokens=_squares(vision))


def _gemma3(config: Config, vision: Config) -> Sight:
    return Whole(patches=_squares(vision), tokens=config.positive("mm_tokens_per_image"))


def _idefics3(config: Config, vision: Config) -> Sight:
    """Four tiles along the longer side, as its processors scale it; pixels are shuffled into channels."""
    patches = _squares(vision)
    tokens = patches // config.positive("scale_factor") ** 2
    return Split(side=_side(vision, "image_size"), tiles=4, patches=patches, tokens=tokens)


def _internvl(config: Config, vision: Config) -> Sight:
    tokens = config.positive("image_seq_length")
    return Tiled(side=_side(vision, "image_size"), most=12, patches=_squares(vision) + 1, tokens=tokens)


def _qwen(*, least: int) -> _Read:
    """At most 16,384 tokens, as the processors of Qwen's repos allow."""

    def read(_: Config, vision: Config) -> Sight:
        merged = vision.positive("spatial_merge_size")
        return Native(side=merged * _patch(vision), merged=merged**2, least=least, most=16384)

    return read


def _mistral3(config: Config, vision: Config) -> Sight:
    merged = config.positive("spatial_merge_size")
    longest = _side(vision, "image_size")
    return Native(side=merged * _patch(vision), merged=merged**2, longest=longest)


_ROWS: Mapping[str, _Read] = {
    "llava vipllava": _clip,
    "paligemma": _siglip,
    "gemma3": _gemma3,
    "idefics3 smolvlm": _idefics3,
    "internvl": _internvl,
    "qwen2_vl qwen2_5_vl": _qwen(least=4),
    "qwen3_vl qwen3_vl_moe": _qwen(least=64),
    "mistral3": _mistral3,
}
_BY_TYPE = {name: read for names, read in _ROWS.items() for name in names.split()}
# The types towers have, and of them those whose MLPs have a gate.
_GATED = frozenset({"qwen2_5_vl_vision", "pixtral"})
_TYPES = _GATED | {
    "clip_vision_model", "idefics3_vision", "internvl_vision", "qwen2_vl_vision", "qwen3_vl_moe_vision",
    "qwen3_vl_vision", "siglip_vision_model", "smolvlm_vision",
}  # fmt: skip
_STACK = Stack(pattern=all_of(FULL), mixers={FULL: _attention}, feed_forward=_feed_forward)
