"""What the runner is told, in the form it understands, whatever a card says."""

import re

import pytest
from hubmem.card.action.runner import Runner, shorten


def test_text_of_a_card_can_give_the_runner_no_command(capsys):
    """The runner reads commands from any line, also an indented one."""
    Runner({}).show(" ::set-output name=x::y\n::error::fake")

    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"::stop-commands::([0-9a-f]{32})", lines[0])
    assert lines[-1] == f"::{lines[0].removeprefix('::stop-commands::')}::"


def test_every_text_is_stopped_with_another_word(capsys):
    for _ in range(2):
        Runner({}).show("text")

    words = re.findall(r"::stop-commands::(\w+)", capsys.readouterr().out)
    assert len(set(words)) == 2


def test_an_annotation_is_one_line(capsys):
    Runner({}).annotate("error", "100 %\r\n::warning::fake", file="a,b:c%.md", line=3, title="t")

    out = capsys.readouterr().out
    assert out == "::error file=a%2Cb%3Ac%25.md,line=3,title=t::100 %25%0D%0A::warning::fake\n"


def test_what_the_runner_would_drop_goes_to_the_log(capsys):
    runner = Runner({})
    for number in range(12):
        runner.annotate("warning", f"message {number}")
    runner.annotate("error", "of another level")

    out = capsys.readouterr().out
    assert out.count("::warning ") == 10
    assert "warning: : message 11" in out
    assert out.count("::error ") == 1


def test_an_output_of_several_lines_cannot_end_early(tmp_path):
    file = tmp_path / "output"
    Runner({"GITHUB_OUTPUT": str(file)}).output("summary", "a\nEOF\nb=c")

    lines = file.read_text().splitlines()
    assert lines[0] == f"summary<<{lines[-1]}"
    assert lines[1:-1] == ["a", "EOF", "b=c"]


def test_without_the_runners_files_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = Runner({})
    runner.output("a", "b")
    runner.summarize("c")

    assert runner.workspace == tmp_path
    assert runner.pull_request is None


@pytest.mark.parametrize("most_bytes", [100, 200, 1000])
def test_a_page_is_cut_at_a_line_and_says_so(most_bytes):
    page = "\n".join(f"line {number} – ü" for number in range(200))

    cut = shorten(page, most_bytes)

    assert len(cut.encode()) < most_bytes
    *kept, blank, note = cut.split("\n")
    assert kept == page.split("\n")[: len(kept)]
    assert (blank, note) == ("", "… and more, which GitHub has no room for here.")


def test_a_short_page_is_whole():
    assert shorten("text", 100) == "text"
