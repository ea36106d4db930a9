"""The benchmark runs, counts what crosses the wire, and tells which targets are met; no time is judged."""

import pytest

from tests.benchmarks.inspect.cases import QWEN
from tests.benchmarks.inspect.hub import serving
from tests.benchmarks.inspect.measuring import Case, Measured, Target, measure
from tests.benchmarks.inspect.programs import HUBMEM, lower_bound
from tests.benchmarks.inspect.table import as_json, as_markdown
from tests.benchmarks.inspect.traffic import LATENCY_SECONDS, waves

Result = tuple[Case, list[Measured]]


@pytest.fixture(scope="module")
def result() -> Result:
    case = Case(
        name="one file",
        repo=QWEN,
        programs=(HUBMEM, lower_bound("single")),
        baseline="lower bound",
        targets=(
            Target(name="requests", most=5, of=lambda measured: measured.traffic.requests),
            Target(name="requests", most=4, of=lambda measured: measured.traffic.requests),
        ),
    )
    with serving([QWEN]) as hub:
        return case, measure(case, hub, rounds=1)


def test_a_program_is_measured_as_a_process_with_its_traffic(result: Result) -> None:
    _, (hubmem, bound) = result

    assert (hubmem.traffic.requests, bound.traffic.requests) == (5, 3)
    assert hubmem.traffic.waves >= 3
    assert bound.wall_seconds > 2 * LATENCY_SECONDS
    assert hubmem.cpu_seconds > bound.cpu_seconds > 0
    assert hubmem.peak_bytes > bound.peak_bytes > 5e6


def test_ratios_are_to_the_baseline(result: Result) -> None:
    _, (hubmem, bound) = result

    assert bound.wall_ratio == bound.cpu_ratio == 1
    assert hubmem.wall_ratio == pytest.approx(hubmem.wall_seconds / bound.wall_seconds)


def test_the_table_tells_a_target_that_is_met_from_one_that_is_not(result: Result) -> None:
    text = as_markdown([result], rounds=1)

    assert "| one file | requests | 5         | 5          | yes    |" in text
    assert "| one file | requests | 4         | 5          | **no** |" in text
    assert [row["met"] for row in as_json([result], rounds=1)["cases"][0]["targets"]] == [True, False]


def test_a_wave_begins_when_the_one_before_it_was_answered() -> None:
    together = [5.0, 5.0 + LATENCY_SECONDS / 2]

    assert waves([]) == 0
    assert waves(together) == 1
    assert waves([*together, 5.0 + LATENCY_SECONDS]) == 2
