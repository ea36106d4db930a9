"""Which kind each layer of a stack is.

transformers 5 writes `layer_types`, one name a layer. Older configs say the same by an interval, an offset,
a string of letters or a list of indices; where a config says nothing, its class has a pattern of its own.
"""

from collections.abc import Callable, Sequence

from hubmem.errors import MalformedConfig
from hubmem.models.config import Config

FULL = "full_attention"
SLIDING = "sliding_attention"
CHUNKED = "chunked_attention"
LINEAR = "linear_attention"
INDEXED = "indexed_attention"
CONV = "conv"
HYBRID = "hybrid"
HYBRID_SLIDING = "hybrid_sliding"
NO_MIXER = "mlp"
CROSS = "cross_attention"

Pattern = Callable[[Config, int], Sequence[str]]
"""The kinds of that many layers, for a config without `layer_types`."""

# transformers 5.23, configuration_utils._LEGACY_LAYER_TYPE_REMAP.
_OLDER_NAMES = {
    "mamba": LINEAR,
    "attention": FULL,
    "deepseek_sparse_attention": INDEXED,
    "qwen_sparse_attention": INDEXED,
    "moe": NO_MIXER,
}


def layer_kinds(config: Config, count: int, pattern: Pattern) -> Sequence[str]:
    """The kind of each layer: what the config lists, else the pattern of its class.

    Raises:
        MalformedConfig: the list is shorter or longer than the number of layers.
    """
    listed = config.items("layer_types")
    if listed is None:
        return pattern(config, count)
    # Some configs list the layers of their draft heads after those of the model.
    drafts = config.optional_integer("num_nextn_predict_layers", "num_mtp_layers") or 0
    if len(listed) not in (count, count + drafts):
        raise MalformedConfig(
            f"lists {len(listed)} layers, but {config.path_of('num_hidden_layers')} is {count}",
            key=config.path_of("layer_types"),
        )
    return [_OLDER_NAMES.get(kind, kind) for kind in listed[:count]]


def by_window(config: Config, count: int) -> Sequence[str]:
    """All layers alike: sliding where the config has a window, chunked where it has a chunk, else full."""
    if config.optional_integer("sliding_window") is not None:
        return [SLIDING] * count
    if config.optional_integer("attention_chunk_size") is not None:
        return [CHUNKED] * count
    return [FULL] * count


def all_of(kind: str) -> Pattern:
    """All layers alike."""
    return lambda _, count: [kind] * count


def every(period: int | str, kind: str, others: str, *, first: int | None = None) -> Pattern:
    """One layer of `kind` in each period, the last of it or that at offset `first`; a period may be a key."""

    def kinds(config: Config, count: int) -> Sequence[str]:
        length = config.positive(period) if isinstance(period, str) else period
        offset = length - 1 if first is None else first
        return [kind if layer % length == offset else others for layer in range(count)]

    return kinds


def if_enabled(pattern: Pattern) -> Pattern:
    """The pattern where `use_sliding_window` is set, else full attention everywhere (Qwen)."""

    def kinds(config: Config, count: int) -> Sequence[str]:
        return pattern(config, count) if config.boolean("use_sliding_window") else [FULL] * count

    return kinds


def beyond_max_window_layers(config: Config, count: int) -> Sequence[str]:
    """The layers from `max_window_layers` on have a window (Qwen2)."""
    if config.optional_integer("sliding_window") is None:
        return [FULL] * count
    start = config.integer("max_window_layers")
    return [SLIDING if layer >= start else FULL for layer in range(count)]


def listed(key: str, kind: str, others: str, *, default: Sequence[int] = ()) -> Pattern:
    """Layers of `kind` where a key lists their numbers; `default` is what a class without them assumes."""

    def kinds(config: Config, count: int) -> Sequence[str]:
        numbers = config.items(key)
        chosen = default if numbers is None else numbers
        return [kind if layer in chosen else others for layer in range(count)]

    return kinds
