"""Text of a repo on every output: no terminal obeys it, no spreadsheet computes it, no page takes it for markup."""

import json
import re
from pathlib import Path

import pytest
from hubmem.cli import main

from tests.untrusted.models import CONFIG, write_model

# Begins a command, rings a bell, hides what follows, turns its direction, ends a line of a log.
NASTY = "\x1b[31mred\x07\x9b2J\u202egnp\r<script>alert(1)</script> =1+1 | `x` [a](http://b)"
# What a terminal would obey or a name could hide behind; a newline is ours.
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model whose every text is nasty, in a folder of such a name."""
    config = {
        **CONFIG,
        "architectures": [NASTY],
        "torch_dtype": NASTY,
        "_name_or_path": NASTY,
        "hidden_act": NASTY,
        "quantization_config": {"quant_method": NASTY, NASTY: NASTY},
        "rope_scaling": {"type": NASTY},
        NASTY: NASTY,
    }
    names = (f"model.layers.0.{NASTY}.weight", f"{NASTY}.weight")
    return write_model(tmp_path / "\x1b[31mm\u202e<script>", config, names)


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """One whose architecture is nasty, and so unknown."""
    return write_model(tmp_path / "unknown", {"model_type": NASTY, "auto_map": {NASTY: NASTY}})


COMMANDS = {
    "table": ["{hostile}"],
    "no such type": ["{unknown}"],
    "explain": ["{hostile}", "--explain"],
    "Markdown": ["{hostile}", "--format", "markdown"],
    "CSV": ["{hostile}", "--format", "csv"],
    "side by side": ["{hostile}", "{unknown}"],
    "each request": ["{hostile}", "--verbose"],
    "one fine-tuned": ["{hostile}", "--train", "lora"],
    "a folder that is not there": ["{hostile}/none"],
    "an accelerator": ["{hostile}", "--gpu", NASTY],
    "a precision": ["{hostile}", "--dtype", NASTY],
    "a dtype of the cache": ["{hostile}", "--kv-dtype", NASTY],
    "an optimizer": ["{hostile}", "--train", "full", "--optimizer", NASTY],
    "targets of adapters": ["{hostile}", "--train", "lora", "--lora-targets", NASTY],
    "a variant": ["{hostile}", "--variant", NASTY],
    "a subfolder": ["{hostile}", "--subfolder", NASTY],
    "a revision": ["{hostile}", "--revision", NASTY],
    "a repo": [NASTY],
    "a repo offline": ["org/name", "--offline", "--revision", NASTY],
    "search": ["gpus", "--search", NASTY],
    "diff": ["diff", "{hostile}", "{unknown}"],
    "diff in Markdown": ["diff", "{hostile}", "{unknown}", "--format", "markdown"],
    "card": ["card", NASTY],
    "scan": ["scan", "{hostile}", "--format", "markdown"],
    "a list that is not there": ["scan", f"./{NASTY}.txt"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_nothing_printed_commands_the_terminal(hostile, unknown, capsys, command):
    code = main([word.format(hostile=hostile, unknown=unknown) if "{" in word else word for word in command])

    out, err = capsys.readouterr()
    assert code in (0, 2, 3, 4)
    assert out + err
    assert OBEYED.findall(out) == []
    assert OBEYED.findall(err) == []


@pytest.mark.parametrize(
    "command", [["{hostile}"], ["diff", "{hostile}", "{unknown}"]], ids=["report", "diff"]
)
def test_json_keeps_names_as_they_are_and_escapes_them(hostile, unknown, capsys, command):
    """It is for programs, which get the name whole."""
    main([*(word.format(hostile=hostile, unknown=unknown) for word in command), "--format", "json"])

    out = capsys.readouterr().out
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", out) == []
    assert "\x1b[31mm\u202e" in json.dumps(json.loads(out), ensure_ascii=False).replace("\\u001b", "\x1b")


@pytest.mark.parametrize(
    "command",
    [["{hostile}"], ["{unknown}"], ["{hostile}", "{unknown}"], ["diff", "{hostile}", "{unknown}"]],
    ids=["one", "an unknown one", "two", "diff"],
)
def test_no_text_is_markup_in_markdown(hostile, unknown, capsys, command):
    main([*(word.format(hostile=hostile, unknown=unknown) for word in command), "--format", "markdown"])

    out = capsys.readouterr().out
    assert not re.search(r"(?<!\\)<script", out)
    assert not re.search(r"(?<!\\)\]\(http://b", out)


def test_a_card_section_takes_no_text_for_markup(hostile, tmp_path):
    card = hostile / "README.md"
    card.write_text("# Title\n")

    assert main(["card", str(card), "--insert", "--gpu", "L4"]) == 0
    text = card.read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<script", text)
    assert not re.search(r"(?<!\\)\]\(http://b", text)
    assert OBEYED.findall(text) == []
