"""Reads the attention of one layer from a config."""

from collections.abc import Callable
from dataclasses import replace

from hubmem.models.config import Config
from hubmem.models.dimensions import head_dim, refuse_remainder
from hubmem.models.mixers import Attention, LatentAttention, Mixer

MixerReader = Callable[[Config, int], tuple[Mixer, ...]]
"""The mixers of the layer with that number; the config is the layer's own view."""


def full(config: Config, _: int) -> tuple[Mixer, ...]:
    """Attention over the whole sequence."""
    return (self_attention(config),)


def sliding(config: Config, _: int) -> tuple[Mixer, ...]:
    """Attention over a window that slides."""
    return (self_attention(config, window=config.positive("sliding_window")),)


def chunked(config: Config, _: int) -> tuple[Mixer, ...]:
    """Attention within fixed chunks (Llama 4)."""
    window = config.positive("attention_chunk_size")
    return (replace(self_attention(config, window=window), window_kind="chunked"),)


def across(config: Config, _: int) -> tuple[Mixer, ...]:
    """Attention across at image tokens or an encoder's output, none over the sequence (Llama 3.2 Vision)."""
    return (replace(self_attention(config), source="cross"),)


def no_mixer(_config: Config, _layer: int) -> tuple[Mixer, ...]:
    """A layer that is a feed-forward part alone."""
    return ()


def latent(config: Config, _: int) -> tuple[Mixer, ...]:
    """Multi-head latent attention."""
    nope, rope = config.integer("qk_nope_head_dim"), config.integer("qk_rope_head_dim")
    return (
        LatentAttention(
            heads=config.positive("num_attention_heads"),
            latent_dim=config.positive("kv_lora_rank"),
            rope_dim=rope,
            key_dim=nope + rope,
            value_dim=config.positive("v_head_dim"),
        ),
    )


def self_attention(config: Config, *, window: int | None = None) -> Attention:
    """Multi-head, grouped-query or multi-query attention by the usual keys.

    Raises:
        MalformedConfig: heads are not a multiple of KV heads, or hidden size is not one of heads.
    """
    heads = config.positive("num_attention_heads")
    kv_heads = config.optional_positive("num_key_value_heads") or heads
    refuse_remainder(config, "num_attention_heads", heads, "num_key_value_heads", kv_heads)
    key_dim = config.optional_positive("head_dim") or head_dim(config, heads)
    value_dim = config.optional_positive("v_head_dim") or key_dim
    return Attention(heads=heads, kv_heads=kv_heads, key_dim=key_dim, value_dim=value_dim, window=window)


def multi_query(config: Config, _: int) -> tuple[Mixer, ...]:
    """One KV head with `multi_query`, else one a head (GPT-BigCode)."""
    heads = config.positive("num_attention_heads")
    kv_heads = 1 if config.boolean("multi_query") else heads
    dim = head_dim(config, heads)
    return (Attention(heads=heads, kv_heads=kv_heads, key_dim=dim, value_dim=dim),)


def falcon(config: Config, _: int) -> tuple[Mixer, ...]:
    """Multi-query before the new decoder architecture; with it, KV heads in groups.

    transformers broadcasts the groups to all heads before it caches them (modeling_falcon 5.23).
    """
    heads = config.positive("num_attention_heads")
    grouped = config.boolean("new_decoder_architecture")
    if grouped:
        kv_heads = config.optional_positive("num_kv_heads") or heads
        refuse_remainder(config, "num_attention_heads", heads, "num_kv_heads", kv_heads)
    else:
        kv_heads = 1 if config.boolean("multi_query") else heads
    dim = head_dim(config, heads)
    return (
        Attention(
            heads=heads,
            kv_heads=kv_heads,
            key_dim=dim,
            value_dim=dim,
            cached_heads=heads if grouped else None,
        ),
    )


def with_cross(heads_key: str) -> MixerReader:
    """Attention over the sequence, then across at the encoder's output with as many heads."""

    def read(config: Config, _: int) -> tuple[Mixer, ...]:
        heads = config.positive(heads_key)
        dim = config.optional_positive("head_dim") or head_dim(config, heads, heads_key)
        own = Attention(heads=heads, kv_heads=heads, key_dim=dim, value_dim=dim)
        across = Attention(heads=heads, kv_heads=heads, key_dim=dim, value_dim=dim, source="cross")
        return (own, across)

    return read


def of_heads(heads_key: str) -> MixerReader:
    """Attention over the sequence with one KV head a head (encoders)."""

    def read(config: Config, _: int) -> tuple[Mixer, ...]:
        heads = config.positive(heads_key)
        dim = config.optional_positive("head_dim") or head_dim(config, heads, heads_key)
        return (Attention(heads=heads, kv_heads=heads, key_dim=dim, value_dim=dim),)

    return read


def maybe_with_cross(config: Config, layer: int) -> tuple[Mixer, ...]:
    """BERT's and GPT-2's layers: `add_cross_attention` puts one across after that over the sequence."""
    if config.boolean("add_cross_attention"):
        return with_cross("num_attention_heads")(config, layer)
    return full(config, layer)
