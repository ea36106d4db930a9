"""Decoders of softmax attention alone."""

from hubmem.models import attention, feed_forward
from hubmem.models.attention import full, reading_others_at_the_end, sliding
from hubmem.models.config import Config
from hubmem.models.family import Family, as_decoder, never, unless_embedding
from hubmem.models.mixers import Mixer
from hubmem.models.patterns import (
    CHUNKED,
    CROSS,
    FULL,
    REFERENCE,
    SLIDING,
    all_of,
    at,
    backwards,
    beyond_max_window_layers,
    by_window,
    either,
    every,
    if_set,
    listed,
    restarted_after,
    spelled,
    until,
    with_first,
    with_last,
)
from hubmem.models.stack import Stack

_PLAIN = Stack(feed_forward=feed_forward.plain)
_LOCAL_GLOBAL = {"L": SLIDING, "G": FULL}


def _gemma4_full(config: Config, layer: int) -> tuple[Mixer, ...]:
    """Gemma 4's full layers have heads of their own; transformers saves them as `per_layer_config`."""
    if "per_layer_config" in config:
        return full(config, layer)
    apart = {"head_dim": ("global_head_dim",)}
    if config.boolean("attention_k_eq_v", default=True):
        apart["num_key_value_heads"] = ("num_global_key_value_heads",)
    return attention.with_sizes(full, apart)(config, layer)


_GEMMA4 = Stack(
    pattern=with_last(FULL, every(6, FULL, SLIDING)),
    mixers={
        FULL: reading_others_at_the_end(_gemma4_full),
        SLIDING: reading_others_at_the_end(attention.gemma_windowed),
    },
    feed_forward=feed_forward.gemma4,
)


def _hrm_layers(config: Config) -> int:
    """Layers times how often they are run; files saved by transformers have multiplied already."""
    layers = config.positive("num_hidden_layers")
    if config.optional_integer("num_layers_per_stack") is not None:
        return layers
    return layers * config.positive("H_cycles") * (config.positive("L_cycles") + 1)


