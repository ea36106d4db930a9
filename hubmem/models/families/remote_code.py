"""Models whose code lies in their own repos, read from their published configs. That code is never run."""

from collections.abc import Sequence

from hubmem.models import attention, block_configs, feed_forward, latent, recurrence
from hubmem.models.config import Config
from hubmem.models.family import Family
from hubmem.models.patterns import (
    FULL,
    LINEAR,
    all_of,
    beyond_max_window_layers,
    if_set,
    spelled,
)
from hubmem.models.stack import Stack

_N_LAYER = {"num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "hidden_size": "n_embd"}


def _groups_and_rest(config: Config, count: int) -> Sequence[str]:
    """The last layer of each whole group has softmax attention, and so have layers after the last group."""
    size = config.positive("layer_group_size")
    whole = count // size * size
    return [FULL if (layer + 1) % size == 0 or layer >= whole else LINEAR for layer in range(count)]


REMOTE_CODE: tuple[Family, ...] = (
    # Read as ordinary decoders.
    Family(
        "aquila aquila3 arctic bailing bailing_moe bailing_moe_v2 baichuan cogvlm deepseek grok-1 internlm"
        " internlm2 llava_llama llava_mistral minicpm minicpmo minicpmv orion phi3_v phi3small phi4mm skywork"
        " solar stablelm_epoch xverse"
    ),
    Family("dots_ocr mimo", Stack(pattern=if_set("use_sliding_window", beyond_max_window_layers))),
    Family("molmo", Stack(feed_forward=feed_forward.half)),
    Family(
        "qwen",
        Stack(feed_forward=feed_forward.half),
        spellings={"head_dim": "kv_channels", "max_position_embeddings": "seq_length"},
    ),
    Family("exaone", spellings={"num_hidden_layers": "num_layers"}),
    Family("jais", spellings={**_N_LAYER, "intermediate_size": "n_inner"}),
    Family("telechat", spellings={**_N_LAYER, "hidden_size": "hidden_size"}),
    Family("step3_text", spellings={"num_key_value_heads": "num_attention_groups"}),
    Family(
        "chatglm",
        Stack(mixers={FULL: attention.chatglm}),
        spellings={
            "num_hidden_layers": "num_layers",
            "head_dim": "kv_channels",
            "intermediate_size": "ffn_hidden_size",
            "vocab_size": "padded_vocab_size",
            "max_position_embeddings": "seq_length",
        },
    ),
    # Layers that differ one by one.
    Family("hunyuan", Stack(mixers={FULL: attention.cross_layer}, feed_forward=feed_forward.beside_dense)),
    Family(
        "openelm",
        Stack(mixers={FULL: attention.openelm}, feed_forward=feed_forward.openelm),
        spellings={"num_hidden_layers": "num_transformer_layers", "hidden_size": "model_dim"},
    ),
    Family("deci", Stack(mixers={FULL: attention.kv_heads_by_layer})),
    Family(
        "nemotron-nas",
        Stack(mixers={FULL: block_configs.attention}, feed_forward=block_configs.feed_forward),
    ),
    # Linear attention.
    Family(
        "minimax_m1 minimax_text_01",
        Stack(pattern=spelled("attn_type_list", {0: LINEAR, 1: FULL}), mixers={LINEAR: recurrence.lightning}),
    ),
    Family(
        "bailing_moe_linear bailing_moe_linear_v2",
        Stack(pattern=_groups_and_rest, mixers={LINEAR: recurrence.lightning}),
    ),
    # Latent attention.
    Family("kimi_k2", Stack(pattern=all_of(FULL), mixers={FULL: latent.latent})),
    # Language models inside others.
    Family("kimi_k3 kimi_vl minimax_vl_01", body=("text_config",)),
    Family("step3_vl", body=("text_config",), body_type="step3_text"),
    Family("deepseek_vl_v2", body=("language_config",), body_type="deepseek_v2"),
    Family("multi_modality", body=("language_config",), body_type="llama"),
    Family(
        "Llama_Nemotron_Nano_VL NVLM_D NemotronH_Nano_VL_V2 eagle_chat h2ovl_chat internvl_chat"
        " ovis ovis2_5 sa2va_chat skywork_chat",
        body=("llm_config",),
    ),
)
