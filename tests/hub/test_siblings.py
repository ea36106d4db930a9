"""Quantized siblings cost one request, and only where the answer is no on a GPU the user named."""

import json

import pytest
from hubmem.cli import main
from tests.hub_server import Answer, Fault, Repo
from tests.hub_server.examples import LLAMA, LLAMA_CONFIG

LAYER = "model.layers.{0..19}."
RECORD = {
    **LLAMA,
    "config": {**LLAMA_CONFIG, "hidden_size": 1024, "intermediate_size": 4096, "vocab_size": 320},
    "tensors": [
        ["model.embed_tokens.weight", "BF16", [320, 1024]],
        *([f"{LAYER}self_attn.{name}_proj.weight", "BF16", [1024, 1024]] for name in "qkvo"),
        *([f"{LAYER}mlp.{name}_proj.weight", "BF16", [4096, 1024]] for name in ("gate", "up")),
        [f"{LAYER}mlp.down_proj.weight", "BF16", [1024, 4096]],
    ],
}
BASE = "base_model:quantized:org/small"
FP8 = Repo("other/small-FP8", {}, card_tags=(BASE, "fp8"), downloads=10)
OLD_FP8 = Repo("other/small-FP8-old", {}, card_tags=(BASE, "fp8"), downloads=1)
UNRELATED = Repo("other/unrelated-FP8", {}, card_tags=("fp8",), downloads=99)
# Beside the context that every process has, 640 MiB of BF16 weights do not fit, and 320 MiB in FP8 do.
SHORT = "900MiB"


@pytest.fixture
def ask(connect, retries_at_once, capsys):
    def ask(*options, siblings=(OLD_FP8, FP8, UNRELATED), **server_options):
        hub = connect(RECORD, *siblings, **server_options)
        assert main(["org/small", "--format", "json", "--context", "16", *options]) == 0
        listings = [entry for entry in hub.requests if entry.path == "/api/models"]
        return json.loads(capsys.readouterr().out), listings, hub

    return ask


def test_a_no_asks_once_and_names_the_most_downloaded(ask):
    report, listings, hub = ask("--gpu", SHORT, "--gpu", "400MiB")

    assert len(listings) == 1
    assert report["cost"]["requests"] == len(hub.requests)
    [change] = [change for change in report["verdicts"][0]["changes"] if change["change"] == "FP8 weights"]
    assert change["repo"] == "other/small-FP8"
    assert "FP8 weights, published as other/small-FP8" in report["verdicts"][0]["advice"][0]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--gpu", "24GiB"),
        ("--gpu", SHORT, "--no-siblings"),
        ("--gpu", SHORT, "--dtype", "nf4"),
        ("--gpu", SHORT, "--train", "lora"),
    ],
)
def test_nothing_is_asked_where_no_name_would_help(ask, options):
    _, listings, _ = ask(*options)

    assert listings == []


@pytest.mark.parametrize(
    "answer", [Answer(404), Answer(404, {"X-Error-Code": "EntryNotFound"}), Answer(200, body=b"<html>")]
)
def test_a_hub_that_does_not_tell_leaves_the_advice_unnamed(ask, answer):
    report, _, _ = ask("--gpu", SHORT, faults=[Fault(answer, match="GET /api/models$")])

    assert [change["repo"] for change in report["verdicts"][0]["changes"]] != []
    assert {change["repo"] for change in report["verdicts"][0]["changes"]} == {None}


def test_a_model_nobody_quantized_is_advised_all_the_same(ask):
    report, listings, hub = ask("--gpu", SHORT, siblings=())

    assert len(listings) == 1
    assert report["cost"]["requests"] == len(hub.requests)
    assert report["verdicts"][0]["changes"][0]["change"] == "FP8 weights"
