"""What a start marker says, and what a command writes into it."""

import pytest
from hubmem.card.refusal import CardRefused
from hubmem.card.settings import Settings, parse, parse_marker, to_marker
from hubmem.errors import UsageError
from hypothesis import given
from hypothesis import strategies as st

repos = st.from_regex(r"[a-z0-9]{1,8}/[A-Za-z0-9._]{1,8}", fullmatch=True).filter(
    lambda text: ".." not in text
)
gpus = st.sampled_from(["RTX-4090", "2xA100-80GB", "24GiB", "H200"])
settings = st.builds(
    Settings,
    repo=st.lists(repos, max_size=3).map(tuple),
    gpus=st.lists(gpus, max_size=3).map(tuple),
    context=st.lists(st.integers(1, 10**7), max_size=3).map(tuple),
    train=st.lists(st.sampled_from(["lora", "qlora", "full"]), max_size=3).map(tuple),
)


@given(settings)
def test_a_marker_says_again_what_was_written_into_it(given_settings):
    assert parse_marker(to_marker(given_settings), 1) == given_settings


@given(settings, settings)
def test_what_the_command_says_comes_first(command, card):
    merged = command.over(card)

    for name in ("repo", "gpus", "context", "train"):
        assert getattr(merged, name) == (getattr(command, name) or getattr(card, name))


def test_a_revision_belongs_to_the_repo():
    assert parse({"repo": "org/name@refs/pr/3"}).repo == ("org/name@refs/pr/3",)


@pytest.mark.parametrize("text", ['org/name@a"b', "org/name@-->", "org/name@a--b", "org/name@a\nb"])
def test_what_would_end_the_marker_is_refused(text):
    with pytest.raises(UsageError, match="cannot be written in a marker"):
        parse({"repo": text})


@pytest.mark.parametrize("text", ["repo=org/name", 'repo="org/name', 'Repo="org/name"', '"org/name"'])
def test_what_is_not_a_name_and_a_quoted_value_is_refused_with_the_line(text):
    with pytest.raises(CardRefused, match="line 7") as caught:
        parse_marker(text, 7)

    assert "Settings look like" in caught.value.hint
