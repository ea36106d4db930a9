"""Encoders, and encoders that can be made decoders."""

from hubmem.models import attention, feed_forward
from hubmem.models.family import Family, as_decoder, never
from hubmem.models.patterns import FULL
from hubmem.models.stack import Stack

_BERT = Stack(mixers={FULL: attention.maybe_with_cross}, feed_forward=feed_forward.plain)

ENCODERS: tuple[Family, ...] = (
    Family(
        "bert roberta megatron-bert camembert xlm-roberta xlm-roberta-xl electra", _BERT, generates=as_decoder
    ),
    Family("gpt2 gpt-sw3", _BERT),
    Family("albert distilbert", _BERT, generates=never),
)
