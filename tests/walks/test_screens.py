"""Every screen at every width, in a pipe, without colour, and when somebody has enough of waiting."""

import re
import signal
import threading
import time
from dataclasses import replace

import pytest

from tests.hub_server import Call, Fault, Settings
from tests.hub_server.examples import SHARDED_LLAMA
from tests.walks.terminal import Terminal

SCREENS = {
    "one": "hubmem Qwen/Qwen3-8B --gpu RTX-4090",
    "one that does not fit": "hubmem Qwen/Qwen3-32B --gpu RTX-4090",
    "explain": "hubmem Qwen/Qwen3-8B --explain",
    "help": "hubmem --help",
    "help of a report": "hubmem inspect --help",
    "an error": "hubmem org/none",
}


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("line", SCREENS.values(), ids=SCREENS)
def test_nothing_is_wider_than_the_terminal(place, columns, line):
    screen = place(columns).type(line)

    assert [each for each in screen.lines if len(each) > columns] == []


def test_a_terminal_has_colour_unless_it_is_told_not_to(offline: Terminal):
    line = SCREENS["one that does not fit"]
    plain = replace(offline, variables={**offline.variables, "NO_COLOR": "1"})
    dumb = replace(offline, variables={**offline.variables, "TERM": "dumb"})

    assert "\x1b[" in offline.type(line).raw
    assert "\x1b[" not in plain.type(line).raw
    assert "\x1b[" not in dumb.type(line).raw


@pytest.mark.parametrize("line", SCREENS.values(), ids=SCREENS)
def test_a_pipe_gets_the_answer_on_one_side_and_the_talk_on_the_other(place, line):
    out, err = place(80).pipe(line)

    assert "\x1b" not in out.raw + err.raw
    if out.code == 0:
        assert out.raw
        assert all(each.startswith("hubmem: ") for each in err.lines if not each.startswith("  "))
    else:
        assert not out.raw
        assert err.raw.startswith("hubmem: ")


@pytest.mark.parametrize(
    "line",
    ["hubmem Qwen/Qwen3-8B", "hubmem diff Qwen/Qwen3-8B openai-community/gpt2", "hubmem card README.md --insert",
     "hubmem scan Qwen/Qwen3-8B"],
)  # fmt: skip
def test_ctrl_c_ends_the_wait_for_a_hub_that_does_not_answer(online: Terminal, hub, line):
    (online.home / "README.md").write_text("---\nbase_model: Qwen/Qwen3-8B\n---\n# Title\n")
    arrived, answered = threading.Event(), threading.Event()

    def keep_waiting() -> None:
        arrived.set()
        answered.wait(60)

    hub.faults = [Fault(Call(keep_waiting))]
    with online.start(line) as process:
        assert arrived.wait(60)
        time.sleep(2)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        took = time.monotonic() - began
    answered.set()

    assert process.returncode == 130
    assert took < 10
    assert out == ""
    assert err.endswith("hubmem: Interrupted.\n")
    assert not re.search(r"Traceback|Exception", out + err)
    assert (online.home / "README.md").read_text().endswith("# Title\n")


def test_a_terminal_sees_headers_counted_where_each_is_a_request(serve, tmp_path):
    """As on a mirror, which does not give the headers of all shards at once."""
    mirror = serve(SHARDED_LLAMA, settings=Settings(one_call=False))

    screen = Terminal(tmp_path, {"HF_ENDPOINT": mirror.endpoint}).type("hubmem org/sharded")

    assert screen.code == 0
    assert "\rreading headers 3/3\r\x1b[K" in screen.raw


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(offline: Terminal, shell):
    """As the README has it."""
    terminal = replace(offline, variables={**offline.variables, "_HUBMEM_COMPLETE": f"{shell}_source"})

    out, _ = terminal.pipe("hubmem")

    assert out.code == 0
    assert "_HUBMEM_COMPLETE" in out.raw


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("hubmem ca", "card"), ("hubmem card --ins", "--insert"), ("hubmem Qwen/Qwen3-8B --cont", "--context"),
     ("hubmem Qwen/Qwen3-8B --train ql", "qlora")],
)  # fmt: skip
def test_completion_knows_commands_options_and_choices(offline: Terminal, typed, offered):
    words = {
        "_HUBMEM_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }

    out, _ = replace(offline, variables={**offline.variables, **words}).pipe("hubmem")

    assert f"plain,{offered}" in out.lines
