import pytest
from hubmem.errors import UsageError
from hubmem.memory.adapters import adapt

from tests.memory.models import census, llama

_, LLAMA_3_8B = llama(layers=32, hidden=4096, heads=32, mlp=14336)
BERT = census(
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
