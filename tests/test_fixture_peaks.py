"""The traced peaks agree with themselves and with what follows from the model's shapes alone."""

import csv
import io
import json
import lzma
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PEAKS = Path(__file__).parents[1] / "fixtures" / "peaks"

CATEGORIES = (
    "parameters",
    "buffers",
    "inputs",
    "gradients",
    "optimizer",
    "cache",
    "logits",
    "activations",
    "scratch",
)
PHASES = ("forward", "backward", "step", "prefill", "decode")
SETTING = (
    "model",
    "mode",
    "attention",
    "batch",
    "tokens",
    "precision",
    "padded",
    "full_logits",
    "checkpointing",
    "fused_loss",
    "accumulated",
    "optimizer",
    "lora_targets",
    "lora_rank",
    "lora_dropout",
    "dora",
    "adapter_fp32",
    "quantization",
)
WIDTH = {"fp32": 4, "amp": 4, "fp16": 2, "bf16": 2, "bf16-amp": 2}
ITEM = {"float32": 4, "bfloat16": 2, "float16": 2, "int64": 8, "uint64": 8, "int32": 4, "bool": 1, "uint8": 1}
BLOCK = 512

# Families whose cache is one key and one value of every KV head, layer and token.
PLAIN_CACHE = (
    "llama",
    "qwen2",
    "qwen3",
    "gpt2",
    "gptj",
    "gpt_neox",
    "opt",
    "bloom",
    "phi",
    "olmo2",
    "mixtral",
)

Row = dict[str, str]


def rounded(nbytes: int) -> int:
    return math.ceil(nbytes / BLOCK) * BLOCK


def nbytes(row: Row, name: str) -> int:
    return int(row[f"{name}_nbytes"])


def peaks() -> list[Row]:
    with (PEAKS / "peaks.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def models() -> dict[str, Any]:
    return dict(json.loads(lzma.decompress((PEAKS / "shapes.json.xz").read_bytes())))


def kept() -> list[Row]:
    text = lzma.decompress((PEAKS / "kept.csv.xz").read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text)))


ROWS = peaks()
MODELS = models()
KEPT = kept()
TRAINING = [row for row in ROWS if row["mode"] == "training"]
# Classes that keep a part in float32 whatever dtype is asked for (transformers, _keep_in_fp32_modules_strict), or make
# it so (Zamba's decays).
PARTLY_FLOAT32 = ("ernie4_5_moe", "zamba")
# LOMO's step is a part of the backward.
STEPPED = [row for row in TRAINING if row["optimizer"] != "lomo"]
# LLaVA reads its images off the last layer but one of a tower, others off the last before its norm, and no language
# model reads SigLIP's pooled output: what comes after gets no gradient. Nor does an indexer that only picks tokens.
PARTLY_TRAINED = (
    "llava", "llava_next", "llava_onevision", "aya_vision", "cohere2_vision", "gemma3", "paligemma",
    "deepseek_v32",
)  # fmt: skip
WHOLE = [row for row in STEPPED if row["family"] not in (*PARTLY_TRAINED, *PARTLY_FLOAT32)]
INFERENCE = [row for row in ROWS if row["mode"] == "inference"]


def test_the_table_is_broad() -> None:
    assert len(ROWS) >= 250
    assert len({row["family"] for row in ROWS}) >= 30
    assert len(INFERENCE) >= 100
    assert len(TRAINING) >= 150
    assert sum(row["lora_targets"] != "" for row in ROWS) >= 40
    assert sum(row["quantization"] != "" for row in ROWS) >= 10


def test_no_setting_is_measured_twice() -> None:
    counts = Counter(tuple(row[name] for name in SETTING) for row in ROWS)
    assert [key for key, count in counts.items() if count > 1] == []


def test_each_row_says_what_it_was_measured_with() -> None:
    assert all(row["torch"] and row["transformers"] for row in ROWS)
    assert all(row["peft"] for row in ROWS if row["lora_targets"])


def test_each_row_has_the_phases_of_its_mode() -> None:
    assert all(row["forward_nbytes"] and row["backward_nbytes"] for row in TRAINING)
    assert all(row["step_nbytes"] for row in STEPPED)
    assert all(row["prefill_nbytes"] and not row["backward_nbytes"] for row in INFERENCE)


def test_the_peak_is_the_largest_phase_and_the_sum_of_its_categories() -> None:
    for row in ROWS:
        phases = {phase: nbytes(row, phase) for phase in PHASES if row[f"{phase}_nbytes"]}
        assert nbytes(row, "peak") == max(phases.values()) == phases[row["peak_phase"]]
        assert nbytes(row, "peak") == sum(nbytes(row, f"peak_{name}") for name in CATEGORIES)


def test_no_phase_is_below_what_is_always_there() -> None:
    for row in TRAINING:
        always = nbytes(row, "parameters") + nbytes(row, "optimizer")
        phases = ("forward", "backward", "step") if row in STEPPED else ("forward", "backward")
        assert min(nbytes(row, phase) for phase in phases) >= always
    for row in INFERENCE:
        assert nbytes(row, "prefill") >= nbytes(row, "parameters") + nbytes(row, "cache")
        assert int(row["decode_nbytes"] or row["prefill_nbytes"]) >= nbytes(row, "parameters")


def test_a_step_holds_parameters_gradients_and_states_at_once() -> None:
    for row in WHOLE:
        gradient_width = 4 if row["adapter_fp32"] == "True" else WIDTH[row["precision"]]
        gradients = int(row["trainable"]) * gradient_width
        assert nbytes(row, "step") >= nbytes(row, "parameters") + nbytes(row, "optimizer") + gradients


