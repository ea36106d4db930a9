"""States of fixed size: what a recurrent layer keeps, whatever the length of the sequence.

Symbols: I inner width, N state size, k convolution kernel, G groups, n heads, d head dim, H hidden size.
transformers 5.23 keeps k past inputs of a convolution, in the model's dtype; recurrent states are float32
where its code makes them so.
"""

from collections.abc import Callable

from hubmem.models.attention import MixerReader, self_attention
from hubmem.models.config import Config
from hubmem.models.dimensions import hidden_size
from hubmem.models.mixers import Attention, Kept, Mixer, Recurrent

Width = Callable[[Config], int]
"""How a family says the inner width of its state-space layers."""


def expanded(config: Config) -> int:
    """Hidden size times the expansion."""
    return config.positive("mamba_expand", "expand") * hidden_size(config)


def stated_or_expanded(config: Config) -> int:
    """The width the file states, else the expanded one (Mamba)."""
    return config.optional_positive("intermediate_size") or expanded(config)


def ssm_or_expanded(config: Config) -> int:
    """The width the file gives the state space, else the expanded one (Falcon-H1)."""
    return config.optional_positive("mamba_d_ssm") or expanded(config)


def heads_by_dim(config: Config) -> int:
    """Heads times the width of one (Nemotron-H, whose `expand` says something else)."""
    return config.positive("mamba_num_heads") * config.positive("mamba_head_dim")


def mamba1_state(*, inner: int, state: int, kernel: int) -> Kept:
    """I·k inputs of the convolution and I·N of the state space.

    Source: Mamba, arXiv 2312.00752, section 3.

    >>> mamba1_state(inner=4096, state=16, kernel=4)
    Kept(cached=0, model=16384, float32=65536)
    """
    return Kept(model=inner * kernel, float32=inner * state)


def mamba2_state(*, inner: int, groups: int, state: int, kernel: int) -> Kept:
    """(I + 2·G·N)·k inputs of the convolution and I·N of the state space.

    Source: Mamba-2, arXiv 2405.21060, section 7.

    >>> mamba2_state(inner=4096, groups=8, state=128, kernel=4)
    Kept(cached=0, model=24576, float32=524288)
    """
    return Kept(model=(inner + 2 * groups * state) * kernel, float32=inner * state)


def delta_net_state(*, key_heads: int, value_heads: int, key_dim: int, value_dim: int, kernel: int) -> Kept:
    """(2·nk·dk + nv·dv)·k inputs of the convolution and a matrix of dk·dv for each of nv heads.

    Source: Gated Delta Networks, arXiv 2412.06464, section 3.

    >>> delta_net_state(key_heads=16, value_heads=32, key_dim=128, value_dim=128, kernel=4)
    Kept(cached=0, model=32768, float32=524288)
    """
    width = 2 * key_heads * key_dim + value_heads * value_dim
    return Kept(model=width * kernel, float32=value_heads * key_dim * value_dim)


def lightning_state(*, heads: int, dim: int) -> Kept:
    """A matrix of d·d for each head, in the model's dtype.

    Source: Lightning Attention-2, arXiv 2401.04658; `MiniMaxLightningAttention` of transformers 5.23.

    >>> lightning_state(heads=64, dim=128).model
    1048576
    """
    return Kept(model=heads * dim * dim)


def rg_lru_state(*, width: int, kernel: int) -> Kept:
    """Inputs of the convolution, the current one left out, and one float32 a channel.

    Source: Griffin, arXiv 2402.19427, section 2.4; `RecurrentGemmaRecurrentBlock` of transformers 5.23.

    >>> rg_lru_state(width=2560, kernel=4)
    Kept(cached=0, model=7680, float32=2560)
    """
    return Kept(model=width * (kernel - 1), float32=width)


