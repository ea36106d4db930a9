"""Configs that contradict their format: each is refused by name, or means what it says, and soon."""

import json
import re
import time
from typing import Any

import pytest
from hubmem.cli import main

from tests.untrusted.models import CONFIG, write_model


def config(**changes: Any) -> str:
    return json.dumps({**CONFIG, **changes})


def nested(key: str, depth: int) -> str:
    return '{"model_type": "llama", "x": ' + f'{{"{key}": ' * depth + "1" + "}" * depth + "}"


REFUSED = {
    "an array 100,000 deep": ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "objects 20,000 deep": (nested("text_config", 20_000), "nested too deeply"),
    "a number of 5,000 digits": (
        '{"model_type": "llama", "hidden_size": ' + "9" * 5000 + "}",
        "not valid JSON",
    ),
    "a number of 300 digits": (config(hidden_size=10**300), "hidden_size: .* out of range"),
    "2^53 layers": (config(num_hidden_layers=2**53 - 1), "num_hidden_layers: .* out of range"),
    "a million layers": (config(num_hidden_layers=10**6), "num_hidden_layers: .* out of range"),
    "a million kinds of layers": (
        config(layer_types=["full_attention"] * 10**6),
        "layer_types: lists 1000000",
    ),
    "not a number": (config(hidden_size=float("nan")), "hidden_size: expected int, got number NaN"),
    "infinity": (config(hidden_size=float("inf")), "hidden_size: expected int, got number Infinity"),
    "a number past any float": ('{"model_type": "llama", "hidden_size": 1e999}', "hidden_size: expected int"),
    "less than nothing": (config(hidden_size=-64), "hidden_size: expected a positive number, got -64"),
    "no heads": (config(num_attention_heads=0), "num_attention_heads: expected a positive number, got 0"),
    "a number in quotes": (config(hidden_size="64"), "hidden_size: expected int, got string"),
    "a truth for a number": (config(hidden_size=True), "hidden_size: expected int"),
    "an array": ("[]", "expected object, got list"),
    "nothing": ("", "not valid JSON"),
    "a null byte": ("\x00", "not valid JSON"),
}
ANSWERED = {
    "a context of 2^53": config(max_position_embeddings=2**53 - 1),
    "a vocabulary of 2^53": config(vocab_size=2**53 - 1),
    "a head of 2^52": config(head_dim=2**52),
    "10,000 layers": config(num_hidden_layers=10_000),
    "a name of a million characters": config(model_type="x" * 10**6),
    "half a character": '{"model_type": "\\ud800"}',
    "300,000 keys": config(**{f"key_{number}": number for number in range(300_000)}),
    "keys said twice": '{"model_type": "llama", "model_type": "unheard-of"}',
    "values of the wrong kind where nothing needs them": config(quantization_config=[1], auto_map=7),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_by_its_key(tmp_path, capsys, text, reason):
    folder = write_model(tmp_path / "model", text)
    started = time.process_time()

    assert main([str(folder)]) == 3
    assert time.process_time() - started < 10
    err = capsys.readouterr().err
    assert len(err) < 1000
    assert re.search(reason, err), err


@pytest.mark.parametrize("text", ANSWERED.values(), ids=ANSWERED)
@pytest.mark.parametrize("output_format", ["table", "markdown", "csv"])
def test_what_is_odd_is_answered_in_a_page_or_two(tmp_path, capsys, text, output_format):
    folder = write_model(tmp_path / "model", text)
    started = time.process_time()

    assert main([str(folder), "--format", output_format, "--gpu", "L4"]) == 0
    assert time.process_time() - started < 20
    assert len(capsys.readouterr().out) < 20_000


@pytest.mark.parametrize(
    "quantization",
    [
        {"quant_method": "gptq", "bits": 4, "dynamic": {"+:(a+)+$": {"bits": 8}}},
        {
            "quant_method": "compressed-tensors",
            "ignore": ["re:(x+x+)+y"],
            "config_groups": {"g": {"targets": ["re:(a|a)*b$"], "weights": {"num_bits": 4, "type": "int"}}},
        },
    ],
    ids=lambda quantization: quantization["quant_method"],
)
def test_a_pattern_that_would_search_for_ever_is_not_searched_for(tmp_path, quantization):
    names = [f"model.layers.0.{'a' * 60}!.weight", f"{'x' * 80}.weight"]
    folder = write_model(tmp_path / "model", config(quantization_config=quantization), names)
    started = time.process_time()

    main([str(folder)])

    assert time.process_time() - started < 10
