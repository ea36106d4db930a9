"""The facts of `Computation` for each family: one row a family, and a reading of the weights for the others.

Source: transformers 5.23, models/*/modeling_*.py and configuration_*.py (defaults of dropout).
"""

from dataclasses import replace

from hubmem.memory.programs.computation import (
    Activation,
    Computation,
    Norm,
    Projection,
    Residual,
    Rotation,
    Scores,
)
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census
from hubmem.weights.roles import Role

_LLAMA = Computation()
_BERT = Computation(
    norm=Norm.LAYER,
    residual=Residual.AFTER_SUM,
    rotation=Rotation.NONE,
    softmax_float32=False,
    dropout=0.1,
    attention_dropout=0.1,
    logits_float32=False,
    embeddings_held=0,
    embedding_norm=True,
    embedding_dropout=0.1,
    mlm_transform=True,
)

_ROWS: dict[str, Computation] = {
    "llama mistral qwen2 mixtral": _LLAMA,
    "qwen3 qwen3_moe": replace(_LLAMA, qk_norm=True),
    "gemma": replace(_LLAMA, norm=Norm.RMS_FLOAT32),
    "gemma2": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        residual=Residual.SANDWICH,
        fused_kernels=False,
        softcap=True,
        logits_softcap=True,
    ),
    "gemma3 gemma3_text": replace(_LLAMA, norm=Norm.RMS_FLOAT32, residual=Residual.SANDWICH, qk_norm=True),
    "olmo2": replace(_LLAMA, norm=Norm.RMS_FLOAT32, residual=Residual.POST, qk_norm=True),
    "phi3": replace(_LLAMA, projection=Projection.VIEWS, rotation=Rotation.PARTIAL, fused_gate=True),
    "phi": replace(
        _LLAMA,
        norm=Norm.LAYER,
        residual=Residual.PARALLEL,
        rotation=Rotation.PARTIAL_HELD,
        activation=Activation.GELU_NEW,
        dropout=0.1,
    ),
    "starcoder2": replace(_LLAMA, norm=Norm.LAYER, dropout=0.1, attention_dropout=0.1, embedding_dropout=0.1),
    "gpt_neox": Computation(
        norm=Norm.LAYER,
        residual=Residual.PARALLEL_TWO,
        projection=Projection.VIEWS,
        rotation=Rotation.PARTIAL,
    ),
    "gptj": Computation(
        norm=Norm.LAYER,
        residual=Residual.PARALLEL,
        rotation=Rotation.PARTIAL_HELD,
        activation=Activation.GELU_NEW,
        fused_kernels=False,
        scores=Scores.FLOAT32,
        returns_probabilities=True,
    ),
    "gpt2": Computation(
        norm=Norm.LAYER,
        projection=Projection.VIEWS,
        rotation=Rotation.NONE,
        activation=Activation.GELU_NEW,
        softmax_float32=False,
        dropout=0.1,
        attention_dropout=0.1,
        attention_held=True,
        learned_positions=True,
        embedding_dropout=0.1,
    ),
    "opt": Computation(
        norm=Norm.LAYER,
        rotation=Rotation.NONE,
        activation=Activation.RELU,
        dropout=0.1,
        embeddings_held=2,
        query_scaled=True,
        mlp_input_held=False,
    ),
    "bloom": Computation(
        norm=Norm.LAYER,
        projection=Projection.VIEWS,
        rotation=Rotation.NONE,
        activation=Activation.BLOOM_GELU,
        fused_kernels=False,
        scores=Scores.ALIBI,
        returns_probabilities=True,
        embedding_norm=True,
    ),
    "falcon": Computation(
        norm=Norm.LAYER,
        residual=Residual.PARALLEL,
        projection=Projection.COPIES,
        groups_heads=False,
        always_masked=True,
        norms_held=True,
        returns_probabilities=True,
        scores=Scores.IN_PLACE,
        softmax_float32=False,
    ),
    "bert roberta": _BERT,
    "distilbert": replace(_BERT, dropout=0.0, mlp_dropout=0.1),
    "albert": replace(
        _BERT, activation=Activation.GELU_NEW, dropout=0.0, attention_dropout=0.0, embedding_dropout=0.0
    ),
    "t5": Computation(
        norm=Norm.RMS_T5,
        rotation=Rotation.NONE,
        activation=Activation.RELU,
        softmax_float32=False,
        dropout=0.1,
        attention_dropout=0.1,
        inner_dropout=0.1,
        embedding_dropout=0.1,
        output_dropout=0.1,
        gated_activation=Activation.GELU_NEW,
        relative_bias=True,
        logits_float32=False,
    ),
    "deepseek_v2 deepseek_v3": replace(_LLAMA, routing_float32=True),
    "gpt_oss": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        rotation=Rotation.HALVES,
        fused_kernels=False,
        sinks=True,
        softmax_float32=False,
        activation=Activation.CLAMPED_GLU,
    ),
}

_BY_TYPE = {name: row for names, row in _ROWS.items() for name in names.split()}


def computation_of(architecture: Architecture, census: Census) -> Computation:
    """The facts of a family, or what its weights show."""
    row = _BY_TYPE.get(architecture.model_type, _LLAMA)
    if any(True for _ in census.find("ln_mlp.weight")):
        return replace(row, residual=Residual.PARALLEL_TWO)
    return row


def embedding_width(architecture: Architecture, census: Census) -> int:
    """Columns of the token embedding: fewer than the hidden size where it is factorized (ALBERT)."""
    widths = (
        group.shape[1]
        for group in census.groups
        if group.role is Role.EMBEDDING
        and len(group.shape) == 2
        and group.shape[0] == architecture.vocab_size
    )
    return next(widths, architecture.hidden_size)
