"""The accuracy report is what the README says, and its arithmetic is right."""

import math

import pytest
from hubmem.units import GIB

from tests import accuracy
from tests.accuracy import README, Summary, TruthSet, summary, truth_sets, written
from tests.models.test_golden import GOLDEN
from tests.truth import Comparison
from tests.truth.goals import GOALS, Goal


def compared(measured: float, predicted: float | None, group: str = "a") -> Comparison:
    return Comparison(name="", group=group, unit="bytes", measured=measured, predicted=predicted)


@pytest.fixture(scope="module")
def everything():
    return list(truth_sets())


@pytest.mark.timeout(300)
def test_the_readme_shows_the_report_of_this_code(everything: list[TruthSet]):
    """To write the present one into the README: `python -m tests.accuracy --write`."""
    assert written(README.read_text(encoding="utf-8")) == summary(everything)


@pytest.mark.timeout(300)
def test_each_group_has_a_goal_or_is_said_to_have_none(everything: list[TruthSet]):
    assert {group for each in everything for group in each.groups} <= GOALS.keys()


@pytest.mark.timeout(300)
def test_each_set_says_where_its_figures_come_from(everything: list[TruthSet]):
    assert all(each.source for each in everything)
    assert len({each.name for each in everything}) == len(everything)


def test_the_truths_beside_other_tools_are_the_derived_ones():
    """Weights in FP8 leave the cache as it is, so Qwen3-32B-FP8 has that of Qwen3-32B."""
    table = README.read_text(encoding="utf-8").partition("| model | truth GiB |")[2]
    rows = [line.split(" | ") for line in table.split("\n\n")[0].splitlines()[2:]]
    derived = {repo.rpartition("/")[2].lower(): nbytes for repo, nbytes in GOLDEN}

    assert len(rows) > 10
    for name, truth, hubmem, *_ in rows:
        model = name.strip("| ").partition(" (")[0].lower().removesuffix("-fp8")
        assert (f"{derived[model] / GIB:.2f}", "1") == (truth, hubmem)


def test_errors_are_relative_to_what_was_measured():
    errors = Summary.of("a", [compared(100, 98), compared(200, 210), compared(7, 7)]).errors

    assert errors == (0.0, 0.02, 0.05)


def test_figures_of_a_group():
    found = Summary.of("a", [compared(100, 100 + n) for n in range(20)] + [compared(1, None)])

    assert (found.rows, found.unanswered, found.exact) == (21, 1, 1)
    assert (found.median, found.p95, found.worst) == (0.095, 0.18, 0.19)


def test_something_where_nothing_was_measured_is_infinitely_wrong():
    assert compared(0, 0).error == 0
    assert compared(0, 1).error == math.inf


def test_a_goal_is_met_only_when_each_of_its_figures_is_reached():
    found = Summary.of("a", [compared(100, 101), compared(100, 104)])

    assert found.meets(Goal(median=0.03, worst=0.04))
    assert not found.meets(Goal(median=0.03, p95=0.03))
    assert found.meets(Goal())


def test_a_miss_is_listed_with_its_reason_and_an_unknown_one_is_said_to_be():
    known = Comparison(name="one", group="a", unit="bytes", measured=100, predicted=120)
    unknown = Comparison(name="two", group="a", unit="bytes", measured=100, predicted=None)
    truth = TruthSet(
        name="t",
        source="s",
        comparisons=(known, unknown, compared(100, 100)),
        reasons={"one": "rounded"},
    )
    misses = [line for line in accuracy.report([truth]) if "miss" in line]

    assert misses == [
        "  miss: one: 120 for 100 bytes (+20.00%): rounded",
        "  miss: two: no answer for 100 bytes: not known",
    ]


def test_a_group_may_have_rows_of_several_sets():
    first, second = (
        TruthSet(name=name, source="s", comparisons=(compared(100, predicted),), reasons={})
        for name, predicted in (("one", 101), ("two", 103))
    )

    assert "| a | 2 | 2.00 % | 3.00 % | 3.00 % |" in summary([first, second])
