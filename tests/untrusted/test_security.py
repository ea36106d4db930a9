"""SECURITY.md is about the code and the tests there are: every bound has its value, every proof exists."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from hubmem.units import format_binary

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".github" / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| input", "| | "))
]
PROOFS = sorted(set(re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", TEXT)))
BOUNDED = [row for row in ROWS if len(row) == 4]
POWERS = {2**40: "2⁴⁰", 2**53: "2⁵³", 2**63: "2⁶³"}


def place(name: str) -> Any:
    """A module, or something in one: `hub.remote._LARGEST_TEXT`."""
    full = name if name.startswith("tests.") else f"hubmem.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError:
        module, _, attribute = full.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(("path", "name"), PROOFS, ids=str)
def test_a_proof_is_a_test_there_is(path, name):
    text = (ROOT / path).read_text(encoding="utf-8")

    assert not name or re.search(rf"def {name}\b", text)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_row_has_a_proof(row):
    assert "`tests/" in row[-1]


@pytest.mark.parametrize("row", BOUNDED, ids=lambda row: row[0][:40])
def test_a_bound_has_the_value_it_has_in_the_code(row):
    _, bound, places, _ = row
    for name in re.findall(r"`([\w.]+)`", places):
        value = place(name)
        if isinstance(value, int):
            shown = {f"{value:,}", format_binary(value), POWERS.get(value, "")} - {""}
            assert any(re.search(rf"(?<![\d,]){re.escape(each)}(?!,?\d)", bound) for each in shown), name


def test_there_are_as_many_bounds_as_there_were():
    """A table that was not found has no row to fail."""
    assert len(BOUNDED) >= 25
    assert len(ROWS) - len(BOUNDED) >= 7
