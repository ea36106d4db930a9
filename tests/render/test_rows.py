"""The rows of a scan as CSV and Markdown."""

import csv
from itertools import chain
from typing import Any

import pytest
from hubmem.render.rows import Row, cell_text, flat_columns, render_csv, render_markdown
from tests.render.rows import GPUS, HOSTILE, STRUCK, USUAL, row, skip


def test_csv_has_a_line_a_repo_and_two_columns_an_accelerator() -> None:
    lines = list(csv.DictReader(render_csv(USUAL, GPUS)))

    assert [line["repo"] for line in lines] == [row.repo for row in USUAL]
    assert lines[0]["parameters"] == "12000000000"
    assert (lines[4]["RTX-4090"], lines[4]["RTX-4090 count"]) == ("tight", "2")
    assert (lines[2]["skipped"], lines[2]["RTX-4090"]) == ("no-weights", "")
    assert all(None not in line and None not in line.values() for line in lines), "as many values as columns"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula_to_a_spreadsheet(text: str) -> None:
    (line,) = csv.DictReader(render_csv([row("org/name", model_type=text)], GPUS))

    assert line["model_type"] == f"'{text.strip()}"


def test_a_negative_number_stays_one() -> None:
    (line,) = csv.DictReader(render_csv([row("org/name", parameters=-1)], GPUS))

    assert line["parameters"] == "-1"


def test_markdown_has_a_row_a_repo() -> None:
    assert "".join(render_markdown(USUAL, GPUS)).splitlines() == [
        "| repo | type | parameters | files GiB | max context | total GiB | RTX-4090 | 2xH100-80GB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| org/middle | llama | 12,000,000,000 | 12.00 | 8k | 12.00 | fits | 2× fits |",
        "| org/small | llama | 1,000,000,000 | 1.00 | 8k | 1.00 | fits | 2× fits |",
        "| org/empty | skipped: no-weights |  |  |  |  |  |  |",
        "| org/large | llama | 96,000,000,000 | 96.00 | 8k | 96.00 | no | 2× fits |",
        "| org/split | gpt2 | 40,000,000,000 | 40.00 | 8k | 40.00 | 2× tight | 2× fits |",
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_markup_in_markdown(text: str) -> None:
    page = "".join(render_markdown([row(text, model_type=text), skip(text)], GPUS))

    assert page.count("\n") == 4
    cells = [line.replace("\\|", "").count("|") for line in page.strip().split("\n")]
    assert len(set(cells)) == 1, "no text ends its cell"
    assert not any(f"{mark}" in page.replace(f"\\{mark}", "") for mark in "<>[]`")


def test_rows_are_rendered_as_they_come() -> None:
    """A scan of any size is written without being held."""
    endless = chain.from_iterable([USUAL[0]] for _ in iter(int, 1))

    lines = render_csv(endless, GPUS)

    assert next(lines).startswith("repo,")
    assert next(lines).startswith("org/middle,")


def test_an_unknown_model_has_no_type_context_or_cache() -> None:
    value: dict[str, Any] = {
        "schema": "hubmem.report/1",
        "repo": "org/new",
        "commit": None,
        "architecture": None,
        "parameters": {"total": 5, "active": 5},
        "weights": {"format": "safetensors", "quantization": None, "stored_bytes": 10},
        "workload": {"context": 8192, "batch": 1},
        "cache": None,
        "plan": {"total_bytes": 20},
        "verdicts": [],
    }

    unknown = Row.of(value)

    assert (unknown.model_type, unknown.max_context, unknown.cache_bytes) == (None, None, None)
    assert "unknown" in "".join(render_markdown([unknown], []))


def test_a_no_says_no_whatever_the_number() -> None:
    assert [cell_text(cell) for cell in (*USUAL[3].cells, *USUAL[4].cells)] == [
        "no",
        "2× fits",
        "2× tight",
        "2× fits",
    ]


def test_hostile_rows_have_all_columns() -> None:
    lines = list(csv.reader(render_csv(STRUCK, GPUS)))

    assert {len(line) for line in lines} == {len(flat_columns(GPUS))}
