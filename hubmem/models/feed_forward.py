"""Reads the feed-forward part of one layer from a config."""

from collections.abc import Callable
from dataclasses import replace

from hubmem.models.architecture import Dense, Experts, FeedForward
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size

FeedForwardReader = Callable[[Config, int], FeedForward]
"""The feed-forward part of the layer with that number."""

# What families call the same thing; the first a config has counts.
_WIDTHS = ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "dff", "d_inner", "dim_ff", "ffn_hidden_size")
_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts")
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts")
_EXPERT_WIDTHS = ("moe_intermediate_size", "expert_ffn_hidden_size")
_SHARED_COUNTS = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
_SHARED_WIDTHS = (
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "share_expert_dim",
)
_FIRST_DENSE = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")


def gated(config: Config, layer: int) -> FeedForward:
    """SwiGLU or GeGLU; experts where the config has any and the layer is one of theirs."""
    if is_sparse(config, layer):
        return experts(config, layer)
    return Dense(width=width(config, layer), gated=True)


def plain(config: Config, layer: int) -> FeedForward:
    """Two matrices with an activation between them."""
    return Dense(width=width(config, layer), gated=False)


def plain_experts(config: Config, layer: int) -> FeedForward:
    """Experts of two matrices each."""
    return replace(experts(config, layer), gated=False)


def of_width(key: str, *, is_gated: bool = False) -> FeedForwardReader:
    """A dense part with its width under a key of its own (encoders and decoders side by side)."""
    return lambda config, _: Dense(width=config.positive(key), gated=is_gated)


def t5(config: Config, _: int) -> FeedForward:
    """T5: gated where `feed_forward_proj` says so (version 1.1, Flan)."""
    kind = config.text("feed_forward_proj") or ""
    return Dense(width=config.positive("d_ff"), gated=kind.startswith("gated"))


def ernie_vision(config: Config, layer: int) -> FeedForward:
    """ERNIE 4.5 VL: experts for text and others for images; those for text count here."""
    keys = ("moe_intermediate_size", "moe_num_experts", "moe_layer_start_index")
    text = {key: config.integer_at(key, 0) for key in keys}
    return gated(config.with_values(text), layer)


def xlstm(config: Config, _: int) -> FeedForward:
    """A width in proportion to the hidden size, rounded up to a multiple."""
    multiple = config.positive("ffn_round_up_to_multiple_of")
    wanted = hidden_size(config) * (config.number("ffn_proj_factor") or 1)
    return Dense(width=int((wanted + multiple - 1) // multiple) * multiple, gated=True)


def none(_config: Config, _layer: int) -> FeedForward:
    """No feed-forward part."""
    return None


def width(config: Config, layer: int) -> int:
    """The width of a dense part; four times the hidden size where no key says otherwise."""
    own = config.integer_at("intermediate_size", layer)
    return own or config.optional_positive(*_WIDTHS[1:]) or 4 * hidden_size(config)


def experts(config: Config, layer: int) -> Experts:
    """Routed experts and the part beside them that every token goes through."""
    one = config.integer_at("moe_intermediate_size", layer) or width(config, layer)
    shared = config.optional_integer(*_SHARED_WIDTHS)
    if shared is None:
        shared = one * (config.optional_integer(*_SHARED_COUNTS) or 0)
    return Experts(
        count=config.positive(*_COUNTS),
        active=config.optional_positive(*_ACTIVE) or 1,
        width=one,
        shared_width=shared,
        gated=True,
    )


def is_sparse(config: Config, layer: int) -> bool:
    """Whether a layer has experts, by the keys in use for it."""
    if not config.optional_integer(*_COUNTS):
        return False
    kinds = config.items("mlp_layer_types")
    if kinds is not None:
        return layer < len(kinds) and kinds[layer] != "dense"
    if layer in (config.items("mlp_only_layers") or ()):
        return False
    if layer < (config.optional_integer(*_FIRST_DENSE) or 0):
        return False
    step = config.optional_positive("decoder_sparse_step", "interleave_moe_layer_step")
    return step is None or (layer + 1) % step == 0
