"""The facts of `Computation` for encoders, alone and beside a decoder, one row a family.

Source: transformers 5.23, models/*/modeling_*.py; defaults of dropout in configuration_*.py.
"""

from dataclasses import replace

from hubmem.memory.programs.computation import (
    Activation,
    Computation,
    DistanceBias,
    Norm,
    Projection,
    Residual,
    Rotation,
    Scores,
    Tables,
)

_BERT = Computation(
    norm=Norm.LAYER,
    residual=Residual.AFTER_SUM,
    rotation=Rotation.NONE,
    softmax_float32=False,
    dropout=True,
    attention_dropout=True,
    logits_float32=False,
    embedding_norm=True,
    embedding_dropout=True,
    mlm_transform=True,
)
_NAMED = replace(_BERT, fused_kernels=False, scores=Scores.NAMED)
_T5 = Computation(
    norm=Norm.RMS_T5,
    rotation=Rotation.NONE,
    activation=Activation.RELU,
    softmax_float32=False,
    dropout=True,
    attention_dropout=True,
    inner_dropout=True,
    embedding_dropout=True,
    output_dropout=True,
    distance_bias=DistanceBias.SHARED,
    down_float32=True,
    logits_float32=False,
)
_BART = Computation(
    norm=Norm.LAYER,
    residual=Residual.AFTER_SUM,
    rotation=Rotation.NONE,
    softmax_float32=False,
    dropout=True,
    embedding_norm=True,
    embedding_dropout=True,
    logits_float32=False,
    embeddings_held=2,
)

ENCODERS: dict[str, Computation] = {
    "bert roberta xlm-roberta electra camembert": _BERT,
    "distilbert": replace(_BERT, dropout=False, mlp_dropout=True),
    "albert": replace(
        _BERT,
        activation=Activation.GELU_NEW,
        dropout=False,
        attention_dropout=False,
        embedding_dropout=False,
        embeddings_held=0,
    ),
    "deberta-v2": replace(
        _BERT, fused_kernels=False, by_head=True, scores=Scores.DISENTANGLED, layers_held=True
    ),
    "mpnet": replace(_NAMED, distance_bias=DistanceBias.REPEATED),
    "megatron-bert": replace(_NAMED, residual=Residual.PRE, embedding_norm=False),
    "rembert": replace(_NAMED, returns_probabilities=True),
    "nomic_bert gte jina_embeddings_v3": replace(_BERT, rotation=Rotation.FULL, attention_held=True),
    "modernbert": Computation(
        norm=Norm.LAYER,
        projection=Projection.VIEWS,
        rotation=Rotation.EACH_FLOAT32,
        fused_gate=True,
        window_positions=True,
        embedding_norm=True,
        mlm_transform=True,
    ),
    "t5 mt5": _T5,
    "umt5": replace(_T5, distance_bias=DistanceBias.EACH),
    "t5gemma": Computation(
        norm=Norm.RMS_FLOAT32,
        residual=Residual.SANDWICH,
        fused_kernels=False,
        softcap=True,
        dropout=True,
        embedding_dropout=True,
        output_dropout=True,
        logits_softcap=True,
    ),
    "bart plbart": _BART,
    "blenderbot-small": replace(_BART, embeddings_held=1, learned_positions=True),
    "mvp": replace(_BART, fused_kernels=False),
    "marian": replace(
        _BART,
        embedding_norm=False,
        embeddings_held=1,
        learned_positions=True,
        frozen=("embed_positions.weight",),
    ),
    "whisper": replace(
        _BART,
        residual=Residual.PRE,
        by_head=True,
        query_scaled=True,
        embedding_norm=False,
        embeddings_held=1,
        convolved_input=True,
        frozen=("encoder.embed_positions.weight",),
    ),
    "mbart": replace(_BART, residual=Residual.PRE),
    "m2m_100 nllb-moe seamless_m4t seamless_m4t_v2": replace(
        _BART, residual=Residual.PRE, embedding_norm=False, tables=Tables.SINES
    ),
    "blenderbot": replace(
        _BART, residual=Residual.PRE, embedding_norm=False, embeddings_held=1, learned_positions=True
    ),
    "pegasus": replace(
        _BART,
        residual=Residual.PRE,
        embedding_norm=False,
        embeddings_held=1,
        learned_positions=True,
        frozen=("embed_positions.weight",),
    ),
}
