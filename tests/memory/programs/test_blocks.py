"""Layers against what is known of them by hand: bytes a token that autograd keeps."""

from dataclasses import replace

import pytest
from hubmem.memory.programs.attention import Mask
from hubmem.memory.programs.block import Block
from hubmem.memory.programs.blocks import trace_layer
from hubmem.memory.programs.computation import Activation, Computation, Norm, Projection, Residual, Rotation
from hubmem.memory.programs.scans import Recurrence
from hubmem.memory.programs.tape import Adapters, Arithmetic, Extent
from hubmem.models.architecture import Dense, Experts
from hubmem.models.mixers import Attention

H, Q, K, F, A = 4096, 4096, 1024, 14336, 32
LLAMA_3_8B = Block(
    computation=Computation(),
    hidden=H,
    mixer=Attention(heads=A, kv_heads=8, key_dim=128, value_dim=128),
    part=Dense(width=F, gated=True),
)
BF16 = Arithmetic(itemsize=2, trains=True, base_trains=True)
FP32 = Arithmetic(itemsize=4, trains=True, base_trains=True)
AMP = Arithmetic(itemsize=4, autocast=True, trains=True, base_trains=True)
LORA = Arithmetic(
    itemsize=2, trains=True, adapters=Adapters(rank=16, itemsize=2, targets=frozenset({"none"}))
)


PER_TOKEN = (Extent.TOKENS, Extent.STREAM)


def _kept(block: Block, arithmetic: Arithmetic, *extents: Extent) -> int:
    return sum(s.each for s in trace_layer(block, arithmetic).kept if s.extent in (extents or PER_TOKEN))


@pytest.mark.parametrize(
    ("arithmetic", "each"),
    [
        (BF16, 16 * H + 2 * (2 * Q + 2 * K) + 8 * F + 4 * A + 8),
        (AMP, 26 * H + 4 * (Q + K) + 8 * F + 4 * A + 8),
        (LORA, 8 * H + 2 * (2 * Q + 2 * K) + 6 * F + 4 * A + 8),
    ],
    ids=["bf16", "autocast", "frozen bf16"],
)
def test_llama_3_8b_keeps_so_many_bytes_a_token_and_layer(arithmetic: Arithmetic, each: int) -> None:
    assert _kept(LLAMA_3_8B, arithmetic) == each


def test_in_float32_the_kernel_takes_ungrouped_heads_only() -> None:
    llama_2 = replace(LLAMA_3_8B, mixer=Attention(heads=A, kv_heads=A, key_dim=128, value_dim=128))
    assert _kept(llama_2, FP32) == 24 * H + 8 * (Q + Q) + 16 * F + 4 * A + 8
    assert _kept(LLAMA_3_8B, FP32, Extent.PAIRS) == 4 * A


def test_llama_3_8b_in_bf16_keeps_the_traced_200_840_bytes() -> None:
    assert _kept(LLAMA_3_8B, BF16) == 200_840


def test_the_residual_stream_and_what_norms_keep_is_what_sequence_parallel_ranks_share() -> None:
    assert _kept(LLAMA_3_8B, BF16, Extent.STREAM) == 16 * H + 8


def test_a_layer_scale_keeps_what_it_scales() -> None:
    scaled = replace(LLAMA_3_8B, computation=Computation(scales_parts=True))
    assert _kept(scaled, BF16) - _kept(LLAMA_3_8B, BF16) == 2 * 2 * H
    assert _kept(scaled, LORA) == _kept(LLAMA_3_8B, LORA)


def test_eager_attention_keeps_six_bytes_a_score() -> None:
    assert _kept(replace(LLAMA_3_8B, eager=True, mask=Mask.ADDITIVE), BF16, Extent.PAIRS) == 6 * A


def test_dropout_keeps_a_byte_a_score_more_and_the_result() -> None:
    computation = replace(LLAMA_3_8B.computation, attention_dropout=True)
    block = replace(LLAMA_3_8B, computation=computation, eager=True, mask=Mask.ADDITIVE)
    assert _kept(block, BF16, Extent.PAIRS) == (4 + 1 + 2) * A


