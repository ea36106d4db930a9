"""Reads the indexers of sparse attention from a config: their size, which layers have one, and what is beside."""

from hubmem.models.attention import full
from hubmem.models.config import Config
from hubmem.models.mixers import Indexer, Mixer

# Qwen 4 keeps the positions of a key on the axes of time, height and width.
_AXES = 3


def index_dim(config: Config) -> int:
    """The size of an indexer's key."""
    return config.positive("index_head_dim", "indexer_head_dim")


def indexes(config: Config, layer: int) -> bool:
    """Whether a layer has an indexer of its own: by list, letters, or a frequency after an offset."""
    types = config.items("indexer_types")
    if types is not None:
        return layer < len(types) and types[layer] == "full"
    letters = config.sequence("index_topk_pattern")
    if letters is not None:
        return layer < len(letters) and letters[layer] in ("F", "full")
    frequency = max(config.optional_integer("index_topk_freq") or 1, 1)
    offset = config.optional_integer("index_skip_topk_offset") or 0
    return max(layer - offset + 1, 0) % frequency == 0


def with_positioned_indexer(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Attention with an indexer that keeps the positions of its keys (Qwen 4)."""
    return (*full(config, layer), Indexer(dim=index_dim(config), position_ids=_AXES))


def with_block_indexer(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Attention with an indexer that picks blocks; the Hub's files nest its size (MiniMax-M3)."""
    nested = config.child("sparse_attention_config")
    stated = nested.optional_positive("sparse_index_dim") if nested else None
    return (*full(config, layer), Indexer(dim=stated or index_dim(config)))
