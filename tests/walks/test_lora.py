"""A researcher who fine-tunes with LoRA on one card: which kind fits, and what helps."""

import re

from tests.walks.terminal import Terminal

ASK = "hubmem meta-llama/Llama-3.1-8B --context 2k --gpu RTX-4090 --check --train"


def test_full_fine_tuning_does_not_fit_and_says_what_takes_the_memory(terminal: Terminal):
    screen = terminal.type(f"{ASK} full")

    assert screen.code == 1
    assert re.search(r"^  optimizer states .* 29\.92", screen.text, re.MULTILINE)
    assert "does not fit" in screen.text


def test_lora_needs_checkpointing_and_is_told_so(terminal: Terminal):
    no = terminal.type(f"{ASK} lora")

    assert no.code == 1
    assert re.search(r"^  activation checkpointing:? +(fits|tight)", no.text, re.MULTILINE)
    assert re.search(r"^  adapters .*13,631,488 parameters", no.text, re.MULTILINE)

    assert terminal.type(f"{ASK} lora --checkpointing full").code == 0


def test_qlora_fits_with_room_for_longer_examples(terminal: Terminal):
    screen = terminal.type(f"{ASK} qlora --checkpointing full")

    assert screen.code == 0
    assert re.search(r"^  weights .*4-bit \(nf4", screen.text, re.MULTILINE)
    longest = re.search(r"([\d,]+|\d+k)$", screen.row("RTX-4090").strip())
    assert longest
    assert int(longest[1].replace(",", "").replace("k", "000")) > 4000


def test_more_adapters_take_more_and_the_count_is_theirs(offline: Terminal):
    counts = []
    for targets in ("attention", "all-linear"):
        screen = offline.type(f"{ASK} qlora --checkpointing full --rank 64 --lora-targets {targets}")
        found = re.search(r"adapters .*?([\d,]{6,}) param", screen.text)
        assert found, screen.text
        counts.append(int(found[1].replace(",", "")))

    assert counts[1] > 2 * counts[0]


def test_a_contradiction_is_refused_before_anything_is_asked(online: Terminal, hub):
    screen = online.type(f"{ASK} lora --optimizer nonsense")

    assert screen.code == 2
    assert "nonsense" in screen.text
    assert not hub.requests
