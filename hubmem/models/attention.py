"""Reads the attention of one layer from a config."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hubmem.models.config import Config
from hubmem.models.dimensions import head_dim, hidden_size, refuse_remainder
from hubmem.models.mixers import Attention, Mixer, PastInputs

_STEP_KEYS = ("num_attention_heads", "num_attention_groups", "head_dim")

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


def with_sizes(read: MixerReader, sizes: Mapping[str, tuple[str, ...]]) -> MixerReader:
    """The reader, but each of some keys has the value of the first of other keys that the config has."""

    def read_with_sizes(config: Config, layer: int) -> tuple[Mixer, ...]:
        found = {key: config.optional_positive(*others) for key, others in sizes.items()}
        values = {key: value for key, value in found.items() if value is not None}
        return read(config.with_values(values), layer)

    return read_with_sizes


windowed_apart = with_sizes(
    sliding,
    {
        "num_attention_heads": ("swa_num_attention_heads",),
        "num_key_value_heads": ("swa_num_key_value_heads",),
        "head_dim": ("swa_head_dim",),
        "v_head_dim": ("swa_v_head_dim",),
    },
)
"""Attention over a window, with heads of its own."""


def mimo_windowed(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Twice the KV heads in windowed layers, and a window that does not count the token itself (MiMo-V2)."""
    beside_itself = config.optional_positive("sliding_window_size")
    values = {
        "sliding_window": beside_itself + 1 if beside_itself else config.positive("sliding_window"),
        "num_key_value_heads": 2 * config.positive("num_key_value_heads"),
    }
    return windowed_apart(config.with_values(values), layer)