def rwkv4_state(*, hidden: int, attention: int) -> Kept:
    """The last input of both parts of a block, and numerator, denominator and maximum of the attention.

    Source: RWKV, arXiv 2305.13048, section 3 and appendix D.

    >>> rwkv4_state(hidden=2048, attention=2048)
    Kept(cached=0, model=4096, float32=6144)
    """
    return Kept(model=2 * hidden, float32=3 * attention)


def mlstm_state(*, heads: int, key_dim: int, value_dim: int) -> Kept:
    """A matrix memory of dk·dv, a normaliser of dk and a stabiliser for each head.

    Source: xLSTM, arXiv 2405.04517, section 2.3.

    >>> mlstm_state(heads=8, key_dim=256, value_dim=512).model
    1050632
    """
    return Kept(model=heads * (key_dim * value_dim + key_dim + 1))


def mamba1(inner: Width) -> MixerReader:
    """Mamba."""

    def read(config: Config, _: int) -> tuple[Mixer, ...]:
        kernel = config.positive("mamba_d_conv", "conv_kernel")
        state = mamba1_state(
            inner=inner(config), state=config.positive("mamba_d_state", "state_size"), kernel=kernel
        )
        return (Recurrent(name="mamba", state=state, kernel=kernel, chunk=1),)

    return read


def mamba2(inner: Width) -> MixerReader:
    """Mamba-2."""

    def read(config: Config, _: int) -> tuple[Mixer, ...]:
        kernel = config.positive("mamba_d_conv", "conv_kernel")
        state = mamba2_state(
            inner=inner(config),
            groups=config.positive("mamba_n_groups", "mamba_ngroups", "n_groups"),
            state=config.positive("mamba_d_state", "ssm_state_size", "state_size"),
            kernel=kernel,
        )
        chunk = config.optional_positive("mamba_chunk_size", "chunk_size") or 256
        return (Recurrent(name="mamba2", state=state, kernel=kernel, chunk=chunk),)

    return read


def side_by_side(*reads: MixerReader) -> MixerReader:
    """Several mixers in one layer."""
    return lambda config, layer: tuple(mixer for read in reads for mixer in read(config, layer))


def gated_delta_net(config: Config, _: int) -> tuple[Mixer, ...]:
    """Gated delta net; OLMo's files leave its sizes to be worked out from the attention's."""
    heads = config.positive("num_attention_heads")
    key_heads = config.optional_positive("linear_num_key_heads") or heads
    key_dim = config.optional_positive("linear_key_head_dim") or 3 * hidden_size(config) // (4 * key_heads)
    kernel = config.positive("linear_conv_kernel_dim")
    state = delta_net_state(
        key_heads=key_heads,
        value_heads=config.optional_positive("linear_num_value_heads") or heads,
        key_dim=key_dim,
        value_dim=config.optional_positive("linear_value_head_dim") or 2 * key_dim,
        kernel=kernel,
    )
    return (Recurrent(name="gated_delta_net", state=state, kernel=kernel, chunk=64),)


def with_ngrams(read: MixerReader) -> MixerReader:
    """The mixer, and in the layers of `ple_layer_ids`, counted from 1, n-gram features (Qwen 4).

    A dilated convolution over all residual streams and the last n - 1 tokens' ids as int64
    (`Qwen4ExpTextPLELayer` of transformers 5.23).
    """

    def with_state(config: Config, layer: int) -> tuple[Mixer, ...]:
        if layer + 1 not in (config.items("ple_layer_ids") or ()):
            return read(config, layer)
        ngram = config.positive("ngram_size")
        reach = (config.positive("ple_conv_kernel_size") - 1) * ngram
        streams = config.positive("hc_count") * hidden_size(config)
        state = Kept(model=streams * reach, float32=2 * (ngram - 1))
        return (*read(config, layer), Recurrent(name="ngram_features", state=state))

    return with_state


