"""Reads layers found by architecture search, each described by an entry of `block_configs` (Nemotron-NAS).

Source: `configuration_decilm.py` in the repos of Llama-3.x-Nemotron.
"""

from hubmem.errors import MalformedConfig
from hubmem.models.architecture import Dense, FeedForward
from hubmem.models.attention import full
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size
from hubmem.models.mixers import Mixer
from hubmem.units import round_up

# Widths are rounded up to a multiple of this.
_MULTIPLE = 256


def attention(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Grouped attention, or none where the search left it out or put a linear layer in its place."""
    block = _part(config, layer, "attention")
    if block.boolean("no_op") or block.boolean("replace_with_linear"):
        return ()
    heads = config.positive("num_attention_heads")
    in_group = block.positive("n_heads_in_group")
    return full(config.with_values({"num_key_value_heads": heads // in_group}), layer)


def feed_forward(config: Config, layer: int) -> FeedForward:
    """A gated part whose width is two thirds of a multiple of the hidden size, or none."""
    block = _part(config, layer, "ffn")
    if block.boolean("no_op") or block.boolean("replace_with_linear"):
        return None
    stated = block.optional_positive("intermediate_size")
    wanted = int(2 * (block.number("ffn_mult") or 0) * hidden_size(config) / 3)
    return Dense(width=stated or round_up(wanted, _MULTIPLE), gated=True)


def _part(config: Config, layer: int, name: str) -> Config:
    block = config.entry_of("block_configs", config.items("block_configs") or (), layer)
    path = f"{config.path_of('block_configs')}.{layer}"
    part = Config(block, path=path).child(name) if isinstance(block, dict) else None
    if part is None:
        raise MalformedConfig("expected object, got nothing", key=f"{path}.{name}")
    return part
