"""Verdicts against runs that somebody published: those that worked, and those that ran out of memory.

A yes may be `tight`. Where hubmem says otherwise, the row names why; a reason for a verdict that agrees is an error.
"""

import csv
from pathlib import Path
from typing import Any

import pytest
from hubmem import inspect
from hubmem.fit.verdict import Answer

FIXTURES = Path(__file__).parents[2] / "fixtures"


def rows(*path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(FIXTURES.joinpath(*path).read_text(encoding="utf-8").splitlines()))


RUNS, GENERATION = rows("verdicts", "runs.csv"), rows("papers", "generation.csv")
# Precisions of the tables by hubmem's names.
PRECISIONS = {
    "BF16": None,
    "FP8": "fp8-block",
    "AWQ": "awq-int4",
    "GPTQ-Int4": "gptq-int4",
    "GPTQ-Int8": "gptq-int8",
}


def value(text: str) -> Any:
    """A value of the fixture as Python has it."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def options(row: dict[str, str]) -> dict[str, Any]:
    return {name: value(text) for name, _, text in (pair.partition("=") for pair in row["options"].split())}


def name(row: dict[str, str]) -> str:
    return f"{row['published_as'] or row['model']} on {row['gpu']}: {row['outcome']}"


def answer_to(model: str, gpu: str, **asked: Any) -> Answer:
    [verdict] = inspect(model, offline=True, gpus=[gpu], **asked).verdicts
    return verdict.fit.answer


@pytest.mark.parametrize("row", RUNS, ids=name)
def test_the_verdict_is_what_happened(row):
    agrees = (answer_to(row["model"], row["gpu"], **options(row)) is Answer.NO) == (
        row["outcome"] == "out of memory"
    )

    assert agrees != bool(row["miss"])


@pytest.mark.parametrize(
    "row", GENERATION, ids=lambda row: f"{row['model']} {row['precision']} {row['input_tokens']}"
)
def test_what_generated_on_one_gpu_is_no_no(row):
    context = int(row["input_tokens"]) + int(row["new_tokens"])
    answer = answer_to(row["model"], row["gpu"], context=context, dtype=PRECISIONS[row["precision"]])

    assert answer is not Answer.NO


def test_both_outcomes_are_among_the_runs():
    outcomes = [row["outcome"] for row in RUNS]

    assert set(outcomes) == {"ran", "out of memory"}
    assert all(row["source"] for row in RUNS)
