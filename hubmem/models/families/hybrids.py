"""Decoders with recurrent layers, latent attention, indexers or compressed caches."""

from dataclasses import replace

from hubmem.models import attention, feed_forward, indexing, latent, recurrence
from hubmem.models.config import Config
from hubmem.models.family import Family
from hubmem.models.patterns import (
    COMPRESSED_SPARSE,
    CONV,
    FULL,
    HEAVILY_COMPRESSED,
    HYBRID,
    HYBRID_SLIDING,
    INDEXED,
    LINEAR,
    MINIMAX_SPARSE,
    MLP,
    MOE,
    SLIDING,
    after,
    all_of,
    at,
    cycle,
    either,
    every,
    if_set,
    inside,
    listed,
    spelled,
    with_first,
)
from hubmem.models.recurrence import expanded, heads_by_dim, stated_or_expanded
from hubmem.models.stack import Stack, count_of

_MAMBA = recurrence.mamba1(stated_or_expanded)
_MAMBA2 = recurrence.mamba2(expanded)
_RATIOS = {0: SLIDING, 4: COMPRESSED_SPARSE, 128: HEAVILY_COMPRESSED}
_LFM2 = Stack(
    pattern=either(listed("full_attn_idxs", FULL, CONV), all_of(FULL)),
    mixers={CONV: recurrence.short_convolution},
)
# The first Nemotron-H files call it `attention_head_dim`.
_NEMOTRON_FULL = attention.with_sizes(attention.full, {"head_dim": ("head_dim", "attention_head_dim")})
_NEMOTRON_DEFAULT = (LINEAR, MOE, FULL, MLP)
_NEMOTRON = {"M": LINEAR, "*": FULL, "-": MLP, "E": MOE}


def _nemotron_layers(config: Config) -> int:
    """The layers its pattern names; the number in the file is not used where there is one."""
    pattern = config.sequence("layer_types") or config.sequence("hybrid_override_pattern")
    return len(pattern or _NEMOTRON_DEFAULT)


