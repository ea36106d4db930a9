"""What is held from the first moment to the last, beside what the plans of whole models say of it."""

from dataclasses import replace

import pytest
from hubmem.memory.plan import Basis
from hubmem.memory.programs.computation import Tables
from hubmem.memory.sharding import ranks
from hubmem.memory.static import compute_dtype, tables_term, weights_terms
from hubmem.memory.workload import Workload

from tests.memory.models import llama
from tests.weights.censuses import census_of

LLAMA, TENSORS = llama(layers=3)


@pytest.mark.parametrize(
    ("held_in", "stored", "configured", "computed_in"),
    [
        ("fp32", "F16", "BF16", "F32"),
        (None, "F16", "BF16", "F16"),
        (None, None, "F16", "F16"),
        (None, "U8", "F16", "F16"),
        (None, "F8_E4M3", "F16", "F16"),
        ("int8", None, "F16", "F16"),
        (None, None, None, "BF16"),
    ],
)
def test_activations_have_the_first_wide_float_of_the_weights_the_files_and_the_config(
    held_in: str | None, stored: str | None, configured: str | None, computed_in: str
) -> None:
    architecture = replace(LLAMA, dtype=configured)
    assert compute_dtype(architecture, Workload(weight_dtype=held_in), stored).name == computed_in


def test_of_unknown_layers_only_the_files_say_the_dtype() -> None:
    assert compute_dtype(None, Workload(), "F32").name == "F32"


def test_saved_buffers_are_held_beside_the_weights_and_not_among_them() -> None:
    tensors = census_of(
        {"model.layers.0.mlp.up_proj.weight": (4, 8), "model.layers.0.attn.rotary_emb.inv_freq": (6,)}
    )
    (rank,) = ranks(None, tensors, Workload())
    weights, buffers = weights_terms(tensors, Workload(), rank)
    assert (weights.name, weights.nbytes) == ("weights", 2 * 4 * 8)
    assert (buffers.name, buffers.nbytes) == ("buffers", 2 * 6)


def test_a_model_without_buffers_has_no_term_for_them() -> None:
    (rank,) = ranks(LLAMA, TENSORS, Workload())
    assert [term.name for term in weights_terms(TENSORS, Workload(), rank)] == ["weights"]


def test_weights_are_measured_as_long_as_they_are_neither_divided_nor_converted() -> None:
    def basis(workload: Workload) -> Basis:
        rank = next(ranks(LLAMA, TENSORS, workload))
        return weights_terms(TENSORS, workload, rank)[0].basis

    assert basis(Workload()) is Basis.MEASURED
    assert basis(Workload(tp=2)) is Basis.DERIVED
    assert basis(Workload(weight_dtype="bf16")) is Basis.DERIVED


def test_converted_weights_are_as_wide_as_they_are_held_and_say_where_their_shapes_are_from() -> None:
    (rank,) = ranks(LLAMA, TENSORS, Workload())
    (converted,) = weights_terms(TENSORS, Workload(weight_dtype="fp32"), rank)
    (as_stored,) = weights_terms(TENSORS, Workload(), rank)
    assert converted.nbytes == 2 * as_stored.nbytes == 4 * TENSORS.parameters
    assert as_stored.source == "safetensors headers"
    assert converted.source == "shapes from safetensors headers; layout of fp32"


def test_a_divided_model_s_weights_say_over_how_many_devices() -> None:
    def formula(workload: Workload) -> str:
        return weights_terms(TENSORS, workload, next(ranks(LLAMA, TENSORS, workload)))[0].formula

    assert "divided" not in formula(Workload())
    assert formula(Workload(tp=2)).endswith("divided over 2 devices")


@pytest.mark.parametrize(
    ("tables", "nbytes"),
    [
        (Tables.MASK, 10**2),
        (Tables.MASK_EACH, 3 * 10**2),
        (Tables.SINES, 10 * LLAMA.hidden_size * 2),
        (Tables.SINES_EACH, 3 * 10 * 64 * 4),
    ],
)
def test_tables_are_of_all_positions_and_once_a_layer_where_each_makes_its_own(
    tables: Tables, nbytes: int
) -> None:
    (term,) = tables_term(replace(LLAMA, max_context=10), tables, 2)
    assert (term.nbytes, term.basis) == (nbytes, Basis.DERIVED)


@pytest.mark.parametrize(("context", "tables"), [(10, Tables.NONE), (None, Tables.MASK)])
def test_without_tables_or_a_limit_of_positions_nothing_is_made(context: int | None, tables: Tables) -> None:
    assert tables_term(replace(LLAMA, max_context=context), tables, 2) == ()
