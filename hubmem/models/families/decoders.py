"""Decoders of softmax attention alone."""

from hubmem.models import attention, feed_forward
from hubmem.models.family import Family
from hubmem.models.patterns import (
    CHUNKED,
    CROSS,
    FULL,
    SLIDING,
    all_of,
    beyond_max_window_layers,
    by_window,
    every,
    if_enabled,
    listed,
)
from hubmem.models.stack import Stack

_PLAIN = Stack(feed_forward=feed_forward.plain)

DECODERS: tuple[Family, ...] = (
    Family(
        "llama gemma glm granite olmo olmo2 stablelm internlm3 seed_oss hyperclovax apertus helium ministral3"
        " mistral mixtral olmoe phi3 phimoe cohere bitnet ernie4_5 minimax_m2"
    ),
    Family(
        "bloom gpt_neox gptj gpt_neox_japanese codegen gpt_neo opt phi starcoder2 persimmon nemotron xglm",
        _PLAIN,
    ),
    Family("gpt_bigcode", Stack(mixers={FULL: attention.multi_query}, feed_forward=feed_forward.plain)),
    Family("falcon", Stack(mixers={FULL: attention.falcon}, feed_forward=feed_forward.plain)),
    Family("qwen2 qwen3", Stack(pattern=if_enabled(beyond_max_window_layers))),
    Family("qwen3_moe", Stack(pattern=if_enabled(by_window))),
    Family("qwen2_moe", Stack(pattern=if_enabled(every(2, SLIDING, FULL, first=0)))),
    Family("gpt_oss gemma2 vaultgemma", Stack(pattern=every(2, FULL, SLIDING))),
    Family("gemma3_text cohere2", Stack(pattern=every("sliding_window_pattern", FULL, SLIDING))),
    Family("olmo3", Stack(pattern=every(4, FULL, SLIDING))),
    Family("llama4_text", Stack(pattern=every("no_rope_layer_interval", FULL, CHUNKED))),
    Family(
        "mllama_text_model",
        Stack(
            pattern=listed("cross_attention_layers", CROSS, FULL, default=range(3, 40, 5)),
            mixers={CROSS: attention.across},
        ),
    ),
    Family("deepseek_v2 deepseek_v3", Stack(pattern=all_of(FULL), mixers={FULL: attention.latent})),
)
