"""The facts of `Computation` for each family, one row a family; encoders and towers have tables of their own.

Source: transformers 5.23, models/*/modeling_*.py; defaults of dropout in configuration_*.py.
"""

from dataclasses import replace

from hubmem.memory.programs.computation import (
    Activation,
    Computation,
    Gate,
    HeadNorms,
    Norm,
    Projection,
    Residual,
    Rotation,
    Routing,
    Scores,
    Sinks,
    Tables,
)
from hubmem.memory.programs.encoders import ENCODERS
from hubmem.memory.programs.reading import read_computation, table_of_positions, with_sizes
from hubmem.memory.programs.switching import switched
from hubmem.memory.programs.towers import TOWERS
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census

_LLAMA = Computation()
_GPT_NEOX = Computation(
    norm=Norm.LAYER,
    residual=Residual.PARALLEL_TWO,
    projection=Projection.VIEWS,
    rotation=Rotation.PARTIAL,
)
_GPT_J = Computation(
    norm=Norm.LAYER,
    residual=Residual.PARALLEL,
    rotation=Rotation.PARTIAL_HELD,
    activation=Activation.GELU_NEW,
    fused_kernels=False,
    scores=Scores.FLOAT32,
    returns_probabilities=True,
    tables=Tables.SINES_EACH,
)
_GPT_2 = Computation(
    norm=Norm.LAYER,
    projection=Projection.VIEWS,
    rotation=Rotation.NONE,
    activation=Activation.GELU_NEW,
    softmax_float32=False,
    dropout=True,
    attention_dropout=True,
    attention_held=True,
    learned_positions=True,
    embedding_dropout=True,
)
_OPT = Computation(
    norm=Norm.LAYER,
    rotation=Rotation.NONE,
    activation=Activation.RELU,
    dropout=True,
    embeddings_held=2,
    query_scaled=True,
    mlp_input_held=False,
)

