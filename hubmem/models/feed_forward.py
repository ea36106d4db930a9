"""Reads the feed-forward part of one layer from a config."""

from collections.abc import Callable
from dataclasses import replace

from hubmem.models.architecture import Dense, Experts, FeedForward
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size
from hubmem.units import round_up

FeedForwardReader = Callable[[Config, int], FeedForward]
"""The feed-forward part of the layer with that number."""

# What families call the same thing; the first a config has counts.
_WIDTHS = (
    "ffn_dim",
    "n_inner",
    "d_ff",
    "dff",
    "d_inner",
    "dim_ff",
    "ffn_hidden_size",
    "feed_forward_size",
    "ff_intermediate_size",
)
_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "top_k_experts")
_SHARED_COUNTS = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
_SHARED_WIDTHS = (
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "share_expert_dim",
)
_FIRST_DENSE = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
_STEPS = ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval")


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


def of_width(key: str) -> FeedForwardReader:
    """Two matrices, the width under a key of its own (encoders and decoders side by side)."""
    return lambda config, _: Dense(width=config.positive(key), gated=False)


def stepped(step_key: str, width_key: str) -> FeedForwardReader:
    """Two matrices, in every so many layers as experts (NLLB-MoE)."""

    def read(config: Config, layer: int) -> FeedForward:
        one, step = config.positive(width_key), config.positive(step_key)
        if (layer + 1) % step:
            return Dense(width=one, gated=False)
        return Experts(count=config.positive("num_experts"), active=2, width=one, shared_width=0, gated=False)

    return read


