"""How families see images: the rules of their processors, with what config and settings say of sizes.

Source: transformers 5.23, models/*/processing_*.py and image_processing_*.py. What repos keep in
preprocessor_config.json is, where it was not read, as published with the family's models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubmem.errors import MalformedConfig
from hubmem.models.config import Config
from hubmem.models.sights import (
    Bounded,
    Filled,
    Fitted,
    Masked,
    Nearest,
    Rounded,
    Shrunk,
    Sight,
    Stretched,
    Unpadded,
    Whole,
)

# Types of towers with a position that is no patch.
_WITH_CLASS_TOKEN = frozenset({
    "clip_vision_model", "internvl_vision", "llama4_vision_model", "mllama_vision_model",
})  # fmt: skip
# Families that take any tower are known with these.
_PLAIN = frozenset({"clip_vision_model", "siglip_vision_model", "pixtral"})


def read_sight(config: Config, vision: Config, settings: Config | None) -> Sight | None:
    """How a model sees images, None where that is not known.

    Args:
        config: the model's.
        vision: its tower's.
        settings: its image processor's; None where they were not read.

    Raises:
        MalformedConfig: one of them is not as its class writes it.
    """
    family = _BY_TYPE.get(config.model_type)
    if family is None or (family.read in (_clip, _unpadded) and vision.model_type not in _PLAIN):
        return None
    files = _Files(config=config, vision=vision, settings=settings or Config(family.settings))
    return family.read(files)


def class_tokens(vision: Config) -> int:
    """Positions of a tower's sequence that are no patches."""
    return int(vision.model_type in _WITH_CLASS_TOKEN)


