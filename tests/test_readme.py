"""What the README shows is what happens."""

import doctest
import re

import pytest

from tests.readme import README, Example, examples, run, without_times

TEXT = README.read_text(encoding="utf-8")


@pytest.mark.parametrize("example", list(examples(TEXT)), ids=lambda example: example.command)
def test_each_command_prints_what_the_readme_shows(example: Example):
    """To write the present output into the README: `python -m tests.readme`."""
    assert without_times(run(example.command)) == without_times(example.output)


def test_the_python_examples_run(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    # The fence that ends a block is no part of what its last example prints.
    unfenced = TEXT.replace("```", "")
    examples_run = doctest.DocTestParser().get_doctest(unfenced, {}, "README.md", str(README), 0)
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(
        examples_run
    )

    assert result.attempted > 0
    assert result.failed == 0


def test_it_opens_with_one_sentence_and_two_commands():
    """The first thing a reader can do is run it; the second, test it."""
    opening = TEXT.split("\n\n")
    commands = re.findall(r"^\$ (pip .*)$", TEXT, flags=re.MULTILINE)

    assert opening[0].startswith("# hubmem")
    assert opening[1].count(". ") == 0
    assert commands[:2] == [
        "pip install . && hubmem meta-llama/Llama-3.1-70B",
        "pip install -e '.[test]' && pytest",
    ]
