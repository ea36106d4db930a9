"""The facts of `Computation` for towers of images, one row a family (Dosovitskiy et al., arXiv 2010.11929).

Source: transformers 5.23, models/*/modeling_*.py.
"""

from dataclasses import replace

from hubmem.memory.programs.computation import Activation, Computation, Norm, Projection, Rotation

_VIT = Computation(norm=Norm.LAYER, rotation=Rotation.NONE, mlp_input_held=False)
_QWEN_VIT = replace(
    _VIT,
    projection=Projection.VIEWS,
    rotation=Rotation.BOTH_FLOAT32,
    convolved_stream=True,
    own_positions=True,
    positions_float32=True,
    outputs_joined=True,
    embeddings_held=0,
    pixels_cast=True,
)

TOWERS: dict[str, Computation] = {
    "siglip_vision_model": _VIT,
    "idefics3_vision smolvlm_vision": replace(_VIT, pixels_cast=True),
    "clip_vision_model": replace(_VIT, activation=Activation.QUICK_GELU),
    "internvl_vision": replace(
        _VIT,
        pixels_cast=True,
        softmax_float32=False,
        scales_parts=True,
        attention_held=True,
        mlp_input_held=True,
    ),
    "llama4_vision_model": replace(_VIT, rotation=Rotation.COMPLEX),
    "qwen2_vl_vision qwen3_vl_vision qwen3_vl_moe_vision qwen3_5_vision qwen3_5_moe_vision": _QWEN_VIT,
    "glm4v_vision glm4v_moe_vision": replace(_QWEN_VIT, norm=Norm.RMS, convolved_stream=False),
    "qwen2_5_vl_vision": replace(_QWEN_VIT, norm=Norm.RMS),
    "pixtral": replace(_VIT, norm=Norm.RMS, rotation=Rotation.FULL, packed=True),
}