HYBRIDS: tuple[Family, ...] = (
    # State spaces alone.
    Family(
        "falcon_mamba mamba",
        Stack(pattern=all_of(LINEAR), mixers={LINEAR: _MAMBA}, feed_forward=feed_forward.none),
    ),
    Family("mamba2", Stack(pattern=all_of(LINEAR), mixers={LINEAR: _MAMBA2}, feed_forward=feed_forward.none)),
    Family(
        "rwkv",
        Stack(pattern=all_of(LINEAR), mixers={LINEAR: recurrence.rwkv4}, feed_forward=feed_forward.plain),
    ),
    Family(
        "xlstm",
        Stack(
            count=count_of("num_hidden_layers", "num_blocks"),
            pattern=all_of(LINEAR),
            mixers={LINEAR: recurrence.mlstm},
            feed_forward=feed_forward.xlstm,
        ),
    ),
    # State spaces and attention.
    Family(
        "jamba",
        Stack(
            pattern=every("attn_layer_period", FULL, LINEAR, first="attn_layer_offset"),
            mixers={LINEAR: recurrence.mamba1(expanded)},
        ),
    ),
    Family(
        "bamba",
        Stack(
            pattern=either(listed("attn_layer_indices", FULL, LINEAR), all_of(LINEAR)),
            mixers={LINEAR: _MAMBA2},
        ),
    ),
    Family(
        "granitemoehybrid",
        Stack(pattern=all_of(LINEAR), mixers={LINEAR: _MAMBA2}, feed_forward=feed_forward.granite),
    ),
    Family(
        "falcon_h1",
        Stack(
            pattern=all_of(HYBRID),
            mixers={
                HYBRID: recurrence.side_by_side(attention.full, recurrence.mamba2(recurrence.ssm_or_expanded))
            },
        ),
    ),
    Family(
        "nemotron_h",
        Stack(
            count=_nemotron_layers,
            pattern=either(
                spelled("hybrid_override_pattern", _NEMOTRON),
                cycle(*_NEMOTRON_DEFAULT),
            ),
            mixers={LINEAR: recurrence.mamba2(heads_by_dim), FULL: _NEMOTRON_FULL},
            feed_forward=feed_forward.none,
            feed_forwards={MLP: feed_forward.plain, MOE: feed_forward.plain_experts},
        ),
    ),
    Family(
        "zamba",
        Stack(
            pattern=after(
                (LINEAR, LINEAR, HYBRID),
                every("attn_layer_period", HYBRID, LINEAR, first="attn_layer_offset"),
            ),
            mixers={
                LINEAR: recurrence.mamba1(expanded),
                HYBRID: recurrence.side_by_side(attention.zamba, recurrence.mamba1(expanded)),
            },
            feed_forward=feed_forward.none,
            feed_forwards={HYBRID: feed_forward.gated},
        ),
    ),
    Family(
        "zamba2",
        Stack(
            pattern=at((6, 12, 18, 24, 30, 36, 42, 47, 51), HYBRID, LINEAR),
            mixers={LINEAR: _MAMBA2, HYBRID: recurrence.side_by_side(attention.zamba, _MAMBA2)},
            feed_forward=feed_forward.none,
            feed_forwards={HYBRID: feed_forward.gated},
        ),
    ),
    Family(
        "recurrent_gemma",
        Stack(
            pattern=spelled("block_types", {"recurrent": LINEAR, "attention": SLIDING}, repeated=True),
            mixers={LINEAR: recurrence.rg_lru},
            feed_forward=feed_forward.half,
        ),
    ),
    # Linear attention and softmax attention.
    Family(
        "qwen3_5_moe_text qwen3_5_text qwen3_next",
        Stack(
            pattern=every("full_attention_interval", FULL, LINEAR),
            mixers={LINEAR: recurrence.gated_delta_net},
        ),
    ),
    Family(
        "olmo_hybrid",
        Stack(pattern=every(4, FULL, LINEAR), mixers={LINEAR: recurrence.gated_delta_net}),
    ),
    Family(
        "qwen4_exp_text",
        Stack(
            pattern=every("full_attention_interval", INDEXED, LINEAR),
            mixers={
                LINEAR: recurrence.with_ngrams(recurrence.gated_delta_net),
                INDEXED: indexing.with_positioned_indexer,
                FULL: indexing.with_positioned_indexer,
            },
        ),
    ),
    Family("minimax", Stack(pattern=every(2, LINEAR, FULL), mixers={LINEAR: recurrence.lightning})),
    Family(
        "kimi_linear",
        Stack(
            pattern=either(
                inside("linear_attn_config", listed("full_attn_layers", FULL, LINEAR, base=1)),
                with_first(1, LINEAR, every(4, FULL, LINEAR, first=0)),
            ),
            mixers={LINEAR: recurrence.kimi_delta, FULL: latent.latent},
        ),
    ),
    Family(
        "bailing_hybrid",
        Stack(
            pattern=every("layer_group_size", FULL, LINEAR),
            mixers={LINEAR: recurrence.kimi_delta, FULL: latent.latent},
        ),
    ),
    Family(
        "glm5_next_text",
        Stack(
            pattern=every(4, INDEXED, LINEAR),
            mixers={
                LINEAR: recurrence.kimi_delta,
                INDEXED: latent.with_pooling_indexer,
                FULL: latent.with_pooling_indexer,
            },
        ),
    ),
    # Convolutions.
    Family("lfm2", replace(_LFM2, feed_forward=feed_forward.lfm)),
    Family("lfm2_moe", _LFM2),
    Family(
        "lfm3",
        Stack(
            pattern=with_first(1, CONV, cycle(SLIDING, CONV, FULL, CONV)),
            mixers={CONV: recurrence.short_convolution},
        ),
    ),
    Family(
        "inkling2_text inkling_text",
        Stack(
            pattern=either(
                listed("local_layer_ids", HYBRID_SLIDING, HYBRID), every(6, HYBRID, HYBRID_SLIDING)
            ),
            mixers={
                HYBRID: recurrence.convolved(attention.full),
                HYBRID_SLIDING: recurrence.convolved(attention.windowed_apart),
            },
        ),
    ),
    Family(
        "zaya",
        Stack(
            pattern=all_of(HYBRID),
            mixers={
                HYBRID: recurrence.compressed_convolution(attention.full),
                HYBRID_SLIDING: recurrence.compressed_convolution(attention.sliding),
            },
        ),
    ),
    # Latent attention.
    Family("deepseek_v2", Stack(pattern=all_of(FULL), mixers={FULL: latent.latent_or_full})),
    Family(
        "axk1 deepseek_v3 glm4_moe_lite minicpm3 mistral4 youtu",
        Stack(pattern=all_of(FULL), mixers={FULL: latent.latent}),
    ),
    Family(
        "longcat_flash",
        Stack(
            count=count_of("num_layers"),
            pattern=all_of(FULL),
            mixers={FULL: latent.latent_twice},
            feed_forward=feed_forward.longcat,
        ),
    ),
    Family(
        "axk2 deepseek_v32 glm_moe_dsa",
        Stack(pattern=all_of(INDEXED), mixers={INDEXED: latent.with_indexer}),
    ),
    Family("hy_v4", Stack(pattern=all_of(INDEXED), mixers={INDEXED: latent.hunyuan4})),
    Family("mistral_large4_text", Stack(pattern=all_of(INDEXED), mixers={INDEXED: latent.mistral_large})),
    Family(
        "dots3_note_text",
        Stack(
            pattern=if_set("use_sliding_window", with_first(2, FULL, every(4, FULL, SLIDING, first=1))),
            mixers={FULL: latent.dots_full, INDEXED: latent.dots_indexed, SLIDING: latent.dots_windowed},
        ),
    ),
    # Sparse and compressed attention.
    Family(
        "minimax_m3_vl_text",
        Stack(
            pattern=either(
                inside(
                    "sparse_attention_config", spelled("sparse_attention_freq", {0: FULL, 1: MINIMAX_SPARSE})
                ),
                all_of(FULL),
            ),
            mixers={MINIMAX_SPARSE: indexing.with_block_indexer},
        ),
    ),
    Family(
        "deepseek_v4",
        Stack(
            pattern=either(
                spelled("compress_ratios", _RATIOS),
                with_first(2, HEAVILY_COMPRESSED, every(2, COMPRESSED_SPARSE, HEAVILY_COMPRESSED)),
            ),
            mixers={
                SLIDING: latent.one_head_windowed,
                COMPRESSED_SPARSE: latent.compressed(COMPRESSED_SPARSE, 4, index=True),
                HEAVILY_COMPRESSED: latent.compressed(HEAVILY_COMPRESSED, 128, index=False),
            },
        ),
    ),
)
