"""Encoders and decoders side by side, the decoder with attention across."""

from hubmem.models import attention, feed_forward
from hubmem.models.family import Family
from hubmem.models.patterns import FULL, all_of
from hubmem.models.stack import Stack

_BART_ENCODER = Stack(
    count=("encoder_layers",),
    pattern=all_of(FULL),
    mixers={FULL: attention.of_heads("encoder_attention_heads")},
    feed_forward=feed_forward.two_matrices("encoder_ffn_dim"),
)
_BART_DECODER = Stack(
    count=("decoder_layers",),
    pattern=all_of(FULL),
    mixers={FULL: attention.with_cross("decoder_attention_heads")},
    feed_forward=feed_forward.two_matrices("decoder_ffn_dim"),
)
_T5_ENCODER = Stack(
    pattern=all_of(FULL), mixers={FULL: attention.of_heads("num_heads")}, feed_forward=feed_forward.t5
)
_T5_DECODER = Stack(
    count=("num_decoder_layers", "num_hidden_layers"),
    pattern=all_of(FULL),
    mixers={FULL: attention.with_cross("num_heads")},
    feed_forward=feed_forward.t5,
)

SEQUENCE_TO_SEQUENCE: tuple[Family, ...] = (
    Family("bart mbart pegasus whisper", _BART_DECODER, encoder=_BART_ENCODER),
    Family("t5 mt5", _T5_DECODER, encoder=_T5_ENCODER, tied=True),
)
