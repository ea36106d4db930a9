"""The maintainer of a model's card: give it a section, keep it true, see what a change changes."""

import pytest

from tests import git
from tests.hub_server import HubServer, files_of
from tests.walks.terminal import Terminal
from tests.weights.records import RECORDS

CARD = """\
---
license: apache-2.0   # ours
base_model: Qwen/Qwen3-8B
---

# Tidy-8B

It answers in tidy paragraphs.
"""


@pytest.fixture
def at_home(online: Terminal) -> Terminal:
    (online.home / "README.md").write_text(CARD)
    git.run(online.home, "init", "-q")
    return online


def test_the_card_gets_a_section_that_is_then_true(at_home: Terminal):
    asked = at_home.type("hubmem card README.md")
    assert asked.code == 0
    assert "it has no hubmem section. --insert puts one after its first heading." in asked.text

    written = at_home.type("hubmem card README.md --insert --gpu RTX-4090")
    assert written.code == 0
    assert "README.md: written: about Qwen/Qwen3-8B." in written.text
    text = (at_home.home / "README.md").read_text()
    assert text.startswith(CARD.partition("\nIt answers")[0] + '\n<!-- hubmem:start gpus="RTX-4090" -->')
    assert text.endswith("<!-- hubmem:end -->\n\nIt answers in tidy paragraphs.\n")
    assert "**8,190,735,360 parameters**" in text

    checked = at_home.type("hubmem card README.md --check")
    assert checked.code == 0
    assert "up to date" in checked.text


def test_a_model_that_changed_makes_it_old_and_the_change_is_shown(at_home: Terminal, hub: HubServer):
    at_home.type("hubmem card README.md --insert --gpu RTX-4090")
    hub.repo("Qwen/Qwen3-8B").push(files_of({**RECORDS["Qwen/Qwen3-32B"], "repo": "Qwen/Qwen3-8B"}))

    out, err = at_home.pipe("hubmem card README.md --check")

    assert out.code == 1
    assert "-**8,190,735,360 parameters**" in out.raw
    assert "+**32,762,123,264 parameters**" in out.raw
    assert "out of date" in err.raw


def test_without_a_network_the_card_stays_as_it_is(at_home: Terminal):
    before = CARD.replace("It answers", "<!-- hubmem:start -->\n<!-- hubmem:end -->\n\nIt answers")
    (at_home.home / "README.md").write_text(before)
    at_home.variables["HF_ENDPOINT"] = "http://127.0.0.1:9"

    screen = at_home.type("hubmem card README.md")

    assert screen.code == 4
    assert "The Hub could not be" in screen.text
    assert (at_home.home / "README.md").read_text() == before


def test_they_see_what_lies_between_two_models(terminal: Terminal):
    screen = terminal.type("hubmem diff Qwen/Qwen3-8B Qwen/Qwen3-32B --gpu RTX-4090")

    assert screen.code == 0
    assert screen.row("parameters").split()[1:4] == ["8,190,735,360", "32,762,123,264", "+24,571,387,904"]
    assert screen.row("RTX-4090, as stored").split()[3:5] == ["1×", "4×"]