@pytest.mark.parametrize(("optimizer", "states"), [("adamw", 2), ("sgd-momentum", 1), ("sgd", 0)])
def test_states_are_as_wide_as_the_parameters_they_follow(optimizer: str, states: int) -> None:
    rows = [
        row for row in WHOLE if row["optimizer"].removesuffix("-fused").removesuffix("-foreach") == optimizer
    ]
    assert rows
    for row in rows:
        width = 4 if row["adapter_fp32"] == "True" else WIDTH[row["precision"]]
        exact = states * int(row["trainable"]) * width
        rounding = (states + 1) * BLOCK * trainable_tensors(row)
        assert exact <= nbytes(row, "optimizer") <= exact + rounding


def trainable_tensors(row: Row) -> int:
    """At most this many tensors have states: two (with DoRA three) for each adapted one."""
    return len(MODELS[row["model"]]["tensors"]) * (3 if row["lora_targets"] else 1)


def test_parameters_are_those_of_the_recorded_tensors() -> None:
    for row in ROWS:
        if row["lora_targets"]:
            continue
        shapes = MODELS[row["model"]]["tensors"].values()
        assert int(row["trainable"]) <= int(row["parameters"]) == sum(map(math.prod, shapes))
        if row["family"] not in PARTLY_FLOAT32:
            assert nbytes(row, "parameters") == int(row["parameters"]) * WIDTH[row["precision"]]


def heads_of(config: dict[str, Any]) -> tuple[int, int, int]:
    """Layers, KV heads and head width, by whichever names the config uses."""
    layers = config.get("num_hidden_layers") or config["n_layer"]
    heads = config.get("num_attention_heads") or config["n_head"]
    hidden = config.get("hidden_size") or config["n_embd"]
    return layers, config.get("num_key_value_heads") or heads, config.get("head_dim") or hidden // heads


@pytest.mark.parametrize("family", PLAIN_CACHE)
def test_the_cache_is_one_key_and_one_value_a_token_head_and_layer(family: str) -> None:
    rows = [row for row in INFERENCE if row["family"] == family]
    assert rows
    for row in rows:
        layers, heads, width = heads_of(MODELS[row["model"]]["config"])
        of_a_layer = int(row["batch"]) * int(row["tokens"]) * heads * width * WIDTH[row["precision"]]
        assert nbytes(row, "cache") == 2 * layers * rounded(of_a_layer)


def test_checkpointing_keeps_less_and_costs_no_more() -> None:
    by_setting: dict[tuple[str, ...], dict[str, Row]] = defaultdict(dict)
    for row in TRAINING:
        key = tuple(row[name] for name in SETTING if name != "checkpointing")
        by_setting[key][row["checkpointing"]] = row
    pairs = [pair for pair in by_setting.values() if len(pair) == 2]
    assert pairs
    for pair in pairs:
        assert nbytes(pair["True"], "kept_activations") < nbytes(pair["False"], "kept_activations")
        assert nbytes(pair["True"], "peak") <= nbytes(pair["False"], "peak")


def test_a_causal_loss_keeps_the_log_probabilities_in_fp32() -> None:
    rows = [row for row in TRAINING if row["family"] == "llama"]
    assert rows
    for row in rows:
        vocabulary = MODELS[row["model"]]["config"]["vocab_size"]
        whole = 4 * int(row["batch"]) * int(row["tokens"]) * vocabulary
        assert nbytes(row, "kept_logits") == (0 if row["fused_loss"] == "True" else whole)


def test_the_kept_table_is_of_traced_models() -> None:
    assert {row["model"] for row in KEPT} <= set(MODELS)


def test_an_allocation_is_no_smaller_than_its_tensor() -> None:
    for row in KEPT:
        elements = math.prod(int(size) for size in row["shape"].split("x") if size)
        assert int(row["nbytes"]) % BLOCK == 0
        assert int(row["nbytes"]) >= elements * ITEM[row["dtype"]]


def kept_a_token(family: str, case: str) -> Iterator[float]:
    """Bytes a token of each group of layers, without what does not grow with the tokens."""
    groups: dict[str, int] = defaultdict(int)
    tokens = 0
    for row in KEPT:
        if (row["family"], row["case"]) == (family, case) and row["stack"]:
            tokens = int(row["batch"]) * int(row["tokens"])
            groups[row["first_layer"]] += int(row["nbytes"]) if int(row["nbytes"]) >= tokens else 0
    return (total / tokens for total in groups.values())


@pytest.mark.parametrize(
    ("case", "formula"),
    [
        ("bf16", lambda h, q, kv, f, a: 16 * h + 4 * (q + kv) + 8 * f + 4 * a + 8),
        ("bf16 eager", lambda h, q, _, f, a: 16 * h + 8 * q + 8 * f + 6 * a * 192 + 8),
        ("fp32", lambda h, q, _, f, a: 24 * h + 16 * q + 16 * f + 4 * a * 192 + 8),
    ],
)
def test_a_llama_layer_keeps_what_its_closed_form_says(case: str, formula: Any) -> None:
    """Norms, attention and MLP counted by hand; the last 8 bytes are the two norms' variances.

    Eager attention and, for grouped heads in fp32, the unfused kernel repeat k and v to every head and keep
    probabilities of 192 tokens: fp32 and their bf16 copy, or fp32 alone.
    """
    config = MODELS[next(row["model"] for row in KEPT if row["family"] == "llama")]["config"]
    _, kv_heads, width = heads_of(config)
    heads = config["num_attention_heads"]
    expected = formula(
        config["hidden_size"], heads * width, kv_heads * width, config["intermediate_size"], heads
    )
    measured = list(kept_a_token("llama", case))
    assert measured
    assert any(each == pytest.approx(expected, abs=4) for each in measured), (measured, expected)