_ROWS: dict[str, Computation] = {
    "llama mistral eurobert qwen2 smollm3 granite granitemoe seed_oss": _LLAMA,
    "qwen2_moe": replace(_LLAMA, shared_gated=True),
    "ernie4_5": replace(_LLAMA, rotation=Rotation.FULL_FLOAT32),
    "qwen3 qwen3_moe olmoe": replace(_LLAMA, qk_norm=HeadNorms.IN_TURN),
    "hunyuan_v1_dense": replace(_LLAMA, qk_norm=HeadNorms.TOGETHER),
    "mixtral": replace(_LLAMA, routing=Routing.FLOAT32),
    "minimax_m2": replace(
        _LLAMA, qk_norm=HeadNorms.IN_TURN, rotation=Rotation.PARTIAL, routing=Routing.FLOAT32
    ),
    "deepseek_v2": replace(_LLAMA, rotation=Rotation.COMPLEX, router_float32=True, routing=Routing.FLOAT32),
    "deepseek_v3": replace(_LLAMA, router_float32=True),
    "dots1": replace(_LLAMA, qk_norm=HeadNorms.IN_TURN, router_float32=True),
    "ernie4_5_moe": replace(
        _LLAMA, rotation=Rotation.FULL_FLOAT32, router_float32=True, routing=Routing.LAYER
    ),
    "glm4_moe": replace(_LLAMA, rotation=Rotation.PARTIAL, router_float32=True),
    "aria_text": replace(_LLAMA, routing=Routing.SOFTMAX),
    "afmoe": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        residual=Residual.SANDWICH,
        qk_norm=HeadNorms.TOGETHER,
        routing=Routing.FLOAT32,
        gate=Gate.SEPARATE,
    ),
    "bitnet": replace(_LLAMA, inner_norms=True),
    "phimoe": replace(_LLAMA, norm=Norm.LAYER),
    "helium gemma": replace(_LLAMA, norm=Norm.RMS_FLOAT32),
    "gemma2": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        residual=Residual.SANDWICH,
        fused_kernels=False,
        softcap=True,
        logits_softcap=True,
    ),
    "paligemma": replace(_LLAMA, norm=Norm.RMS_FLOAT32, two_way_images=True),
    "gemma3 gemma3_text": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        two_way_images=True,
        residual=Residual.SANDWICH,
        qk_norm=HeadNorms.TOGETHER,
        window_positions=True,
    ),
    "gemma4_text gemma4_unified_text": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        residual=Residual.SANDWICH,
        qk_norm=HeadNorms.IN_TURN,
        value_norm=Norm.RMS_BARE,
        window_positions=True,
        logits_softcap=True,
        routing=Routing.FLOAT32,
    ),
    "gemma3n_text": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        residual=Residual.OVER_VERSIONS,
        qk_norm=HeadNorms.IN_TURN,
        value_norm=Norm.RMS_BARE,
        window_positions=True,
        logits_softcap=True,
        embeddings_held=5,
        gate_held=True,
    ),
    "olmo": replace(_LLAMA, norm=Norm.LAYER_FLOAT32),
    "olmo2 olmo3": replace(_LLAMA, norm=Norm.RMS_FLOAT32, residual=Residual.POST, qk_norm=HeadNorms.IN_TURN),
    "exaone4": replace(_LLAMA, residual=Residual.POST, qk_norm=HeadNorms.TOGETHER),
    "llama4_text": replace(
        _LLAMA,
        rotation=Rotation.COMPLEX,
        softmax_float32=False,
        qk_norm=HeadNorms.TOGETHER,
        head_norm=Norm.RMS_BARE,
        runs_all_experts=True,
    ),
    "nanochat": replace(
        _LLAMA, norm=Norm.RMS_BARE, activation=Activation.RELU_SQUARED, qk_norm=HeadNorms.TOGETHER
    ),
    "arcee": replace(_LLAMA, activation=Activation.RELU_SQUARED),
    "apertus": replace(_LLAMA, activation=Activation.XIELU, qk_norm=HeadNorms.TOGETHER),
    "nemotron": replace(
        _LLAMA, norm=Norm.LAYER_AUTOCAST, rotation=Rotation.PARTIAL, activation=Activation.RELU_SQUARED
    ),
    "glm": replace(_LLAMA, rotation=Rotation.PARTIAL, fused_gate=True),
    "glm4": replace(_LLAMA, residual=Residual.SANDWICH, rotation=Rotation.PARTIAL, fused_gate=True),
    "phi3": replace(_LLAMA, projection=Projection.VIEWS, rotation=Rotation.PARTIAL, fused_gate=True),
    "phi": replace(
        _LLAMA,
        norm=Norm.LAYER,
        residual=Residual.PARALLEL,
        rotation=Rotation.PARTIAL_HELD,
        activation=Activation.GELU_NEW,
        dropout=True,
    ),
    "stablelm": replace(_LLAMA, norm=Norm.LAYER, rotation=Rotation.PARTIAL_HELD, attention_held=True),
    "cohere cohere2": replace(
        _LLAMA, norm=Norm.LAYER_BY_HAND, residual=Residual.PARALLEL, rotation=Rotation.BOTH_FLOAT32
    ),
    "starcoder2": replace(
        _LLAMA, norm=Norm.LAYER, dropout=True, attention_dropout=True, embedding_dropout=True
    ),
    "persimmon": replace(
        _LLAMA,
        norm=Norm.LAYER,
        projection=Projection.VIEWS,
        rotation=Rotation.PARTIAL_HELD,
        activation=Activation.RELU_SQUARED,
        qk_norm=HeadNorms.TOGETHER,
    ),
    "gpt_oss": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        rotation=Rotation.HALVES,
        fused_kernels=False,
        sinks=Sinks.JOINED,
        softmax_float32=False,
        activation=Activation.CLAMPED_GLU,
    ),
    "mimo_v2_flash": replace(
        _LLAMA,
        rotation=Rotation.PARTIAL,
        fused_kernels=False,
        sinks=Sinks.REPLACING,
        softmax_float32=False,
        router_float32=True,
    ),
    "granite_swa": replace(_LLAMA, fused_kernels=False, sinks=Sinks.SCALING),
    "granitemoe_swa": replace(_LLAMA, fused_kernels=False, sinks=Sinks.SCALING, routing=Routing.LAYER),
    "qwen3_next qwen3_5_text qwen3_5_moe_text": replace(
        _LLAMA,
        norm=Norm.RMS_FLOAT32,
        rotation=Rotation.PARTIAL,
        qk_norm=HeadNorms.IN_TURN,
        gate=Gate.WITH_QUERIES,
        shared_gated=True,
    ),
    "gpt_neox": _GPT_NEOX,
    "gptj": _GPT_J,
    "codegen": replace(_GPT_J, projection=Projection.VIEWS),
    "gpt_neo": replace(
        _GPT_J, residual=Residual.PRE, rotation=Rotation.NONE, learned_positions=True, tables=Tables.MASK_EACH
    ),
    "gpt2": _GPT_2,
    "openai-gpt": replace(_GPT_2, residual=Residual.AFTER_SUM, fused_kernels=False, attention_held=False),
    "gpt_bigcode": replace(_GPT_2, activation=Activation.FUSED, softmax_float32=True, tables=Tables.MASK),
    "opt": _OPT,
    "xglm": replace(
        _OPT,
        activation=Activation.FUSED,
        attention_dropout=True,
        fused_kernels=False,
        scores=Scores.CLAMPED,
        softmax_float32=False,
    ),
    "biogpt": replace(_OPT, activation=Activation.FUSED, attention_dropout=True, softmax_float32=False),
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
    "mpt": Computation(
        norm=Norm.LAYER,
        projection=Projection.VIEWS,
        rotation=Rotation.NONE,
        fused_kernels=False,
        returns_probabilities=True,
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
}

