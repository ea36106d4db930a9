"""Reads latent attention, with and without an indexer, and the compressed attention of DeepSeek-V4."""

from dataclasses import replace

from hubmem.models.attention import MixerReader, full
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size
from hubmem.models.indexing import index_dim, indexes
from hubmem.models.mixers import Attention, CompressedAttention, Indexer, LatentAttention, Mixer


def latent(config: Config, _: int) -> tuple[Mixer, ...]:
    """Latent attention over the whole sequence."""
    return (latent_attention(config),)


def latent_or_full(config: Config, layer: int) -> tuple[Mixer, ...]:
    """DeepSeek-V2's small language models in DeepSeek-VL2 and -OCR have no latent: its rank is null."""
    if config.boolean("use_mla", default=True) and config.optional_integer("kv_lora_rank") is not None:
        return latent(config, layer)
    return full(config.with_values({"head_dim": None, "v_head_dim": None}), layer)


def latent_twice(config: Config, _: int) -> tuple[Mixer, ...]:
    """Two latent attentions in one layer (LongCat)."""
    return (latent_attention(config), latent_attention(config))


def latent_attention(config: Config) -> LatentAttention:
    """Multi-head latent attention by DeepSeek's keys."""
    heads = config.positive("num_attention_heads")
    nope, rope = config.natural("qk_nope_head_dim"), config.natural("qk_rope_head_dim")
    return LatentAttention(
        heads=heads,
        latent_dim=config.positive("kv_lora_rank"),
        rope_dim=rope,
        key_dim=nope + rope,
        value_dim=config.optional_positive("v_head_dim") or hidden_size(config) // heads,
    )


def with_indexer(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Latent attention with an indexer, but where a layer uses an earlier one's (DeepSeek-V3.2, GLM-5)."""
    attention = latent_attention(config)
    return (attention, Indexer(dim=index_dim(config))) if indexes(config, layer) else (attention,)


def with_pooling_indexer(config: Config, layer: int) -> tuple[Mixer, ...]:
    """As `with_indexer`; it keeps a key, a gate of the same size and a flag for each position (GLM-5.3)."""
    attention = latent_attention(config)
    if not indexes(config, layer):
        return (attention,)
    return (attention, Indexer(dim=2 * index_dim(config) + 1))


def mistral_large(config: Config, layer: int) -> tuple[Mixer, ...]:
    """As `with_indexer`; layers without rotary positions keep no rope part, some read another's cache."""
    attention, *indexer = with_indexer(config, layer)
    assert isinstance(attention, LatentAttention)
    rotary = config.flag_at("no_rope_layers", layer)
    if rotary is None:
        rotary = (layer + 1) % config.positive("no_rope_layer_interval") != 0
    sources = config.items("kv_source_layers")
    shared = sources is not None and layer < len(sources) and sources[layer] != layer
    return (replace(attention, rope_dim=attention.rope_dim if rotary else 0, shared=shared), *indexer)


def hunyuan4(config: Config, layer: int) -> tuple[Mixer, ...]:
    """As `with_indexer`; where the config does not list them, layers 0, 1, 5, 9 … have one of their own."""
    if config.items("indexer_types") is None and layer and (layer - 1) % 4:
        return latent(config, layer)
    return with_indexer(config, layer)


# The released Dots 3 files leave these out; transformers 5.23, `Dots3NoteTextConfig.__post_init__`.
_DOTS_WINDOWED = {
    "num_attention_heads": 64,
    "kv_lora_rank": 1024,
    "qk_nope_head_dim": 192,
    "v_head_dim": 128,
}
_DOTS_HEAD_DIM = 256


def dots_windowed(config: Config, _: int) -> tuple[Mixer, ...]:
    """Dots 3: latent attention over a window, of sizes of its own."""
    window = config.positive("sliding_window", "sliding_window_size")
    if "per_layer_config" not in config:
        sizes = {key: config.optional_positive(f"swa_{key}") or size for key, size in _DOTS_WINDOWED.items()}
        head_dim = config.optional_positive("swa_head_dim") or _DOTS_HEAD_DIM
        rope = config.optional_integer("swa_qk_rope_head_dim")
        sizes["qk_rope_head_dim"] = head_dim - sizes["qk_nope_head_dim"] if rope is None else rope
        config = config.with_values(sizes)
    return (replace(latent_attention(config), window=window),)


def dots_indexed(config: Config, _: int) -> tuple[Mixer, ...]:
    """Dots 3: latent attention with an indexer whose keys stay in float32."""
    return (latent_attention(config), Indexer(dim=index_dim(config), in_float32=True))


def dots_full(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Dots 3: its released files call the layers with an indexer `full_attention` unless `use_dsa` is off."""
    older = "per_layer_config" not in config
    return dots_indexed(config, layer) if config.boolean("use_dsa", default=older) else latent(config, layer)


def compressed(kind: str, ratio: int, *, index: bool) -> MixerReader:
    """DeepSeek-V4: a window of shared keys and values and compressed entries before it."""

    def read(config: Config, _: int) -> tuple[Mixer, ...]:
        rates = config.child("compress_rates")
        return (
            CompressedAttention(
                heads=config.positive("num_attention_heads"),
                dim=config.positive("head_dim"),
                window=config.positive("sliding_window"),
                ratio=(rates.optional_positive(kind) if rates else None) or ratio,
                index_dim=index_dim(config) if index else 0,
            ),
        )

    return read


def one_head_windowed(config: Config, _: int) -> tuple[Mixer, ...]:
    """DeepSeek-V4's layers without compression: a window of keys and values of one head."""
    dim, window = config.positive("head_dim"), config.positive("sliding_window")
    heads = config.positive("num_attention_heads")
    return (Attention(heads=heads, kv_heads=1, key_dim=dim, value_dim=dim, window=window),)
