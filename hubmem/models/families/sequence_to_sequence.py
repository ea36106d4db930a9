"""Encoders and decoders side by side, the decoder with attention across."""

from dataclasses import replace

from hubmem.models import attention, feed_forward
from hubmem.models.attention import of_heads, with_cross
from hubmem.models.family import Family
from hubmem.models.patterns import FULL, SLIDING, all_of, every
from hubmem.models.stack import Stack, count_of

_BART_ENCODER = Stack(
    count=count_of("encoder_layers"),
    pattern=all_of(FULL),
    mixers={FULL: of_heads("encoder_attention_heads")},
    feed_forward=feed_forward.of_width("encoder_ffn_dim"),
)
_BART_DECODER = Stack(
    count=count_of("decoder_layers"),
    pattern=all_of(FULL),
    mixers={FULL: with_cross(of_heads("decoder_attention_heads"))},
    feed_forward=feed_forward.of_width("decoder_ffn_dim"),
)
_T5_ENCODER = Stack(pattern=all_of(FULL), mixers={FULL: of_heads("num_heads")}, feed_forward=feed_forward.t5)
_T5_DECODER = Stack(
    count=count_of("num_decoder_layers", "num_hidden_layers"),
    pattern=all_of(FULL),
    mixers={FULL: with_cross(of_heads("num_heads"))},
    feed_forward=feed_forward.t5,
)

SEQUENCE_TO_SEQUENCE: tuple[Family, ...] = (
    Family(
        "bart bigbird_pegasus blenderbot blenderbot-small fsmt led m2m_100 marian mbart mvp"
        " pegasus pegasus_x plbart seamless_m4t seamless_m4t_v2 speech_to_text speecht5 whisper",
        _BART_DECODER,
        encoder=_BART_ENCODER,
    ),
    Family(
        "longt5 mt5 t5 udop umt5",
        _T5_DECODER,
        encoder=_T5_ENCODER,
        tied=True,
    ),
    # The head is not among the `_tied_weights_keys` of its class.
    Family("pop2piano", _T5_DECODER, encoder=_T5_ENCODER, has_own_head=True),
    Family(
        "nllb-moe",
        replace(_BART_DECODER, feed_forward=feed_forward.stepped("decoder_sparse_step", "decoder_ffn_dim")),
        encoder=replace(
            _BART_ENCODER, feed_forward=feed_forward.stepped("encoder_sparse_step", "encoder_ffn_dim")
        ),
    ),
    Family(
        "switch_transformers",
        replace(_T5_DECODER, feed_forward=feed_forward.switch),
        encoder=_T5_ENCODER,
        tied=True,
    ),
    Family(
        "prophetnet",
        Stack(
            count=count_of("num_decoder_layers"),
            mixers={FULL: with_cross(of_heads("num_decoder_attention_heads"))},
            feed_forward=feed_forward.of_width("decoder_ffn_dim"),
        ),
        encoder=Stack(
            count=count_of("num_encoder_layers"),
            mixers={FULL: of_heads("num_encoder_attention_heads")},
            feed_forward=feed_forward.of_width("encoder_ffn_dim"),
        ),
    ),
    Family(
        "moonshine",
        Stack(
            count=count_of("decoder_num_hidden_layers"),
            mixers={FULL: with_cross(of_heads("decoder_num_attention_heads"))},
        ),
        encoder=Stack(
            count=count_of("encoder_num_hidden_layers"),
            mixers={FULL: of_heads("encoder_num_attention_heads")},
            feed_forward=feed_forward.plain,
        ),
    ),
    Family("pp_formulanet_text", _BART_DECODER),
    # Decoders beside an encoder of another kind, described in a config of its own.
    Family(
        "canary_decoder cohere_asr",
        Stack(mixers={FULL: with_cross(attention.full)}, feed_forward=feed_forward.plain),
    ),
    Family("moonshine_streaming", Stack(mixers={FULL: with_cross(attention.full)})),
    Family("dia_decoder", Stack(mixers={FULL: attention.dia})),
    Family(
        "musicgen_decoder musicgen_melody_decoder",
        Stack(mixers={FULL: with_cross(attention.full)}, feed_forward=feed_forward.plain),
    ),
    Family(
        "pix2struct_text_model",
        Stack(mixers={FULL: with_cross(of_heads("num_heads"))}),
    ),
    Family(
        "t5_gemma_module",
        Stack(
            pattern=every(2, FULL, SLIDING),
            mixers={FULL: with_cross(attention.full), SLIDING: with_cross(attention.sliding)},
        ),
    ),
    Family(
        "t5gemma2_decoder",
        Stack(
            pattern=every("sliding_window_pattern", FULL, SLIDING),
            mixers={FULL: with_cross(attention.full), SLIDING: with_cross(attention.sliding)},
        ),
    ),
    # A decoder beside a vision encoder.
    Family(
        "trocr",
        Stack(
            count=count_of("decoder_layers"),
            mixers={FULL: of_heads("decoder_attention_heads")},
            feed_forward=feed_forward.of_width("decoder_ffn_dim"),
        ),
    ),
)
