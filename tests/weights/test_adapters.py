"""What an adapter's config says of its base, its rank and its targets."""

import json
from typing import Any

import pytest
from hubmem.errors import MalformedConfig
from hubmem.weights.adapters import Adapter, changes, parse_adapter
from hubmem.weights.roles import Role

from tests.weights.censuses import census_of


def test_a_lora_adapter_names_its_base_and_its_modules() -> None:
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "meta-llama/Llama-3.1-8B",
        "revision": None,
        "r": 16,
        "lora_alpha": 32,
        "target_modules": ["v_proj", "q_proj"],
    }
    assert parse_adapter(json.dumps(config)) == Adapter(
        kind="LORA", base="meta-llama/Llama-3.1-8B", base_revision=None, rank=16, targets=("q_proj", "v_proj")
    )


@pytest.mark.parametrize(
    ("targets", "read"), [("all-linear", ("all-linear",)), (None, ()), ([1, "a"], ("a",)), ({}, ())]
)
def test_targets_are_names_or_one_pattern(targets: Any, read: tuple[str, ...]) -> None:
    assert parse_adapter(json.dumps({"target_modules": targets})).targets == read


def test_all_that_an_adapter_s_files_hold_is_its_own() -> None:
    """`modules_to_save` may name the head; prompt tuning trains embeddings."""
    names = [
        "base_model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.lm_head.weight",
        "prompt_embeddings",
    ]
    own = changes(census_of(dict.fromkeys(names, (8, 4)), "F32"))
    assert own.by_role() == {Role.ADAPTER: 3 * 32}


def test_an_adapter_that_says_nothing_is_still_one() -> None:
    assert parse_adapter("{}") == Adapter(
        kind="unknown", base=None, base_revision=None, rank=None, targets=()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected object, got list"),
        ("{", "not valid JSON"),
        ('{"r": "16"}', r"adapter_config\.json: r: expected a positive int, got '16'"),
        ('{"r": 0}', r"adapter_config\.json: r: expected a positive int"),
        ('{"base_model_name_or_path": 1}', r"base_model_name_or_path: expected string, got int"),
    ],
)
def test_a_malformed_adapter_config_is_refused_by_its_key(text: str, message: str) -> None:
    with pytest.raises(MalformedConfig, match=message):
        parse_adapter(text)
