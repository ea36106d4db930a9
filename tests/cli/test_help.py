"""`--help`: every option in one place, examples that work, nothing wider than a terminal."""

import re
import shlex

import click
import pytest
from hubmem.cli import main
from hubmem.cli.main import _COMMANDS, _commands
from hubmem.cli.sections import _SECTIONS

# What cannot be answered here: a folder or files of the user's own, a Hub that is searched.
NOT_RUN = re.compile(r"\./|README|REPO|models |repos\.txt|results|--author|--search |org/name|-o ")


def command(name: str) -> click.Command:
    found = _commands.get_command(click.Context(_commands), name)
    assert found is not None
    return found


def help_of(name: str, capsys) -> str:
    assert main([*([name] if name else []), "--help"]) == 0
    out: str = capsys.readouterr().out
    return out


def examples(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if re.match(r" {4}hubmem ", line)]


@pytest.mark.parametrize("name", ["", *_COMMANDS])
def test_it_has_examples_and_stays_within_80_columns(name, capsys):
    text = help_of(name, capsys)

    assert examples(text)
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_option_is_listed_once_with_words_about_it(name, capsys):
    text = help_of(name, capsys)
    for option in command(name).params:
        record = option.get_help_record(click.Context(command(name)))
        if isinstance(option, click.Option) and record:
            assert len(re.findall(rf"\n  {re.escape(record[0])}(?=  |\n)", text)) == 1
            assert record[1]


def test_the_many_options_of_a_report_are_in_sections(capsys):
    text = help_of("inspect", capsys)
    headings = re.findall(r"^(\S.*):$", text, flags=re.MULTILINE)

    assert headings == ["Options", *_SECTIONS]
    assert max(len(part.splitlines()) for part in text.split("\n\n")) < 30


@pytest.mark.parametrize("line", ["", *_COMMANDS])
def test_its_examples_are_commands_there_are(line, capsys):
    for example in examples(help_of(line, capsys)):
        if NOT_RUN.search(example):
            continue
        words = shlex.split(re.sub(r" {2,}.*| &&.*", "", example))[1:]
        offline = [] if words[0] == "gpus" else ["--offline"]
        assert main([*words, *offline]) in (0, 1), example
