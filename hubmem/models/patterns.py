"""Which kind each layer of a stack is.

transformers 5 writes `layer_types`, one name per layer. Older configs say the same by an interval, a string of
letters, a list of flags or of layer numbers; where a config says nothing, its class has a pattern of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
CROSS = "cross_attention"
REFERENCE = "reference_sliding_attention"
MINIMAX_SPARSE = "minimax_m3_sparse"
MLP = "mlp"
MOE = "moe"
COMPRESSED_SPARSE = "compressed_sparse_attention"
HEAVILY_COMPRESSED = "heavily_compressed_attention"

Pattern = Callable[[Config, int], Sequence[str] | None]
"""The kinds of that many layers, or None where the config lacks the key they are read from."""

# transformers 5.23, configuration_utils._LEGACY_LAYER_TYPE_REMAP.
_OLDER_NAMES = {
    "mamba": LINEAR,
    "attention": FULL,
    "deepseek_sparse_attention": INDEXED,
    "qwen_sparse_attention": INDEXED,
}


def layer_kinds(config: Config, count: int, pattern: Pattern) -> Sequence[str]:
    """The kind of each layer: what the config lists, else the pattern of its class.

    Raises:
        MalformedConfig: the list is shorter or longer than the number of layers, or there is none and the class
            has no layers of its own.
    """
    kinds = _listed_kinds(config, count) or pattern(config, count)
    if kinds is None:
        raise MalformedConfig("does not say of what kind each layer is", key=config.path_of("layer_types"))
    return kinds


def _listed_kinds(config: Config, count: int) -> Sequence[str] | None:
    kinds = config.texts("layer_types")
    if kinds is None:
        return None
    # Some configs list the layers of their draft heads after those of the model.
    drafts = config.optional_integer("num_nextn_predict_layers", "num_mtp_layers") or 0
    if len(kinds) not in (count, count + drafts):
        raise MalformedConfig(
            f"lists {len(kinds)} layers, but {config.path_of('num_hidden_layers')} is {count}",
            key=config.path_of("layer_types"),
        )
    return [_OLDER_NAMES.get(kind, kind) for kind in kinds[:count]]


def by_window(config: Config, count: int) -> Sequence[str]:
    """All layers alike: sliding where the config has a window, chunked where it has a chunk, else full.

    Source: `get_layer_types_and_kwargs` in cache_utils.py of transformers 5.23.
    """
    if config.optional_integer("sliding_window") is not None:
        return [SLIDING] * count
    if config.optional_integer("attention_chunk_size") is not None:
        return [CHUNKED] * count
    return [FULL] * count


def all_of(kind: str) -> Pattern:
    """All layers alike."""
    return lambda _, count: [kind] * count


def every(period: int | str, kind: str, others: str, *, first: int | str | None = None) -> Pattern:
    """One layer of `kind` in each period: the last of it, or that at offset `first`. Both may be keys.

    >>> every(3, "full", "sliding")(Config({}), 7)
    ['sliding', 'sliding', 'full', 'sliding', 'sliding', 'full', 'sliding']
    """

    def kinds(config: Config, count: int) -> Sequence[str]:
        length = config.positive(period) if isinstance(period, str) else period
        offset = config.natural(first) if isinstance(first, str) else first
        chosen = length - 1 if offset is None else offset
        return [kind if layer % length == chosen else others for layer in range(count)]

    return kinds


def with_last(kind: str, pattern: Pattern) -> Pattern:
    """The pattern with its last layer of that kind."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        found = pattern(config, count)
        return None if found is None else [*found[:-1], kind]

    return kinds


def with_first(number: int, kind: str, pattern: Pattern) -> Pattern:
    """The pattern with its first layers of that kind."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        found = pattern(config, count)
        return None if found is None else [*[kind] * min(number, count), *found[number:]]

    return kinds


def after(firsts: Sequence[str], pattern: Pattern) -> Pattern:
    """Some layers first, then the pattern from its beginning."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        found = pattern(config, max(count - len(firsts), 0))
        return None if found is None else [*firsts[:count], *found]

    return kinds


def cycle(*names: str) -> Pattern:
    """The same kinds again and again."""
    return lambda _, count: [names[layer % len(names)] for layer in range(count)]


def backwards(pattern: Pattern) -> Pattern:
    """The pattern counted from the last layer."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        found = pattern(config, count)
        return None if found is None else found[::-1]

    return kinds


def if_set(key: str, pattern: Pattern, otherwise: str = FULL) -> Pattern:
    """The pattern where a key is true or has a number, else one kind everywhere."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        return pattern(config, count) if config.has_value(key) else [otherwise] * count

    return kinds


def beyond_max_window_layers(config: Config, count: int) -> Sequence[str]:
    """The layers from `max_window_layers` on have a window (Qwen2)."""
    start = config.natural("max_window_layers")
    return [SLIDING if layer >= start else FULL for layer in range(count)]


def until(key: str, pattern: Pattern, others: str) -> Pattern:
    """The pattern up to a layer whose number is under a key, and one kind from there on."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        found = pattern(config, count)
        end = config.natural(key)
        return None if found is None else [*found[:end], *[others] * (count - end)]

    return kinds


def restarted_after(key: str, first: Pattern, rest: Pattern) -> Pattern:
    """One pattern for as many layers as a key says, and another from its beginning for the rest."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        number = min(config.natural(key), count)
        before, after_them = first(config, number), rest(config, count - number)
        return None if before is None or after_them is None else [*before, *after_them]

    return kinds


def listed(key: str, kind: str, others: str, *, base: int = 0) -> Pattern:
    """Layers of `kind` where a key lists their numbers, counted from `base`."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        numbers = config.items(key)
        if numbers is None:
            return None
        return [kind if layer + base in numbers else others for layer in range(count)]

    return kinds


def at(numbers: Sequence[int], kind: str, others: str) -> Pattern:
    """Layers of `kind` at fixed numbers."""
    return lambda _, count: [kind if layer in numbers else others for layer in range(count)]


def spelled(key: str, names: Mapping[Any, str], *, repeated: bool = False) -> Pattern:
    """A letter, flag or number for each layer, in a string or a list; `repeated` over all layers.

    Raises:
        MalformedConfig: fewer entries than layers, or one without a meaning.
    """

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        entries = config.sequence(key)
        if not entries:
            return None
        if len(entries) < count and not repeated:
            raise MalformedConfig(
                f"has {len(entries)} entries, but there are {count} layers", key=config.path_of(key)
            )
        return [_meaning(config, key, names, entries[layer % len(entries)]) for layer in range(count)]

    return kinds


def inside(key: str, pattern: Pattern) -> Pattern:
    """A pattern read from a nested config."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        nested = config.child(key)
        return None if nested is None else pattern(nested, count)

    return kinds


def either(*patterns: Pattern) -> Pattern:
    """The first pattern whose key the config has."""

    def kinds(config: Config, count: int) -> Sequence[str] | None:
        found = (pattern(config, count) for pattern in patterns)
        return next((kinds for kinds in found if kinds is not None), None)

    return kinds


def _meaning(config: Config, key: str, names: Mapping[Any, str], entry: object) -> str:
    try:
        return names[entry]
    except (KeyError, TypeError):
        raise MalformedConfig(f"unknown kind of layer {entry!r}", key=config.path_of(key)) from None
