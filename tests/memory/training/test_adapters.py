"""Which matrices get an adapter, and how many parameters it has."""

import pytest
from hubmem.errors import UsageError
from hubmem.memory.programs.mlp import EXPERTS_DOWN, EXPERTS_GATE_UP
from hubmem.memory.training.adapters import adapt, adapter_shapes, place_of
from hubmem.weights.census import Census

from tests.memory.models import llama
from tests.weights.censuses import census_of

_, LLAMA_3_8B = llama(layers=32, hidden=4096, heads=32, mlp=14336)
BERT = census_of(
    {
        f"bert.encoder.layer.{i}.{name}.weight": shape
        for i in range(2)
        for name, shape in {
            "attention.self.query": (64, 64),
            "attention.self.key": (64, 64),
            "attention.self.value": (64, 64),
            "attention.output.dense": (64, 64),
            "intermediate.dense": (256, 64),
            "output.dense": (64, 256),
        }.items()
    }
)
# Two layers, four experts of width 32 and a shared one in each.
_BESIDE_EXPERTS = {
    "self_attn.q_proj.weight": (64, 64),
    "mlp.gate.weight": (4, 64),
    "mlp.shared_expert.up_proj.weight": (128, 64),
    "mlp.shared_expert_gate.weight": (1, 64),
}
_APART = {
    f"mlp.experts.{expert}.{name}.weight": shape
    for expert in range(4)
    for name, shape in {"gate_proj": (32, 64), "up_proj": (32, 64), "down_proj": (64, 32)}.items()
}
_IN_ONE = {"mlp.experts.gate_up_proj": (4, 64, 64), "mlp.experts.down_proj": (4, 64, 32)}
MIXTURE, FUSED_MIXTURE = (
    census_of(
        {
            f"model.layers.{i}.{name}": shape
            for i in (0, 1)
            for name, shape in (_BESIDE_EXPERTS | experts).items()
        }
    )
    for experts in (_APART, _IN_ONE)
)


@pytest.mark.parametrize(
    ("targets", "parameters"),
    [
        ("attention", 13_631_488),
        ("all-linear", 41_943_040),
        ("q_proj,v_proj", 32 * 16 * (4096 + 4096 + 4096 + 1024)),
    ],
)
def test_adapters_of_llama_3_8b_at_rank_16(targets: str, parameters: int) -> None:
    assert adapt(LLAMA_3_8B, targets).parameters(16) == parameters


def test_a_bare_dense_is_not_the_attention_of_bert() -> None:
    assert adapt(BERT, "attention").places == {"q_proj", "k_proj", "v_proj"}


def test_all_linear_layers_of_bert_are_adapted_in_their_places() -> None:
    places = adapt(BERT, "all-linear").places
    assert places == {"q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"}


def test_a_name_that_no_layer_has_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match="'c_attn'") as refused:
        adapt(LLAMA_3_8B, "c_attn")
    assert "q_proj" in refused.value.hint


@pytest.mark.parametrize("tensors", [MIXTURE, FUSED_MIXTURE])
def test_all_linear_layers_of_a_mixture_are_experts_and_router_but_no_shared_expert(tensors: Census) -> None:
    found = adapt(tensors, "all-linear", experts=True)
    assert found.places == {"q_proj", "router", EXPERTS_GATE_UP, EXPERTS_DOWN}
    assert not any("shared_expert." in group.template for group in found.groups)


def test_experts_in_one_parameter_have_as_many_adapters_as_experts_apart() -> None:
    apart, in_one = (
        adapt(tensors, "all-linear", experts=True).parameters(8) for tensors in (MIXTURE, FUSED_MIXTURE)
    )
    beside = (64 + 64) + (4 + 64) + (1 + 64)
    assert apart == in_one == 2 * 8 * (beside + 4 * (2 * (64 + 64) + (64 + 32)))


def test_where_experts_are_no_linear_layers_those_beside_them_are_adapted() -> None:
    templates = {group.template.partition("}.")[2] for group in adapt(MIXTURE, "all-linear").groups}
    assert templates == _BESIDE_EXPERTS.keys() - {"mlp.gate.weight"}


def test_named_layers_of_a_mixture_are_adapted_alone() -> None:
    assert adapt(MIXTURE, "q_proj", experts=True).places == {"q_proj"}


@pytest.mark.parametrize(
    ("name", "shape", "inputs", "outputs"),
    [
        ("attn.c_attn", (64, 192), 64, 192),
        ("mlp.c_fc", (64, 256), 64, 256),
        ("mlp.c_proj", (256, 64), 256, 64),
        ("mlp.fc1", (256, 64), 64, 256),
    ],
)
def test_adapters_stand_between_a_layer_s_inputs_and_outputs_however_gpt_2_lays_its_matrices(
    name: str, shape: tuple[int, int], inputs: int, outputs: int
) -> None:
    (group,) = census_of({f"transformer.h.0.{name}.weight": shape}).groups
    assert adapter_shapes(group, 8) == ((8, inputs), (outputs, 8))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("cls.predictions.transform.dense.weight", "transform"),
        ("model.layers.0.self_attn.unheard_of.weight", "o_proj"),
        ("model.layers.0.mlp.unheard_of.weight", "down_proj"),
    ],
)
def test_a_layer_of_no_known_name_is_placed_by_its_role(name: str, place: str) -> None:
    (group,) = census_of({name: (64, 64)}).groups
    assert place_of(group) == place


def test_of_an_output_head_only_the_layer_before_the_logits_is_adapted() -> None:
    head = census_of(
        {
            "cls.predictions.transform.dense.weight": (64, 64),
            "cls.predictions.decoder.weight": (100, 64),
            "bert.encoder.layer.0.output.dense.weight": (64, 256),
        }
    )
    assert adapt(head, "all-linear").places == {"transform", "down_proj"}
