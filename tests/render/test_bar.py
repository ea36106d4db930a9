"""The bar of terms: exact in width, legible without colour, silent where it cannot be read."""

import pytest
from hubmem.render.bar import bar, split
from hubmem.render.formats import render
from hubmem.render.text import Page
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.memory.terms import term
from tests.render.reports import report

TERMINAL = Page(width=80, terminal=True)


TERMS = [term("weights", 900), term("KV cache", 80), term("nothing", 0), term("a little", 1)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(min_value=0, max_value=2**60), min_size=1, max_size=12).filter(any),
    width=st.integers(min_value=1, max_value=100),
)
def test_cells_fill_the_width_and_are_less_than_one_from_their_share(sizes, width):
    cells = split(sizes, width)

    assert sum(cells) == width
    assert all(
        abs(cell * sum(sizes) - size * width) < sum(sizes) for cell, size in zip(cells, sizes, strict=True)
    )


def test_each_part_has_a_look_of_its_own_without_colour():
    line, names = bar(TERMS, TERMINAL)

    assert line == "  " + "█" * 70 + "▓" * 6
    assert names == "  █ weights 92%  ▓ KV cache 8%"


def test_colour_is_only_what_the_page_allows():
    assert "\x1b" not in bar(TERMS, TERMINAL)[0]
    assert "\x1b[32m█" in bar(TERMS, Page(width=80, terminal=True, colour=True))[0]


@pytest.mark.parametrize(
    ("terms", "page"),
    [(TERMS, Page()), (TERMS, Page(width=60, terminal=True)), ([], TERMINAL), ([term("none", 0)], TERMINAL)],
    ids=["piped", "narrow", "no terms", "no bytes"],
)
def test_there_is_none_where_it_would_say_nothing(terms, page):
    assert bar(terms, page) == []


def test_a_report_on_a_terminal_has_one_and_in_a_pipe_none():
    assert "█" in render([report()], "table", TERMINAL)
    assert "█" not in render([report()], "table", Page(width=80))