def depends_on_settings(sight: Sight) -> bool:
    """Whether a processor's settings could change what an image becomes."""
    return not isinstance(sight, Whole | Unpadded)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Where a sight is read.

    Attributes:
        config: the model's.
        vision: its tower's.
        settings: its processor's.
    """

    config: Config
    vision: Config
    settings: Config

    @property
    def patch(self) -> int:
        """A patch's side in pixels."""
        return _side(self.vision, "patch_size")

    @property
    def side(self) -> int:
        """Of a picture as the tower takes it, in pixels."""
        return _side(self.vision, "image_size")

    @property
    def squares(self) -> int:
        """Patches of such a picture."""
        return (self.side // self.patch) ** 2

    def size(self, key: str, otherwise: int) -> int:
        """A size that the processor scales to."""
        size = self.settings.child("size")
        return (size.optional_positive(key) if size else None) or otherwise

    def setting(self, key: str, otherwise: int) -> int:
        """A whole number among the processor's settings."""
        return self.settings.optional_positive(key) or otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """One row of the table.

    Attributes:
        settings: of the processor, as published with the family's models.
    """

    read: Callable[[_Files], Sight]
    settings: Mapping[str, Any] = field(default_factory=dict)


def _side(vision: Config, key: str) -> int:
    """A side in pixels, or of two that must be alike.

    Raises:
        MalformedConfig: they are not.
    """
    sides = [vision.positive(key)] if vision.sequence(key) is None else vision.integers(key)
    if not sides or len(set(sides)) > 1 or sides[0] <= 0:
        raise MalformedConfig("expected the side of a square", key=vision.path_of(key))
    return sides[0]


def _clip(files: _Files) -> Sight:
    """A class token goes through the tower and, unless the strategy is `full`, no further."""
    if files.vision.model_type == "pixtral":
        return _pixtral(files)
    features = files.squares + _class_tokens_handed_over(files)
    return Whole(side=files.side, patches=files.squares, features=features)


def _class_tokens_handed_over(files: _Files) -> int:
    return class_tokens(files.vision) if files.config.text("vision_feature_select_strategy") == "full" else 0


def _pixtral(files: _Files) -> Sight:
    """Each row of tokens ends in a mark."""
    merged = files.config.optional_positive("spatial_merge_size") or 1
    longest = files.size("longest_edge", files.side)
    return Bounded(side=merged * files.patch, merged=merged**2, row_marks=1, longest=longest)


def _siglip(files: _Files) -> Sight:
    return Whole(side=files.side, patches=files.squares, features=files.squares)


def _janus(files: _Files) -> Sight:
    return Whole(side=files.side, patches=files.squares, features=files.squares, marks=2)


def _gemma3(files: _Files) -> Sight:
    """A mark and an empty line on either side."""
    features = files.config.positive("mm_tokens_per_image")
    return Whole(side=files.side, patches=files.squares, features=features, marks=4)


def _gemma3n(files: _Files) -> Sight:
    """Convolutions have no patches: what they make is read as 16 × 16."""
    features = files.config.positive("vision_soft_tokens_per_image")
    return Whole(side=files.size("height", 768), patches=16 * 16, features=features, marks=4)


def _gemma4(files: _Files) -> Sight:
    """Patches are pooled to tokens, and those of every image filled up to the most there may be."""
    pooled = files.vision.positive("pooling_kernel_size")
    most = files.setting("max_soft_tokens", 280)
    return Filled(side=pooled * files.patch, merged=pooled**2, marks=2, padded=most * pooled**2, most=most)


def _unpadded(files: _Files) -> Sight:
    return Unpadded(
        side=files.side,
        across=files.side // files.patch,
        extra=_class_tokens_handed_over(files),
        canvases=_canvases(files),
        most=_most_tiles(files.config),
        splits_many=files.config.model_type != "llava_onevision",
    )


def _most_tiles(config: Config) -> int:
    """Of `anyres_max_9` nine; no limit where the family has none.

    Raises:
        MalformedConfig: of another form.
    """
    if config.model_type != "llava_onevision":
        return 0
    limit = (config.text("vision_aspect_ratio") or "").removeprefix("anyres_max_")
    if not limit.isdecimal() or not int(limit):
        raise MalformedConfig("expected anyres_max_ and a number", key=config.path_of("vision_aspect_ratio"))
    return int(limit)


def _canvases(files: _Files) -> tuple[tuple[int, int], ...]:
    """Height and width of each.

    Raises:
        MalformedConfig: there are none, or one has no place for a tile.
    """
    key = "image_grid_pinpoints"
    pairs = files.config.items(key) or files.settings.items(key) or ()
    sizes = [Config({"size": pair}).integers("size") or () for pair in pairs]
    if not sizes or any(len(size) != 2 or min(size) < files.side for size in sizes):
        raise MalformedConfig("expected pairs of sides no shorter than a tile", key=files.config.path_of(key))
    return tuple((height, width) for height, width in sizes)


def _idefics3(files: _Files) -> Sight:
    """Pixels are shuffled into channels; a tile bears a mark before it and its place, a row ends in a new line."""
    tile = files.settings.child("max_image_size")
    return Stretched(
        side=(tile.optional_positive("longest_edge") if tile else None) or files.side,
        patches=files.squares,
        features=files.squares // files.config.positive("scale_factor") ** 2,
        marks=3,
        tile_marks=2,
        row_marks=1,
        longer=files.size("longest_edge", 4 * files.side),
        splits=files.settings.boolean("do_image_splitting", default=True),
    )


def _internvl(files: _Files) -> Sight:
    """Cut whatever the settings say: its processor asks for it."""
    return Nearest(
        side=files.size("height", files.side),
        patches=files.squares,
        features=files.config.positive("image_seq_length"),
        marks=2,
        least=files.setting("min_patches", 1),
        most=files.setting("max_patches", 12),
    )


def _aya(files: _Files) -> Sight:
    return Nearest(
        side=files.size("height", files.side),
        patches=files.squares,
        features=files.squares // files.config.positive("downsample_factor") ** 2,
        marks=3,
        tile_marks=1,
        least=files.setting("min_patches", 1),
        most=files.setting("max_patches", 12),
    )


def _cohere2(files: _Files) -> Sight:
    cut = files.settings.boolean("crop_to_patches", default=True)
    return Fitted(
        side=files.size("height", files.side),
        patches=files.squares,
        features=files.squares // files.config.positive("downsample_factor") ** 2,
        marks=3,
        tile_marks=1,
        most=files.setting("max_patches", 12) if cut else 1,
    )


def _llama4(files: _Files) -> Sight:
    """Pixels are shuffled into channels; each of several tiles is followed by a mark."""
    ratio = files.vision.number("pixel_shuffle_ratio") or 0.5
    return Fitted(
        side=files.size("height", files.side),
        patches=files.squares,
        features=int(files.squares * ratio**2),
        marks=3,
        tile_marks=1,
        most=files.setting("max_patches", 16),
    )


def _mllama(files: _Files) -> Sight:
    """Every image is filled up to as many tiles as there may be; layers look across to them from a single token."""
    tiles = files.vision.positive("max_num_tiles")
    return Whole(crops=tiles, side=files.side, patches=files.squares, features=0, marks=1)


def _phi4(files: _Files) -> Sight:
    return Masked(
        side=files.size("height", files.side),
        patch=files.patch,
        patches=files.squares,
        features=0,
        most=files.setting("dynamic_hd", 36),
    )


def _rounded(*, least: int, most: int, grown: bool = False) -> Callable[[_Files], Sight]:
    """Within so many pixels of all frames, as its class assumes, where the settings do not say."""

    def read(files: _Files) -> Sight:
        merged = files.vision.positive("spatial_merge_size")
        # GLM-4V holds both frames of a patch against its limits, Qwen-VL one.
        frames = files.vision.positive("temporal_patch_size") if grown else 1
        return Rounded(
            side=merged * files.patch,
            merged=merged**2,
            least=files.setting("min_pixels", files.size("shortest_edge", least)) // frames,
            most=files.setting("max_pixels", files.size("longest_edge", most)) // frames,
            grown=grown,
        )

    return read


def _kimi(files: _Files) -> Sight:
    merged = _side(files.vision, "merge_kernel_size")
    return Shrunk(
        side=merged * files.patch,
        merged=merged**2,
        most=files.setting("max_patches", 16384),
        longest=files.size("max_height", 512),
    )


_QWEN = _rounded(least=56 * 56, most=28 * 28 * 1280)
_GLM = _rounded(least=112 * 112, most=28 * 28 * 15_000, grown=True)
_FAMILIES: Mapping[str, _Family] = {
    "llava vipllava": _Family(read=_clip),
    "llava_next": _Family(
        read=_unpadded,
        settings={
            "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
        },
    ),
    "llava_onevision": _Family(
        read=_unpadded,
        settings={
            "image_grid_pinpoints": [
                [384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)
            ],
        },
    ),
    "paligemma deepseek_vl": _Family(read=_siglip),
    "janus": _Family(read=_janus),
    "gemma3": _Family(read=_gemma3),
    "gemma3n": _Family(read=_gemma3n),
    "gemma4": _Family(read=_gemma4),
    "idefics3 smolvlm": _Family(read=_idefics3),
    "internvl": _Family(read=_internvl),
    "aya_vision": _Family(read=_aya),
    "cohere2_vision": _Family(read=_cohere2),
    "llama4": _Family(read=_llama4),
    "mllama": _Family(read=_mllama),
    "phi4_multimodal": _Family(read=_phi4),
    "mistral3": _Family(read=_pixtral),
    "qwen2_vl qwen2_5_vl": _Family(
        read=_QWEN, settings={"min_pixels": 56 * 56, "max_pixels": 28 * 28 * 16_384}
    ),
    "qwen3_vl qwen3_vl_moe qwen3_5 qwen3_5_moe": _Family(
        read=_QWEN, settings={"size": {"shortest_edge": 256 * 256, "longest_edge": 4096 * 4096}}
    ),
    "glm4v glm46v": _Family(read=_GLM, settings={"size": {"longest_edge": 28 * 28 * 12_288}}),
    "glm4v_moe": _Family(read=_GLM),
    "ernie4_5_vl_moe": _Family(
        read=_rounded(least=56 * 56, most=28 * 28 * 6177), settings={"size": {"longest_edge": 28 * 28 * 6144}}
    ),
    "kimi_k25": _Family(read=_kimi),
}
_BY_TYPE = {name: family for names, family in _FAMILIES.items() for name in names.split()}