def kimi_delta(config: Config, _: int) -> tuple[Mixer, ...]:
    """Kimi delta attention: a delta net with as many key heads as value heads, all of one size.

    Source: Kimi Linear, arXiv 2510.26692, section 3. The files put its sizes into `linear_attn_config`, or
    use those of the attention (Ling 2.5).
    """
    nested = config.child("linear_attn_config")
    source = nested if nested is not None and "num_heads" in nested else config
    heads = source.positive("linear_num_heads", "num_heads", "num_attention_heads")
    dim = source.positive("linear_head_dim", "head_dim")
    kernel = source.positive("linear_conv_kernel_dim", "short_conv_kernel_size")
    state = delta_net_state(key_heads=heads, value_heads=heads, key_dim=dim, value_dim=dim, kernel=kernel)
    return (Recurrent(name="kimi_delta_attention", state=state, kernel=kernel, chunk=64),)


def lightning(config: Config, _: int) -> tuple[Mixer, ...]:
    """Lightning attention."""
    attention = self_attention(config)
    return (
        Recurrent(
            name="lightning_attention", state=lightning_state(heads=attention.heads, dim=attention.key_dim)
        ),
    )


def short_convolution(config: Config, _: int) -> tuple[Mixer, ...]:
    """A short convolution over the hidden state (LFM2)."""
    kernel = config.positive("conv_L_cache")
    state = Kept(model=hidden_size(config) * kernel)
    return (Recurrent(name="short_convolution", state=state, kernel=kernel),)


def rg_lru(config: Config, _: int) -> tuple[Mixer, ...]:
    """The real-gated linear recurrent unit of Griffin."""
    width = config.optional_positive("lru_width") or hidden_size(config)
    return (
        Recurrent(name="rg_lru", state=rg_lru_state(width=width, kernel=config.positive("conv1d_width"))),
    )


def rwkv4(config: Config, _: int) -> tuple[Mixer, ...]:
    """RWKV 4."""
    hidden = hidden_size(config)
    state = rwkv4_state(hidden=hidden, attention=config.optional_positive("attention_hidden_size") or hidden)
    return (Recurrent(name="rwkv", state=state),)


def mlstm(config: Config, _: int) -> tuple[Mixer, ...]:
    """The mLSTM cell of xLSTM."""
    heads = config.positive("num_heads")
    hidden = config.positive("hidden_size", "embedding_dim")
    key = int(hidden * (config.number("qk_dim_factor") or 1)) // heads
    value = int(hidden * (config.number("v_dim_factor") or 1)) // heads
    return (Recurrent(name="mlstm", state=mlstm_state(heads=heads, key_dim=key, value_dim=value)),)


def convolved(read: MixerReader) -> MixerReader:
    """Attention with four short convolutions: on keys, on values and on what both parts put out (Inkling).

    K·(Dk + Dv) + 2·H channels of k past inputs, in float32 (`InklingShortConvolution` of transformers 5.23).
    """

    def with_state(config: Config, layer: int) -> tuple[Mixer, ...]:
        (attention,) = read(config, layer)
        assert isinstance(attention, Attention)
        channels = attention.kv_heads * (attention.key_dim + attention.value_dim) + 2 * hidden_size(config)
        state = Kept(float32=channels * config.positive("conv_kernel_size"))
        return (attention, Recurrent(name="short_convolution", state=state))

    return with_state


def compressed_convolution(read: MixerReader) -> MixerReader:
    """Attention on convolved queries and keys (Zaya).

    (A + K)·D channels of past inputs of two convolutions in a row, and half of the values delayed by one
    token (`ZayaAttention` of transformers 5.23).
    """

    def with_state(config: Config, layer: int) -> tuple[Mixer, ...]:
        (attention,) = read(config, layer)
        assert isinstance(attention, Attention)
        past = config.positive("cca_time0") + config.positive("cca_time1") - 2
        channels = (attention.heads + attention.kv_heads) * attention.key_dim
        delayed = attention.kv_heads * attention.key_dim // 2
        state = Kept(model=channels * past + delayed)
        return (attention, Recurrent(name="compressed_convolution", state=state))

    return with_state