def switch(config: Config, layer: int) -> FeedForward:
    """Switch Transformers: the last layer of each period has experts, of which a token goes through one."""
    layers, sparse = (
        config.positive("num_decoder_layers", "num_layers"),
        config.positive("num_sparse_decoder_layers"),
    )
    period = max(layers // sparse, 1)
    one = config.positive("d_ff")
    if layer % period != period - 1:
        return Dense(width=one, gated=False)
    return Experts(count=config.positive("num_experts"), active=1, width=one, shared_width=0, gated=False)


def t5(config: Config, _: int) -> FeedForward:
    """T5: gated where `feed_forward_proj` says so (version 1.1, Flan)."""
    kind = config.text("feed_forward_proj") or ""
    return Dense(width=config.positive("d_ff"), gated=kind.startswith("gated"))


def gemma3n(config: Config, layer: int) -> FeedForward:
    """GeGLU whose gate is cut off where the layer's share of zeros is above zero; the first ten by default."""
    shares = config.numbers("activation_sparsity_pattern")
    if shares is None:
        shares = [0.95] * 10 if config.positive("num_hidden_layers") > 10 else []
    return Dense(width=width(config, layer), gated=True, cut_off=any(shares[layer : layer + 1]))


def half(config: Config, layer: int) -> FeedForward:
    """Gate and up projection together are as wide as the key says (RecurrentGemma, Moshi)."""
    return Dense(width=width(config, layer) // 2, gated=True)


def lfm(config: Config, layer: int) -> FeedForward:
    """LFM2: two thirds of the width, times a factor, rounded up to a multiple, unless told not to."""
    one = config.optional_positive("block_ff_dim") or width(config, layer)
    if config.boolean("block_auto_adjust_ff_dim"):
        multiple = config.positive("block_multiple_of")
        wanted = int(int(2 * one / 3) * (config.number("block_ffn_dim_multiplier") or 1))
        one = round_up(wanted, multiple)
    return Dense(width=one, gated=True)


def xlstm(config: Config, _: int) -> FeedForward:
    """A width in proportion to the hidden size, rounded up to a multiple."""
    multiple = config.positive("ffn_round_up_to_multiple_of")
    wanted = int(hidden_size(config) * (config.number("ffn_proj_factor") or 1))
    return Dense(width=round_up(wanted, multiple), gated=True)


def llama4(config: Config, layer: int) -> FeedForward:
    """Experts as wide as the part beside them; layers without experts have a width of their own."""
    listed = config.items("moe_layers")
    step = config.positive("interleave_moe_layer_step")
    if layer in listed if listed is not None else (layer + 1) % step == 0:
        return replace(experts(config, layer), shared_width=width(config, layer))
    return Dense(width=config.positive("intermediate_size_mlp"), gated=True)


def granite(config: Config, layer: int) -> FeedForward:
    """Granite 4: experts and a part beside them, or that part alone."""
    if config.optional_integer("num_local_experts"):
        return experts(config, layer)
    return Dense(width=config.positive("shared_intermediate_size"), gated=True)


def beside_dense(config: Config, layer: int) -> FeedForward:
    """Experts with a dense part of full width beside them (Hunyuan)."""
    return replace(experts(config, layer), shared_width=width(config, layer))


def longcat(config: Config, layer: int) -> FeedForward:
    """Experts with two dense parts beside them."""
    return replace(experts(config, layer), shared_width=2 * width(config, layer))


def gemma4(config: Config, layer: int) -> FeedForward:
    """A dense part, beside experts where there are any, and twice as wide where a cache is shared."""
    one = width(config, layer)
    if config.boolean("enable_moe_block", default=True) and config.optional_integer("num_experts"):
        return replace(experts(config, layer), shared_width=one)
    sharing = config.optional_integer("num_kv_shared_layers") or 0
    shared = layer >= config.positive("num_hidden_layers") - sharing
    double = shared and config.boolean("use_double_wide_mlp")
    return Dense(width=2 * one if double else one, gated=True)


def ernie_vision(config: Config, layer: int) -> FeedForward:
    """ERNIE 4.5 VL: experts for text and others for images; those for text count here."""
    keys = ("moe_intermediate_size", "moe_num_experts", "moe_layer_start_index")
    text = {key: config.natural_at(key, 0) for key in keys}
    return gated(config.with_values(text), layer)


def openelm(config: Config, layer: int) -> FeedForward:
    """A multiple of the hidden size for each layer, rounded to the nearest of its divisor's multiples."""
    factors = config.numbers("ffn_multipliers") or ()
    divisor = config.optional_positive("ffn_dim_divisor") or 256
    wanted = factors[layer] * hidden_size(config) if layer < len(factors) else 0.0
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return Dense(width=rounded + divisor if rounded < 0.9 * wanted else rounded, gated=True)


def dbrx(config: Config, _: int) -> FeedForward:
    """Experts described in `ffn_config`."""
    nested = config.child("ffn_config") or config
    return Experts(
        count=nested.optional_positive("moe_num_experts") or 4,
        active=nested.optional_positive("moe_top_k") or 1,
        width=nested.optional_positive("ffn_hidden_size") or 3584,
        shared_width=0,
        gated=True,
    )


def none(_config: Config, _layer: int) -> FeedForward:
    """No feed-forward part."""
    return None


def width(config: Config, layer: int) -> int:
    """The width of a dense part; four times the hidden size where no key says otherwise."""
    own = config.natural_at("intermediate_size", layer)
    return own or config.optional_positive(*_WIDTHS) or 4 * hidden_size(config)


def experts(config: Config, layer: int) -> Experts:
    """Routed experts and the part beside them that every token goes through."""
    one = (
        config.natural_at("moe_intermediate_size", layer)
        or config.optional_positive("expert_ffn_hidden_size")
        or width(config, layer)
    )
    shared = config.optional_natural(*_SHARED_WIDTHS)
    if shared is None:
        shared = one * (config.optional_natural(*_SHARED_COUNTS) or 0)
    return Experts(
        count=config.positive(*_COUNTS),
        active=config.optional_positive(*_ACTIVE) or 1,
        width=one,
        shared_width=shared,
        gated=True,
    )


def is_sparse(config: Config, layer: int) -> bool:
    """Whether a layer has experts, by the keys in use for it: lists first, then intervals."""
    if not config.optional_integer(*_COUNTS) or not config.boolean("is_moe", default=True):
        return False
    listed = _listed_sparse(config, layer)
    return _interval_sparse(config, layer) if listed is None else listed


def _listed_sparse(config: Config, layer: int) -> bool | None:
    kinds = config.items("mlp_layer_types")
    if kinds is not None:
        return layer < len(kinds) and kinds[layer] != "dense"
    numbers = config.text("moe_layers_enum")
    if numbers is not None:
        return str(layer) in numbers.split(",")
    flags = config.sequence("moe_layer_freq")
    if flags is not None:
        return layer < len(flags) and bool(flags[layer])
    return False if layer in (config.items("mlp_only_layers") or ()) else None


def _interval_sparse(config: Config, layer: int) -> bool:
    if layer < (config.optional_integer(*_FIRST_DENSE) or 0):
        return False
    period = config.optional_positive("expert_layer_period")
    if period is not None:
        return layer % period == config.natural("expert_layer_offset")
    step = config.optional_positive(*_STEPS)
    return step is None or (layer + 1) % step == 0
