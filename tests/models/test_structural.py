"""Shapes alone show what most models keep, and agree with the config of every measured one."""

import json
from importlib.resources import files
from typing import Any

import pytest
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.models.mixers import Span
from hubmem.models.structural import architecture_by_shapes, disagreements

from tests.models.architectures import architecture_of
from tests.models.test_sweep import ROWS
from tests.weights.censuses import Row, census_of_rows

READ = [
    pytest.param(row, id=row["name"])
    for row in ROWS
    if "unmeasured" not in row and read_architecture(Config(row["config"])) is not None
]


@pytest.mark.parametrize("row", READ)
def test_headers_and_config_of_a_measured_model_agree(row: dict[str, Any]) -> None:
    assert disagreements(architecture_of(row["config"]), census_of_rows(row["header"])) == ()


@pytest.mark.parametrize("row", [param for param in READ if "@" not in str(param.id)])
def test_what_shapes_show_is_what_the_config_says_but_for_windows(row: dict[str, Any]) -> None:
    shown = architecture_by_shapes("unheard-of", census_of_rows(row["header"]))
    if shown is None:
        return
    stated = architecture_of(row["config"])
    if not stated.generates:
        return
    assert shown.kept(Span(tokens=4)).cached == stated.kept(Span(tokens=4)).cached
    assert shown.kept(Span(tokens=400)).cached >= stated.kept(Span(tokens=400)).cached


def bundled_repos() -> list[str]:
    return sorted(path.name for path in (files("hubmem") / "data" / "snapshots").iterdir())


@pytest.mark.parametrize("name", bundled_repos())
def test_headers_and_config_of_a_bundled_repo_agree(name: str) -> None:
    snapshot = json.loads((files("hubmem") / "data" / "snapshots" / name).read_text(encoding="utf-8"))
    architecture = architecture_of(snapshot["config"])
    assert disagreements(architecture, census_of_rows(snapshot["tensors"])) == ()


LLAMA: list[Row] = [
    ("model.embed_tokens.weight", "BF16", [320, 64]),
    ("model.layers.{0..3}.self_attn.q_proj.weight", "BF16", [64, 64]),
    ("model.layers.{0..3}.self_attn.k_proj.weight", "BF16", [32, 64]),
    ("model.layers.{0..3}.self_attn.v_proj.weight", "BF16", [32, 64]),
    ("model.layers.{0..3}.self_attn.o_proj.weight", "BF16", [64, 64]),
    ("model.layers.{0..3}.mlp.up_proj.weight", "BF16", [128, 64]),
]
FUSED: list[Row] = [
    ("transformer.wte.weight", "BF16", [320, 64]),
    ("transformer.h.{0..3}.attn.qkv_proj.weight", "BF16", [64 + 2 * 32, 64]),
    ("transformer.h.{0..3}.attn.o_proj.weight", "BF16", [64, 64]),
]
LATENT: list[Row] = [
    ("model.embed_tokens.weight", "BF16", [320, 64]),
    ("model.layers.{0..3}.self_attn.kv_a_proj_with_mqa.weight", "BF16", [48, 64]),
    ("model.layers.{0..3}.self_attn.o_proj.weight", "BF16", [64, 64]),
]
MAMBA: list[Row] = [
    ("backbone.embeddings.weight", "BF16", [320, 64]),
    ("backbone.layers.{0..3}.mixer.A_log", "F32", [128, 16]),
    ("backbone.layers.{0..3}.mixer.conv1d.weight", "BF16", [128, 1, 4]),
]
STATE_OF_UNKNOWN_SIZE: list[Row] = [
    ("backbone.embeddings.weight", "BF16", [320, 64]),
    ("backbone.layers.{0..3}.mixer.A_log", "F32", [8]),
    ("backbone.layers.{0..3}.mixer.conv1d.weight", "BF16", [160, 1, 4]),
]


@pytest.mark.parametrize(
    ("tensors", "nbytes"),
    [
        pytest.param(LLAMA, 4 * 10 * (32 + 32) * 2, id="keys and values apart"),
        pytest.param(FUSED, 4 * 10 * (32 + 32) * 2, id="keys and values in one projection with queries"),
        pytest.param(LATENT, 4 * 10 * 48 * 2, id="a latent vector"),
        pytest.param(MAMBA, 4 * 128 * (4 * 2 + 16 * 4), id="a state space"),
    ],
)
def test_the_cache_of_an_unknown_type_at_10_tokens(tensors: list[Row], nbytes: int) -> None:
    shown = architecture_by_shapes("unheard-of", census_of_rows(tensors))
    assert shown is not None
    assert shown.kept(Span(tokens=10)).nbytes(cache_bits=16, model_bits=16) == nbytes
    assert (shown.vocab_size, shown.hidden_size, len(shown.layers)) == (320, 64, 4)


def test_a_state_whose_size_shapes_do_not_show_is_not_guessed() -> None:
    assert architecture_by_shapes("unheard-of", census_of_rows(STATE_OF_UNKNOWN_SIZE)) is None


CONFIG = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 4, "vocab_size": 320,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"num_hidden_layers": 5}, "The config says 5 layers, the tensors lie in 4."),
        ({"num_key_value_heads": 4}, "The config says keys of 64 elements, layer 0's tensors have 32."),
        ({"intermediate_size": 256}, "The config says an MLP width of 256, layer 0's tensors have 128."),
        ({"vocab_size": 400}, "The config says 400 tokens, the embedding has 320."),
    ],
)
def test_a_config_that_the_shapes_contradict_is_reported(changed: dict[str, int], sentence: str) -> None:
    assert sentence in disagreements(architecture_of({**CONFIG, **changed}), census_of_rows(LLAMA))
    assert disagreements(architecture_of(CONFIG), census_of_rows(LLAMA)) == ()


def test_a_draft_layer_behind_the_model_s_own_is_none_of_them() -> None:
    """DeepSeek-V3 numbers it on; its tensors are told as draft weights, its correction biases as buffers."""
    draft: list[Row] = [
        ("model.layers.4.eh_proj.weight", "BF16", [64, 128]),
        ("model.layers.4.mlp.gate.e_score_correction_bias", "F32", [8]),
    ]
    assert disagreements(architecture_of(CONFIG), census_of_rows([*LLAMA, *draft])) == ()
