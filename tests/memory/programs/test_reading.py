"""What the weights of a family without a row show."""

from dataclasses import replace

import pytest
from hubmem.memory.programs.computation import (
    Computation,
    Gate,
    HeadNorms,
    Norm,
    Projection,
    Residual,
    Rotation,
    Scores,
    Sinks,
)
from hubmem.memory.programs.families import computation_of
from hubmem.memory.programs.reading import embedding_width, read_computation
from hubmem.models.switches import Switches

from tests.memory.models import llama
from tests.weights.censuses import census_of

LLAMA, TENSORS = llama(layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, mlp=128, vocabulary=1000)


def _read(*names: str) -> Computation:
    shapes = {f"model.layers.{i}.{name}": (64,) for i in range(2) for name in names}
    return read_computation(LLAMA, census_of(shapes))


def test_llama_reads_as_its_row_says() -> None:
    assert read_computation(LLAMA, TENSORS) == computation_of(LLAMA, TENSORS)


@pytest.mark.parametrize(
    ("norms", "residual"),
    [
        (("input_layernorm", "post_attention_layernorm"), Residual.PRE),
        (("input_layernorm",), Residual.PARALLEL),
        (("post_attention_layernorm", "post_feedforward_layernorm"), Residual.POST),
        (
            (
                "input_layernorm",
                "post_attention_layernorm",
                "pre_feedforward_layernorm",
                "post_feedforward_layernorm",
            ),
            Residual.SANDWICH,
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_norms_stand_where_their_names_say(norms: tuple[str, ...], residual: Residual) -> None:
    assert _read(*(f"{name}.weight" for name in norms)).residual is residual


def test_a_norm_with_a_bias_is_a_layer_norm() -> None:
    assert _read("input_layernorm.weight", "input_layernorm.bias").norm is Norm.LAYER
    assert _read("input_layernorm.weight").norm is Norm.RMS


def test_norms_of_heads_do_not_count_among_a_layers() -> None:
    read = _read("input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.q_norm.weight")
    assert (read.qk_norm, read.residual) == (HeadNorms.IN_TURN, Residual.PRE)


def test_fused_matrices_are_seen_by_their_names() -> None:
    read = _read("self_attn.qkv_proj.weight", "mlp.gate_up_proj.weight")
    assert (read.projection, read.fused_gate) == (Projection.VIEWS, True)


def test_learned_positions_take_the_place_of_rotation() -> None:
    assert read_computation(LLAMA, census_of({"wpe.weight": (128, 64)})).rotation is Rotation.NONE


@pytest.mark.parametrize(
    ("switches", "scores", "fused"),
    [
        (Switches(rotates=False), Scores.ALIBI, False),
        (Switches(rotates=False, numbers_positions=True), Scores.SCALED, False),
        (Switches(attends_to_positions=True), Scores.DISENTANGLED, False),
        (Switches(rotates=True), Scores.SCALED, True),
    ],
    ids=["a bias", "sines", "relative", "rotation"],
)
def test_positions_that_are_nowhere_else_are_in_the_scores(
    switches: Switches, scores: Scores, *, fused: bool
) -> None:
    read = read_computation(replace(LLAMA, switches=switches), TENSORS)
    assert (read.scores, read.fused_kernels) == (scores, fused)


def test_a_softmax_is_upcast_as_the_config_says() -> None:
    read = read_computation(replace(LLAMA, switches=Switches(upcasts_softmax=False)), TENSORS)
    assert not read.softmax_float32


def test_learned_scores_of_heads_are_in_no_kernel() -> None:
    read = _read("self_attn.sinks")
    assert (read.sinks, read.fused_kernels) == (Sinks.JOINED, False)


@pytest.mark.parametrize(
    ("name", "rows", "gate"),
    [
        ("gate_proj", 64, Gate.SEPARATE),
        ("q_proj", 128, Gate.WITH_QUERIES),
        ("q_proj", 64, Gate.NONE),
    ],
)
def test_a_gate_of_attention_is_a_matrix_or_twice_the_queries(name: str, rows: int, gate: Gate) -> None:
    shapes = {f"model.layers.{i}.self_attn.{name}.weight": (rows, 64) for i in range(2)}
    assert read_computation(LLAMA, census_of(shapes)).gate is gate


def test_fused_experts_are_no_fused_gate_of_dense_parts() -> None:
    shapes = {f"model.layers.{i}.mlp.experts.gate_up_proj": (8, 256, 64) for i in range(2)}
    assert not read_computation(LLAMA, census_of(shapes)).fused_gate


def test_a_factorized_embedding_is_narrower_than_the_model() -> None:
    assert embedding_width(LLAMA, census_of({"embeddings.word_embeddings.weight": (1000, 16)})) == 16
    assert embedding_width(LLAMA, TENSORS) == 64
