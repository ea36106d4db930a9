"""One stack of layers: how the kinds, mixers and feed-forward parts of a model type come together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hubmem.errors import MalformedConfig
from hubmem.models import attention, feed_forward
from hubmem.models.architecture import Layer, alike_as_one
from hubmem.models.attention import MixerReader
from hubmem.models.config import Config
from hubmem.models.feed_forward import FeedForwardReader
from hubmem.models.patterns import CHUNKED, FULL, MLP, MOE, SLIDING, Pattern, by_window, layer_kinds

_USUAL: Mapping[str, MixerReader] = {
    FULL: attention.full,
    SLIDING: attention.sliding,
    CHUNKED: attention.chunked,
    MLP: attention.no_mixer,
    MOE: attention.no_mixer,
}
# Real models end at a few hundred; a config that claims more is damaged, and would take forever to read.
_MOST_LAYERS = 10_000

Count = Callable[[Config], int]
"""How many layers a stack has."""


def hidden_layers(config: Config) -> int:
    """The usual number of layers."""
    return config.positive("num_hidden_layers")


def count_of(*keys: str) -> Count:
    """The number under the first key that is there."""
    return lambda config: config.positive(*keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """How a stack is read.

    Attributes:
        count: how many layers it has.
        pattern: the kinds of layers where the config does not list them.
        mixers: how kinds of layers are read that are not read as usual.
        feed_forward: how the feed-forward part of a layer is read.
        feed_forwards: the same for kinds of layers that have another.
    """

    count: Count = hidden_layers
    pattern: Pattern = by_window
    mixers: Mapping[str, MixerReader] = field(default_factory=dict)
    feed_forward: FeedForwardReader = feed_forward.gated
    feed_forwards: Mapping[str, FeedForwardReader] = field(default_factory=dict)

    def read(self, config: Config) -> tuple[Layer, ...]:
        """The layers.

        Raises:
            MalformedConfig: a key is missing or of a wrong type, or two contradict each other.
        """
        count = self.count(config)
        if count > _MOST_LAYERS:
            raise MalformedConfig(f"{count} layers are out of range", key=config.path_of("num_hidden_layers"))
        kinds = layer_kinds(config, count, self.pattern)
        layers = (self._layer(config.at_layer(index), index, kind) for index, kind in enumerate(kinds))
        return alike_as_one(layers)

    def _layer(self, config: Config, index: int, kind: str) -> Layer:
        read = self.mixers.get(kind) or _USUAL.get(kind)
        if read is None:
            raise MalformedConfig(f"unknown kind of layer {kind!r}", key=config.path_of("layer_types"))
        read_feed_forward = self.feed_forwards.get(kind, self.feed_forward)
        return Layer(mixers=read(config, index), feed_forward=read_feed_forward(config, index))