def test_a_padded_batch_keeps_an_additive_mask_in_every_layer() -> None:
    assert _kept(replace(LLAMA_3_8B, mask=Mask.BOOLEAN), BF16, Extent.PAIRS) == 2


def test_autocast_keeps_every_linear_weight_in_bf16() -> None:
    weights = 2 * Q * H + 2 * K * H + 3 * F * H
    assert _kept(LLAMA_3_8B, AMP, Extent.ONCE) == 2 * weights


@pytest.mark.parametrize(
    ("activation", "widths"),
    [(Activation.FUSED, 4), (Activation.RELU, 2), (Activation.GELU_NEW, 10)],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_mlp_without_a_gate_keeps_what_its_function_needs(activation: Activation, widths: int) -> None:
    computation = replace(LLAMA_3_8B.computation, activation=activation)
    wide, narrow = (
        _kept(replace(LLAMA_3_8B, computation=computation, part=Dense(width=f, gated=False)), BF16)
        for f in (2 * F, F)
    )
    assert wide - narrow == widths * F


@pytest.mark.parametrize(
    ("norm", "each"),
    [(Norm.RMS, 4 + 2), (Norm.RMS_FLOAT32, 4 + 4), (Norm.LAYER, 2)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_norm_keeps_its_input_as_it_was_computed(norm: Norm, each: int) -> None:
    computation = replace(LLAMA_3_8B.computation, norm=norm)
    wide, narrow = (_kept(replace(LLAMA_3_8B, computation=computation, hidden=h), BF16) for h in (2 * H, H))
    # Two norms, and the norms' outputs, which the projections and the MLP keep.
    assert wide - narrow == 2 * (each + 2) * H


def test_views_of_one_projection_keep_all_of_it() -> None:
    fused = replace(LLAMA_3_8B.computation, projection=Projection.VIEWS, rotation=Rotation.PARTIAL)
    # The values' storage is that of queries and keys too; the output lies head by head until it is copied.
    assert _kept(replace(LLAMA_3_8B, computation=fused), BF16) == 200_840 + 2 * (Q + K) + 2 * Q


def test_grouped_experts_keep_what_each_choice_goes_through() -> None:
    k, w = 2, 1024
    part = Experts(count=8, active=k, width=w, shared_width=0, gated=True)
    kept = _kept(replace(LLAMA_3_8B, part=part), BF16) - _kept(LLAMA_3_8B, BF16)
    # In the place of the dense part, of which four tensors are kept; the router keeps their input and its scores.
    assert kept == k * (2 * H + 2 * 2 * w + 2 * w + 2 * w + 2 * H + 2) + 8 * 2 - 8 * F


def test_a_layer_without_a_feed_forward_part_has_one_norm() -> None:
    """Its norm's 6 bytes, the norm's output and the projections of attention; no second half."""
    alone = _kept(replace(LLAMA_3_8B, part=None), BF16)
    assert _kept(LLAMA_3_8B, BF16) - alone == 8 * F + (6 + 2) * H + 4


def test_a_state_space_keeps_what_it_projects_convolves_and_gates() -> None:
    inner = 2 * H
    mixer = Recurrence(projected=2 * inner, inner=inner)
    kept = _kept(replace(LLAMA_3_8B, mixer=mixer, part=None), BF16)
    assert kept == (6 + 2) * H + 4 + 2 * 2 * inner + 3 * 2 * inner


def test_one_norm_and_no_feed_forward_part_is_not_taken_for_parts_side_by_side() -> None:
    computation = replace(LLAMA_3_8B.computation, residual=Residual.PARALLEL)
    mixer = Recurrence(projected=4 * H, inner=2 * H)
    block = replace(LLAMA_3_8B, mixer=mixer, part=None)
    assert _kept(replace(block, computation=computation), BF16) == _kept(block, BF16)
