"""What the weights of a family without a row show."""

import pytest
from hubmem.memory.programs.computation import Computation, Norm, Projection, Residual, Rotation
from hubmem.memory.programs.families import computation_of
from hubmem.memory.programs.reading import embedding_width, read_computation

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
    assert (read.qk_norm, read.residual) == (True, Residual.PRE)


def test_fused_matrices_are_seen_by_their_names() -> None:
    read = _read("self_attn.qkv_proj.weight", "mlp.gate_up_proj.weight")
    assert (read.projection, read.fused_gate) == (Projection.VIEWS, True)


def test_learned_positions_take_the_place_of_rotation() -> None:
    assert read_computation(LLAMA, census_of({"wpe.weight": (128, 64)})).rotation is Rotation.NONE


def test_a_factorized_embedding_is_narrower_than_the_model() -> None:
    assert embedding_width(LLAMA, census_of({"embeddings.word_embeddings.weight": (1000, 16)})) == 16
    assert embedding_width(LLAMA, TENSORS) == 64
