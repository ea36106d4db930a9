"""The caches in `fixtures/cache/sweep.jsonl.xz` have one form, cover every type and obey simple laws."""

import json
import lzma
import math
from pathlib import Path
from typing import Any

from hubmem import templates

SWEEP = Path(__file__).parents[1] / "fixtures" / "cache" / "sweep.jsonl.xz"
CONTEXTS = [8, 64, 200]
# transformers 5.23 has 311 types in its mappings of classes that generate.
GENERATING_TYPES = 311
# 5.23 builds no model whose layers are all shared, and no cache for BLT: its config has no number of layers.
NOT_BUILT = {"blt", "gemma4_assistant", "gemma4_unified_assistant"}

HEAD = {"schema": str, "name": str, "model_type": str, "class": str, "transformers": str}
BODY = {
    "config": dict,
    "config_hub": dict,
    "parameters_total": int,
    "tied": list,
    "header": list,
    "cache": list,
    "notes": list,
}

with lzma.open(SWEEP, "rt", encoding="utf-8") as lines:
    ROWS: list[dict[str, Any]] = [json.loads(line) for line in lines]
MEASURED = [row for row in ROWS if "unmeasured" not in row]


def bytes_at(row: dict[str, Any], batch: int) -> dict[int, int]:
    return {point["context"]: point["bytes"] for point in row["cache"] if point["batch"] == batch}


def test_every_generating_type_has_one_plain_row() -> None:
    plain = [row["model_type"] for row in ROWS if row["name"] == row["model_type"]]
    assert len(plain) == len(set(plain)) == GENERATING_TYPES
    assert len({row["name"] for row in ROWS}) == len(ROWS)


def test_all_types_but_three_are_measured() -> None:
    assert {row["name"] for row in ROWS if "unmeasured" in row} == NOT_BUILT


def test_all_rows_are_of_one_transformers_version() -> None:
    assert {row["transformers"] for row in ROWS} == {"5.23.0"}


def has_the_schema(row: dict[str, Any]) -> bool:
    expected = HEAD | ({"unmeasured": str} if "unmeasured" in row else BODY)
    return {key: type(value) for key, value in row.items()} == expected


def test_rows_have_the_keys_of_the_schema_and_no_others() -> None:
    assert [row["name"] for row in ROWS if not has_the_schema(row)] == []


def test_a_name_is_the_type_or_the_type_and_a_variant() -> None:
    assert [row["name"] for row in ROWS if row["name"].partition("@")[0] != row["model_type"]] == []


def test_rows_are_measured_at_every_point_but_encoders_at_none() -> None:
    everywhere = [(batch, context) for batch in (1, 2) for context in CONTEXTS]
    for row in MEASURED:
        points = [(point["batch"], point["context"]) for point in row["cache"]]
        assert points == ([] if row["name"].endswith("@encoder") else everywhere), row["name"]


def test_cache_bytes_are_linear_in_the_batch() -> None:
    for row in MEASURED:
        doubled = {context: 2 * nbytes for context, nbytes in bytes_at(row, 1).items()}
        assert bytes_at(row, 2) == doubled, row["name"]


def test_cache_bytes_never_fall_as_the_context_grows() -> None:
    for row in MEASURED:
        nbytes = list(bytes_at(row, 1).values())
        assert nbytes == sorted(nbytes), row["name"]


def test_header_rows_stand_for_distinct_tensors() -> None:
    for row in MEASURED:
        names = [name for template, _, _ in row["header"] for name in templates.expand(template)]
        assert len(names) == len(set(names)), row["name"]


def test_headers_hold_the_parameters() -> None:
    """A header also holds buffers; it lacks only parameters that are computed anew (Marian's positions)."""
    for row in MEASURED:
        held = sum(templates.count(template) * math.prod(shape) for template, _, shape in row["header"])
        assert held >= row["parameters_total"] or row["model_type"] == "marian", row["name"]


def test_of_tensors_that_are_tied_one_is_saved() -> None:
    for row in MEASURED:
        names = {name for template, _, _ in row["header"] for name in templates.expand(template)}
        assert all(len(names.intersection(group)) <= 1 for group in row["tied"]), row["name"]


def test_both_spellings_of_a_config_name_the_class() -> None:
    for row in MEASURED:
        assert row["config"]["architectures"] == row["config_hub"]["architectures"] == [row["class"]]
