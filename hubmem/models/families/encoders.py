"""Encoders, and encoders that can be made decoders."""

from hubmem.models import attention, feed_forward
from hubmem.models.family import Family, as_decoder, never
from hubmem.models.patterns import FULL, MLP, SLIDING, all_of, every, with_last
from hubmem.models.stack import Stack

_BERT = Stack(mixers={FULL: attention.maybe_with_cross}, feed_forward=feed_forward.plain)

ENCODERS: tuple[Family, ...] = (
    Family(
        "bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert"
        " rembert roberta roberta-prelayernorm roc_bert roformer xlm-roberta xlm-roberta-xl xmod",
        _BERT,
        generates=as_decoder,
    ),
    # The text half of BLIP, always beside an image.
    Family(
        "blip_text_model",
        Stack(mixers={FULL: attention.with_cross(attention.full)}, feed_forward=feed_forward.plain),
        generates=as_decoder,
    ),
    Family("gpt2 gpt-sw3 git", _BERT),
    Family(
        "albert clip_text_model deberta deberta-v2 distilbert dpr esm flava_text_model ibert"
        " jina_embeddings_v3 layoutlm layoutlmv2 layoutlmv3 lilt longformer markuplm mpnet"
        " mra nystromformer siglip2_text_model siglip_text_model splinter squeezebert tapas"
        " tipsv2_text_model visual_bert yoso",
        _BERT,
        generates=never,
    ),
    # The head is not among the `_tied_weights_keys` of its class.
    Family("luke", _BERT, generates=never, has_own_head=True),
    Family(
        "convbert",
        Stack(mixers={FULL: attention.fewer_heads}, feed_forward=feed_forward.plain),
        generates=never,
    ),
    Family(
        "mobilebert",
        Stack(mixers={FULL: attention.in_bottleneck}, feed_forward=feed_forward.plain),
        generates=never,
    ),
    Family("eurobert nomic_bert gte esmc", generates=never),
    Family(
        "modernbert",
        Stack(
            pattern=every("global_attn_every_n_layers", FULL, SLIDING, first=0),
            mixers={SLIDING: attention.modernbert_windowed},
        ),
        generates=never,
    ),
    Family(
        "ultrabert",
        Stack(pattern=every(3, FULL, SLIDING), mixers={SLIDING: attention.full}),
        generates=never,
    ),
    Family(
        "neomme",
        Stack(pattern=with_last(FULL, every(6, FULL, SLIDING)), mixers={SLIDING: attention.full}),
        generates=never,
    ),
    # Fourier transforms in place of attention.
    Family("fnet", Stack(pattern=all_of(MLP), feed_forward=feed_forward.plain), generates=never),
    Family(
        "funnel",
        Stack(
            count=lambda config: sum(config.integers("block_sizes") or ()),
            mixers={FULL: attention.of_heads("n_head")},
            feed_forward=feed_forward.plain,
        ),
        generates=never,
    ),
    Family("dia_encoder", generates=never),
)
