"""Someone with one 24 GB card: does it run, how long may a conversation be, and what if it does not fit?"""

import re

from tests.walks.terminal import Terminal

# A line of advice: a table of them where the terminal is wide enough, else sentences with a colon.
WAY = re.compile(r"^  (?P<what>.+?)(?::|  +) ?(?P<answer>fits|tight), (?P<gib>[\d.]+) GiB free", re.MULTILINE)


def test_they_learn_that_it_fits_and_how_long_a_context_may_be(terminal: Terminal):
    screen = terminal.type("hubmem Qwen/Qwen3-8B --gpu RTX-4090 --check")

    assert screen.code == 0
    assert "8,190,735,360 parameters" in screen.lines
    row = screen.row("RTX-4090")
    assert row.split()[1:3] == ["23.52", "1×"]
    assert re.search(r" [\d,]{6}$| \d+k$", row)
    assert re.search(r"^  total on one device +\d\d\.\d\d$", screen.text, re.MULTILINE)


def test_what_does_not_fit_says_by_how_much_and_the_first_way_to_yes_is_one(terminal: Terminal):
    no = terminal.type("hubmem Qwen/Qwen3-32B --gpu RTX-4090 --check")

    assert no.code == 1
    assert re.search(r"does not fit: .*?[\d.]+ GiB short", no.text.replace("\n", " "))
    way = WAY.search(no.text)
    assert way, no.text
    assert way["what"] == "4-bit (nf4) weights"

    yes = terminal.type("hubmem Qwen/Qwen3-32B --gpu RTX-4090 --dtype nf4 --check")

    assert yes.code == 0
    assert "does not fit" not in yes.text
    total = re.search(r"total on one device +([\d.]+)", yes.text)
    assert total
    assert abs(23.52 - float(total[1]) - float(way["gib"])) < 0.02


def test_a_name_nobody_makes_is_answered_with_names_somebody_does(offline: Terminal):
    screen = offline.type("hubmem Qwen/Qwen3-8B --gpu 4090ti")

    assert screen.code == 2
    assert "Unknown GPU '4090ti'." in screen.text
    assert "Did you mean" in screen.text
    assert "RTX-4090" in screen.text


def test_24_gb_on_the_box_is_told_from_what_a_process_can_use(offline: Terminal):
    assert offline.type("hubmem gpus --search 4090").row("RTX-4090").split()[-3:] == [
        "23.52",
        "measured",
        "1008",
    ]
    gib, gb = (
        offline.type(f"hubmem Qwen/Qwen3-8B --gpu {size}").row(row).split()
        for size, row in (("24GiB", "24 GiB"), ("24GB", "22.35 GiB"))
    )

    assert gib[2] == "24.00"
    assert gb[2] == "22.35"


def test_they_see_where_each_number_comes_from(terminal: Terminal):
    screen = terminal.type("hubmem Qwen/Qwen3-8B --explain")

    assert screen.code == 0
    assert re.search(r"36 layers × 2 × 8 × 128 × 2 B", screen.text)
    assert screen.text.count("source: ") >= 4
    assert "range: " in screen.text
