"""Reads the feed-forward part of one layer from a config."""

from collections.abc import Callable

from hubmem.models.architecture import Dense, Experts, FeedForward
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size

FeedForwardReader = Callable[[Config, int], FeedForward]
"""The feed-forward part of the layer with that number."""

_WIDTHS = ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size")
_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts")


def gated(config: Config, layer: int) -> FeedForward:
    """SwiGLU or GeGLU; experts where the config has any and the layer is one of theirs."""
    if _is_sparse(config, layer):
        return experts(config)
    return Dense(width=width(config, layer), gated=True)


def plain(config: Config, layer: int) -> FeedForward:
    """Two matrices with an activation between them."""
    return Dense(width=width(config, layer), gated=False)


def two_matrices(width_key: str) -> FeedForwardReader:
    """Two matrices, the width under a key of its own (encoders and decoders side by side)."""
    return lambda config, _: Dense(width=config.positive(width_key), gated=False)


def t5(config: Config, _: int) -> FeedForward:
    """T5: gated where `feed_forward_proj` says so (version 1.1, Flan)."""
    kind = config.text("feed_forward_proj") or ""
    return Dense(width=config.positive("d_ff"), gated=kind.startswith("gated"))


def none(_config: Config, _layer: int) -> FeedForward:
    """No feed-forward part."""
    return None


def width(config: Config, layer: int) -> int:
    """The width of a dense part; four times the hidden size where no key says otherwise."""
    own = config.integer_at("intermediate_size", layer)
    return own or config.optional_positive(*_WIDTHS[1:]) or 4 * hidden_size(config)


def experts(config: Config) -> Experts:
    """Routed experts and the part beside them that every token goes through."""
    one = config.optional_positive("moe_intermediate_size") or width(config, 0)
    shared = config.optional_integer("shared_expert_intermediate_size")
    if shared is None:
        shared = one * (config.optional_integer("n_shared_experts", "num_shared_experts") or 0)
    return Experts(
        count=config.positive(*_COUNTS),
        active=config.optional_positive("num_experts_per_tok") or 1,
        width=one,
        shared_width=shared,
        gated=True,
    )


def _is_sparse(config: Config, layer: int) -> bool:
    """Whether a layer has experts, by the keys in use for it."""
    if not config.optional_integer(*_COUNTS):
        return False
    kinds = config.items("mlp_layer_types")
    if kinds is not None:
        return layer < len(kinds) and kinds[layer] != "dense"
    if layer in (config.items("mlp_only_layers") or ()):
        return False
    if layer < (config.optional_integer("first_k_dense_replace") or 0):
        return False
    step = config.optional_positive("decoder_sparse_step", "interleave_moe_layer_step")
    return step is None or (layer + 1) % step == 0
