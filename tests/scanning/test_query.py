"""Questions to a finished scan: conditions, statements, and what they may not do."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hubmem.errors import UsageError
from hubmem.scanning.query import find_store, select, spell_out

from tests.hub_server import HubServer
from tests.readme import README
from tests.scanning.conftest import Outcome, rows_in
from tests.scanning.models import model, models, parameters, without_weights

Hub = Callable[..., HubServer]
Scan = Callable[..., Outcome]
WIDE = 40_000_000
"""A vocabulary whose tables alone take 9.5 GiB."""


@pytest.fixture
def finished(hub: Hub, scan: Scan, tmp_path: Path) -> Path:
    """A scan of three small models, one that takes more than a small card has, and one without weights."""
    hub(*models(3), model("org/wide", vocabulary=WIDE), without_weights("org/empty"))
    output = tmp_path / "out.jsonl"
    names = ["org/m0", "org/m1", "org/m2", "org/wide", "org/empty"]
    assert scan(*names, "-o", output, "--gpu", "8GiB", "--gpu", "2x8GiB").code == 0
    return output


def repos(outcome: Outcome) -> set[str]:
    return {line["repo"] for line in outcome.lines}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("fits='8GiB'", {"org/m0", "org/m1", "org/m2"}),
        ("not fits='8GiB'", {"org/wide"}),
        ("fits = '4090' and total < 20e9", {"org/m0", "org/m1", "org/m2", "org/wide"}),
        ("model_type = 'llama' and parameters > 1e9", {"org/wide"}),
        ("max_context >= 4096", set()),
        ("true", {"org/m0", "org/m1", "org/m2", "org/wide"}),
    ],
)
def test_a_condition_picks_reports(finished: Path, scan: Scan, condition: str, expected: set[str]) -> None:
    outcome = scan("--query", condition, finished)

    assert (outcome.code, repos(outcome)) == (0, expected)


def test_fits_agrees_with_the_verdicts(finished: Path, scan: Scan) -> None:
    judged = scan(
        "--query", "SELECT repo FROM verdicts WHERE gpu = '8 GiB' AND gpus = 1 AND verdict <> 'no'", finished
    )

    assert repos(judged) == repos(scan("--query", "fits='8GiB'", finished))


def test_several_devices_are_no_question_to_a_store(finished: Path, scan: Scan) -> None:
    outcome = scan("--query", "fits='2xH100'", finished)

    assert outcome.code == 2
    assert "fits='2xH100' asks about several devices" in outcome.err


def test_a_statement_gives_rows_in_three_formats(finished: Path, scan: Scan) -> None:
    statement = "SELECT gpus, count(*) AS n FROM verdicts WHERE verdict <> 'no' GROUP BY gpus ORDER BY gpus"

    lines = scan("--query", statement, finished)
    table = scan("--query", statement, finished, "--format", "csv")
    page = scan("--query", statement, finished, "--format", "markdown")

    assert lines.lines == [{"gpus": 1, "n": 3}, {"gpus": 2, "n": 4}]
    assert list(csv.reader(table.out.splitlines())) == [["gpus", "n"], ["1", "3"], ["2", "4"]]
    assert page.out.splitlines()[0] == "| gpus | n |"


def test_skips_have_a_view(finished: Path, scan: Scan) -> None:
    outcome = scan("--query", "SELECT repo, reason FROM skipped", finished)

    assert outcome.lines == [{"repo": "org/empty", "reason": "no-weights"}]


def test_a_finished_scan_becomes_a_page_without_a_request(
    finished: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    outcome = scan("--query", "true", finished, "--format", "html")

    assert outcome.out.startswith("<!doctype html>")
    assert "2x8 GiB" in outcome.out


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM results",
        "SELECT * FROM nowhere",
        "total <",
        "1); DROP TABLE results; --",
        "WITH x AS (SELECT 1) DELETE FROM results",
        "fits='no such thing'",
        "fits='2x4090'",
    ],
)
def test_what_is_no_question_is_a_usage_error_and_changes_nothing(
    finished: Path, scan: Scan, query: str
) -> None:
    store = finished.with_name("out.jsonl.sqlite")
    before = rows_in(store, "SELECT count(*) FROM results")

    outcome = scan("--query", query, finished)

    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert rows_in(store, "SELECT count(*) FROM results") == before


@pytest.mark.parametrize("statement", ["ATTACH DATABASE '{}' AS other", "PRAGMA journal_mode", "VACUUM"])
def test_nothing_but_reading_is_allowed(finished: Path, tmp_path: Path, statement: str) -> None:
    with pytest.raises(UsageError):
        list(select(finished.with_name("out.jsonl.sqlite"), statement.format(tmp_path / "other")))
    assert not (tmp_path / "other").exists()


def test_a_row_shows_reports_only_in_formats_for_rows(finished: Path, scan: Scan) -> None:
    assert scan("--query", "SELECT 1", finished, "--format", "html").code == 2


def test_bytes_that_a_statement_makes_can_be_written_in_each_format_for_rows(
    finished: Path, scan: Scan
) -> None:
    for output_format in ("jsonl", "csv", "markdown"):
        outcome = scan("--query", "SELECT x'ff' AS bytes", finished, "--format", output_format)
        assert (outcome.code, "xff" in outcome.out) == (0, True)


class TestFindingTheStore:
    def test_the_only_one_in_the_folder_is_meant(
        self, finished: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(finished.parent)

        assert len(scan("--query", "true").lines) == 4

    def test_it_may_be_named_itself(self, finished: Path) -> None:
        store = finished.with_name("out.jsonl.sqlite")

        assert find_store([str(store)], Path()) == find_store([str(finished)], Path()) == store

    def test_none_or_several_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No store"):
            find_store([], tmp_path)
        for name in ("a.sqlite", "b.sqlite"):
            (tmp_path / name).touch()
        with pytest.raises(UsageError, match="2 stores"):
            find_store([], tmp_path)

    def test_a_file_that_is_no_store_is_refused(self, scan: Scan, tmp_path: Path) -> None:
        (tmp_path / "notes.sqlite").write_text("notes")

        outcome = scan("--query", "true", tmp_path / "notes.sqlite", "--format", "csv")

        assert outcome.code == 2


def test_quotes_elsewhere_are_left_alone() -> None:
    assert spell_out("model_type = 'fits'") == "model_type = 'fits'"


def test_parquet_has_the_columns_of_the_csv(finished: Path, scan: Scan, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: hubmem[parquet]")
    target = tmp_path / "out.parquet"

    assert scan("--query", "true", finished, "--format", "parquet", "-o", target).code == 0

    table = parquet.read_table(target)
    printed = list(csv.DictReader(scan("--query", "true", finished, "--format", "csv").out.splitlines()))
    assert table.column_names == list(printed[0])
    assert [{name: str(value or "") for name, value in row.items()} for row in table.to_pylist()] == [
        dict(row) for row in printed
    ]
    assert isinstance(table.to_pylist()[0]["parameters"], int)


def test_parquet_to_a_pipe_is_refused(finished: Path, scan: Scan) -> None:
    assert scan("--query", "true", finished, "--format", "parquet").code == 2


def test_without_pyarrow_parquet_says_what_to_install(
    finished: Path, scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    outcome = scan("--query", "true", finished, "--format", "parquet", "-o", tmp_path / "x.parquet")

    assert outcome.code == 2
    assert "hubmem[parquet]" in outcome.err
    assert not (tmp_path / "x.parquet").exists()


def test_the_columns_that_are_documented_are_there(finished: Path, scan: Scan) -> None:
    (row,) = scan("--query", "SELECT * FROM repos WHERE repo = 'org/m1'", finished).lines

    assert json.loads(row.pop("value"))["repo"] == "org/m1"
    assert row["parameters"] == parameters(257)
    assert {name for name, value in row.items() if value is None} <= {"experts", "quantization"}


@pytest.mark.parametrize("view", ["repos", "verdicts", "skipped"])
def test_the_readme_names_every_column_of_a_view(finished: Path, view: str) -> None:
    columns = rows_in(finished.with_name("out.jsonl.sqlite"), f"SELECT name FROM pragma_table_info('{view}')")

    (line,) = (line for line in README.read_text("utf-8").splitlines() if line.startswith(f"| `{view}` |"))

    assert re.findall(r"`(\w+)`", line)[1:] == [name for (name,) in columns]