# Mixtures whose experts were linear layers in transformers 4: peft still takes them, and routers, for such.
# Source: peft 0.21, utils/transformers_weight_conversion.py, _MODEL_TO_CONVERSION_PATTERN.
_ADAPTED_EXPERTS = frozenset({
    "afmoe", "beam", "cohere2_moe", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots1", "ernie4_5_moe",
    "exaone_moe", "flex_olmo", "glm4_moe", "glm4_moe_lite", "glm4v_moe", "glm_moe_dsa", "hunyuan_v1_moe",
    "longcat_flash", "mellum", "minimax", "minimax_m2", "mixtral", "olmoe", "qwen3_moe", "qwen3_next",
    "qwen3_omni_moe", "solar_open",
})  # fmt: skip

_BY_TYPE = {name: row for names, row in {**_ROWS, **ENCODERS, **TOWERS}.items() for name in names.split()}


def computation_of(architecture: Architecture | None, census: Census) -> Computation:
    """The facts of a family, or what its weights show where it has no row, as its config switches them.

    As most models compute, where the layers are not known.
    """
    if architecture is None:
        return Computation()
    types = (architecture.model_type, architecture.switches.model_type)
    row = next((_BY_TYPE[name] for name in types if name in _BY_TYPE), None)
    if row is None:
        row = read_computation(architecture, census)
    elif row.scores is Scores.DISENTANGLED:
        row = replace(row, relative_positions=table_of_positions(census))
    # Falcon's second generation has a norm for each of the two parts that run side by side.
    elif row.norms_held and any(True for _ in census.find("ln_mlp.weight")):
        row = replace(row, residual=Residual.PARALLEL_TWO)
    row = with_sizes(row, census)
    adapted = any(name in _ADAPTED_EXPERTS for name in types)
    return switched(replace(row, adapts_experts=adapted), architecture.switches)