def gemma_windowed(config: Config, layer: int) -> tuple[Mixer, ...]:
    """A model that looks both ways sees half of its window on each side (Gemma 3 and 4)."""
    both_ways = config.flag_or_text("use_bidirectional_attention")
    if both_ways not in (True, "all"):
        return sliding(config, layer)
    return (self_attention(config, window=config.positive("sliding_window") // 2 + 1),)


def step_windowed(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Attention over a window, with the heads of `attention_other_setting` where there is one (Step 3.5)."""
    other = config.mapping("attention_other_setting") or {}
    apart = {key: value for key, value in other.items() if key in _STEP_KEYS}
    return sliding(config.with_values(apart), layer)


def modernbert_windowed(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Half of `local_attention` looks back, where the file does not say the window itself."""
    window = (
        config.positive("sliding_window")
        if "sliding_window" in config
        else config.positive("local_attention") // 2
    )
    return sliding(config.with_values({"sliding_window": window}), layer)


def reading_others_at_the_end(read: MixerReader) -> MixerReader:
    """The last `num_kv_shared_layers` read the cache of an earlier layer of their kind (Gemma 3n)."""

    def read_shared(config: Config, layer: int) -> tuple[Mixer, ...]:
        (attention,) = read(config, layer)
        assert isinstance(attention, Attention)
        sharing = config.optional_integer("num_kv_shared_layers") or 0
        shared = layer >= config.positive("num_hidden_layers") - sharing
        return (replace(attention, shared=shared),)

    return read_shared


def head_dim_by_heads(read: MixerReader) -> MixerReader:
    """The reader without `head_dim`, which a class works out itself whatever the file says."""
    return lambda config, layer: read(config.with_values({"head_dim": None}), layer)


def zamba(config: Config, _: int) -> tuple[Mixer, ...]:
    """Attention over the hidden state and the embedding side by side: heads of twice the usual width."""
    return (self_attention(_sharing(2 * hidden_size(config), config)),)


def glm4_moe(config: Config, _: int) -> tuple[Mixer, ...]:
    """Heads need not divide the hidden size, and what they leave is in none (`Glm4MoeAttention`)."""
    return (self_attention(_sharing(hidden_size(config), config)),)


def _sharing(width: int, config: Config) -> Config:
    """The config, whose heads share a width, rounded down, where it does not say theirs."""
    if config.optional_positive("head_dim") is not None:
        return config
    return config.with_values({"head_dim": width // config.positive("num_attention_heads")})


def multi_query(config: Config, _: int) -> tuple[Mixer, ...]:
    """One KV head with `multi_query`, else one per head (GPT-BigCode)."""
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
    cached_heads = heads if grouped else None
    return (Attention(heads=heads, kv_heads=kv_heads, key_dim=dim, value_dim=dim, cached_heads=cached_heads),)


def dbrx(config: Config, _: int) -> tuple[Mixer, ...]:
    """KV heads in `attn_config`; the file also has a `num_key_value_heads` that means nothing."""
    nested = config.child("attn_config")
    kv_heads = (nested.optional_positive("kv_n_heads") if nested else None) or 1
    return full(config.with_values({"num_key_value_heads": kv_heads}), 0)


def jetmoe(config: Config, _: int) -> tuple[Mixer, ...]:
    """Experts in the attention: each token's have a query head for each KV head."""
    kv_heads = config.positive("num_key_value_heads")
    heads = config.optional_positive("num_attention_heads") or kv_heads * config.positive(
        "num_experts_per_tok"
    )
    dim = config.positive("kv_channels")
    return (Attention(heads=heads, kv_heads=kv_heads, key_dim=dim, value_dim=dim),)


def fewer_heads(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Some of the heads are convolutions (ConvBERT)."""
    heads = config.positive("num_attention_heads")
    attending = max(heads // config.positive("head_ratio"), 1)
    values = {"head_dim": head_dim(config, heads), "num_attention_heads": attending}
    return full(config.with_values(values), layer)


def in_bottleneck(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Attention within a narrower bottleneck (MobileBERT)."""
    inner = config.positive("intra_bottleneck_size" if config.boolean("use_bottleneck") else "hidden_size")
    return full(config.with_values({"head_dim": inner // config.positive("num_attention_heads")}), layer)


def chatglm(config: Config, layer: int) -> tuple[Mixer, ...]:
    """KV heads in groups with `multi_query_attention`, else one per head."""
    groups = "multi_query_group_num" if config.boolean("multi_query_attention") else "num_attention_heads"
    return full(config.with_values({"num_key_value_heads": config.positive(groups)}), layer)


def cross_layer(config: Config, layer: int) -> tuple[Mixer, ...]:
    """With `use_cla`, one layer in so many keeps a cache and those after it read it (Hunyuan-Large).

    Source: Cross-Layer Attention, arXiv 2405.12981.
    """
    shares = config.boolean("use_cla") and layer % config.positive("cla_share_factor") != 0
    return (replace(self_attention(config), shared=shares),)


def openelm(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Heads and KV heads of each layer in lists."""
    heads = {
        "num_attention_heads": config.natural_at("num_query_heads", layer),
        "num_key_value_heads": config.natural_at("num_kv_heads", layer),
    }
    return full(config.with_values(heads), layer)


def kv_heads_by_layer(config: Config, layer: int) -> tuple[Mixer, ...]:
    """KV heads of each layer in a list (DeciLM)."""
    kv_heads = config.natural_at("num_key_value_heads_per_layer", layer)
    return full(config.with_values({"num_key_value_heads": kv_heads}) if kv_heads else config, layer)


def cpm_ant(config: Config, _: int) -> tuple[Mixer, ...]:
    """A learned prompt before every sequence."""
    heads, dim = config.positive("num_attention_heads"), config.positive("dim_head")
    prompt = config.natural("prompt_length")
    return (Attention(heads=heads, kv_heads=heads, key_dim=dim, value_dim=dim, prompt=prompt),)


def of_heads(*keys: str) -> MixerReader:
    """Attention over the sequence, each head with a KV head of its own; their number under other keys."""

    def read(config: Config, _: int) -> tuple[Mixer, ...]:
        heads = config.positive(*keys)
        dim = config.optional_positive("head_dim", "d_kv", "d_head") or head_dim(config, heads, keys[0])
        return (Attention(heads=heads, kv_heads=heads, key_dim=dim, value_dim=dim),)

    return read


def with_cross(read: MixerReader) -> MixerReader:
    """Attention over the sequence, then across at the encoder's whole output with as many heads."""

    def read_both(config: Config, layer: int) -> tuple[Mixer, ...]:
        (own,) = read(config, layer)
        assert isinstance(own, Attention)
        return (own, replace(own, source="cross", window=None))

    return read_both


def maybe_with_cross(config: Config, layer: int) -> tuple[Mixer, ...]:
    """BERT's and GPT-2's layers: `add_cross_attention` puts one across after that over the sequence."""
    return with_cross(full)(config, layer) if config.boolean("add_cross_attention") else full(config, layer)


def dia(config: Config, _: int) -> tuple[Mixer, ...]:
    """Grouped attention over the sequence, and attention across with heads of its own."""
    kv_heads, dim = config.positive("cross_num_key_value_heads"), config.positive("cross_head_dim")
    cross = Attention(
        heads=config.positive("cross_num_attention_heads"),
        kv_heads=kv_heads,
        key_dim=dim,
        value_dim=dim,
        source="cross",
    )
    return (self_attention(config), cross)


def xlnet(config: Config, _: int) -> tuple[Mixer, ...]:
    """A layer's past inputs."""
    return (PastInputs(heads=config.positive("num_attention_heads"), dim=hidden_size(config)),)


def reformer(config: Config, layer: int) -> tuple[Mixer, ...]:
    """A layer's past inputs, and their buckets where it attends within them."""
    heads = config.positive("num_attention_heads")
    hashed = (config.items("attn_layers") or ())[layer] == "lsh"
    return (
        PastInputs(
            heads=heads,
            dim=hidden_size(config),
            buckets=heads * config.positive("num_hashes") if hashed else 0,
            chunk=config.positive("lsh_attn_chunk_length"),
        ),
    )