DECODERS: tuple[Family, ...] = (
    Family(
        "aria_text bitnet chameleon cohere csm diffllama doge emu3_text_model ernie4_5"
        " ernie4_5_moe evolla flex_olmo gemma glm glm4 glm4v_text"
        " glm_image_text glm_ocr_text granite granite4_vision_text granite_docling_text granitemoe"
        " granitemoeshared helium higgs_audio_v2 hunyuan_v1_dense hunyuan_vl_text hy_v3"
        " hyperclovax idefics internlm3 iquestcoder llama minimax_m2 ministral"
        " ministral3 mistral mixtral molmo2_text olmo olmo2 olmoe paddleocr_vl_text phi3"
        " phi4_multimodal phimoe qwen3_omni_moe_text qwen3_vl_text seed_oss solar_open stablelm"
        " voxtral_realtime_text"
    ),
    Family(
        "apertus arcee biogpt bloom codegen cosmos3_edge_text ctrl gpt_neo gpt_neox"
        " gpt_neox_japanese gptj gradium_phonon_tts jais2 kosmos_2_5_text_model"
        " kosmos_2_text_model mpt nanochat nemotron opt persimmon phi pocket_tts semantic"
        " starcoder2 xglm",
        _PLAIN,
    ),
    # transformers keeps no cache for them: each step runs over the whole sequence.
    Family("flaubert openai-gpt xlm", _PLAIN, generates=never),
    Family("xlnet", Stack(mixers={FULL: attention.xlnet}, feed_forward=feed_forward.plain)),
    Family(
        "reformer",
        Stack(
            count=lambda config: len(config.items("attn_layers") or ()),
            mixers={FULL: attention.reformer},
            feed_forward=feed_forward.plain,
        ),
        generates=as_decoder,
    ),
    Family("kyutai_speech_to_text moshi", Stack(feed_forward=feed_forward.half)),
    Family("hunyuan_v1_moe", Stack(feed_forward=feed_forward.beside_dense)),
    Family("glm4_moe glm4v_moe_text", Stack(mixers={FULL: attention.glm4_moe})),
    Family("cpmant", Stack(mixers={FULL: attention.cpm_ant})),
    Family("gpt_bigcode", Stack(mixers={FULL: attention.multi_query}, feed_forward=feed_forward.plain)),
    Family("falcon", Stack(mixers={FULL: attention.falcon}, feed_forward=feed_forward.plain)),
    Family("dbrx", Stack(mixers={FULL: attention.dbrx}, feed_forward=feed_forward.dbrx)),
    Family("jetmoe", Stack(mixers={FULL: attention.jetmoe})),
    Family("ernie4_5_moe_vl ernie4_5_vl_moe_text", Stack(feed_forward=feed_forward.ernie_vision)),
    Family("hrm_text", Stack(count=_hrm_layers)),
    # Windows.
    Family("qwen3_moe", Stack(pattern=if_set("use_sliding_window", by_window))),
    Family(
        "qwen2 qwen2_5_omni_text qwen2_5_vl_text qwen2_vl_text qwen3",
        Stack(pattern=if_set("use_sliding_window", beyond_max_window_layers)),
    ),
    Family("dots1", Stack(pattern=if_set("sliding_window", beyond_max_window_layers))),
    Family(
        "qwen2_moe",
        Stack(
            pattern=if_set(
                "use_sliding_window", until("max_window_layers", every(2, SLIDING, FULL, first=0), FULL)
            )
        ),
    ),
    # A window only where the file lists the layers that have it.
    Family("cohere_compass_text laguna mellum qwen3_vl_moe_text", Stack(pattern=all_of(FULL))),
    Family("gemma2 gpt_oss vaultgemma", Stack(pattern=every(2, FULL, SLIDING))),
    Family(
        "gemma3_text",
        Stack(
            pattern=every("sliding_window_pattern", FULL, SLIDING),
            mixers={SLIDING: attention.gemma_windowed},
        ),
        generates=unless_embedding,
    ),
    Family("cohere2", Stack(pattern=every("sliding_window_pattern", FULL, SLIDING))),
    Family(
        "cohere2_moe",
        Stack(
            pattern=restarted_after(
                "first_k_dense_replace",
                every("prefix_dense_sliding_window_pattern", FULL, SLIDING),
                every("sliding_window_pattern", FULL, SLIDING),
            )
        ),
    ),
    Family("olmo3", Stack(pattern=every(4, FULL, SLIDING))),
    Family("cwm granite_swa granitemoe_swa", Stack(pattern=every(4, FULL, SLIDING, first=0))),
    Family("muse_glimmer_text muse_spark_text", Stack(pattern=backwards(every(4, FULL, SLIDING, first=0)))),
    Family("kolibri1", Stack(pattern=every(5, FULL, SLIDING))),
    Family("beam", Stack(pattern=with_last(FULL, every(6, FULL, SLIDING)))),
    Family("afmoe", Stack(pattern=every("global_attn_every_n_layers", FULL, SLIDING))),
    Family("flint", Stack(pattern=with_last(FULL, with_first(2, FULL, every(4, FULL, SLIDING, first=1))))),
    Family(
        "exaone4 exaone_moe",
        Stack(
            pattern=if_set(
                "sliding_window",
                either(
                    spelled("sliding_window_pattern", _LOCAL_GLOBAL, repeated=True),
                    every("sliding_window_pattern", FULL, SLIDING),
                ),
            )
        ),
    ),
    Family(
        "modernbert-decoder",
        Stack(
            pattern=every("global_attn_every_n_layers", FULL, SLIDING, first=0),
            mixers={SLIDING: attention.modernbert_windowed},
        ),
    ),
    Family(
        "smollm3",
        Stack(
            pattern=if_set(
                "use_sliding_window",
                either(
                    spelled("no_rope_layers", {0: SLIDING, 1: FULL}),
                    every("no_rope_layer_interval", SLIDING, FULL),
                ),
            )
        ),
    ),
    Family(
        "llama4_text",
        Stack(
            pattern=either(
                spelled("no_rope_layers", {0: FULL, 1: CHUNKED}),
                every("no_rope_layer_interval", FULL, CHUNKED),
            ),
            feed_forward=feed_forward.llama4,
        ),
    ),
    Family(
        "mimo_v2_flash",
        Stack(
            pattern=either(
                spelled("hybrid_layer_pattern", {0: FULL, 1: SLIDING}),
                with_first(1, FULL, every(6, FULL, SLIDING)),
            ),
            mixers={SLIDING: attention.mimo_windowed},
        ),
    ),
    Family("step3p5", Stack(pattern=all_of(FULL), mixers={SLIDING: attention.step_windowed})),
    Family("deepseek_ocr2_text", Stack(mixers={FULL: attention.head_dim_by_heads(full)})),
    # The whole prompt, and a window over what is generated: no less than the prompt's tokens are kept.
    Family(
        "unlimited_ocr_text",
        Stack(pattern=all_of(REFERENCE), mixers={REFERENCE: attention.head_dim_by_heads(full)}),
    ),
    # Layers that read another's cache.
    Family(
        "gemma3n_text",
        Stack(
            pattern=every(5, FULL, SLIDING),
            mixers={
                FULL: reading_others_at_the_end(full),
                SLIDING: reading_others_at_the_end(sliding),
            },
            feed_forward=feed_forward.gemma3n,
        ),
    ),
    Family("gemma4_text gemma4_unified_text diffusion_gemma_text", _GEMMA4),
    # Attention across in place of attention over the sequence.
    Family(
        "mllama_text_model",
        Stack(
            pattern=either(listed("cross_attention_layers", CROSS, FULL), at(range(3, 40, 5), CROSS, FULL)),
            mixers={CROSS: attention.across},
        ),
    ),
)
