"""The Hub's own counts: a page of its list answers for every repo on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubmem.inspection import assess
from hubmem.request import Request
from hubmem.scanning.counts import counted
from hubmem.scanning.skipped import Skipped
from hubmem.snapshot import Snapshot

from tests.hub_server import HubServer, Settings
from tests.scanning.conftest import Outcome, read_lines
from tests.scanning.models import model, models, parameters, without_weights

Hub = Callable[..., HubServer]
Scan = Callable[..., Outcome]


def row(**fields: Any) -> dict[str, Any]:
    return {"id": "org/name", "sha": "a" * 40, **fields}


def test_a_page_answers_for_all_its_repos(hub: Hub, scan: Scan) -> None:
    server = hub(
        *models(25),
        without_weights("org/empty"),
        model("org/packed", config={"quantization_config": {"quant_method": "gptq", "bits": 4}}),
        settings=Settings(quotas={}, list_page_size=10),
    )

    outcome = scan("--author", "org", "--counts")

    assert [entry.path for entry in server.requests] == ["/api/models"] * 3
    reports = {line["repo"]: line for line in outcome.lines if "reason" not in line}
    assert {name: line["parameters"]["total"] for name, line in reports.items()} == {
        f"org/m{number}": parameters(256 + number) for number in range(25)
    }
    assert {line["parameters"]["basis"] for line in reports.values()} == {"hub-api"}
    reasons = {line["repo"]: line["reason"] for line in outcome.lines if "reason" in line}
    assert reasons == {"org/empty": "no-weights", "org/packed": "uncounted"}


def test_weights_agree_with_what_reading_finds(hub: Hub, scan: Scan) -> None:
    hub(*models(1))

    (by_counts,), (read,) = scan("--author", "org", "--counts").lines, scan("org/m0").lines

    assert by_counts["weights"]["stored_bytes"] == read["weights"]["stored_bytes"]
    assert by_counts["commit"] == read["commit"]
    assert by_counts["cache"] is None
    assert "no file was read" in " ".join(by_counts["notes"])


def test_buffers_are_no_parameters() -> None:
    snapshot = counted(row(safetensors={"parameters": {"F32": 100, "I64": 514}, "total": 614}))

    assert isinstance(snapshot, Snapshot)
    parts = assess(snapshot, Request.of()).to_dict()["parameters"]
    assert (parts["total"], parts["buffers"], parts["stored"]) == (100, 514, 614)


def test_a_total_that_contradicts_its_parts_is_not_believed() -> None:
    """A published repo had a total of 333,312 beside 7,615,616,512 parameters: huggingface_hub#4221."""
    snapshot = counted(row(safetensors={"parameters": {"BF16": 7_615_616_512}, "total": 333_312}))

    assert isinstance(snapshot, Snapshot)
    assert snapshot.census.parameters == 7_615_616_512


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"safetensors": None},
        {"safetensors": {"total": 5}},
        {"safetensors": {"parameters": []}},
        {"safetensors": {"parameters": {"BF16": "5"}}},
        {"safetensors": {"parameters": {"BF16": 0}}},
        {"safetensors": {"parameters": {"BF16": 5, "UE8": 5}}},
        {"safetensors": {"parameters": {"I32": 8}}, "config": {"quantization_config": {"bits": 4}}},
    ],
    ids=str,
)
def test_what_counts_cannot_tell_is_a_skip_that_says_what_can(fields: dict[str, Any]) -> None:
    skip = counted(row(**fields))

    assert isinstance(skip, Skipped)
    assert (skip.reason, skip.hint) == ("uncounted", "Scan it without --counts.")


def test_named_repos_are_not_on_a_list(scan: Scan) -> None:
    assert scan("org/m0", "--counts").code == 2


def test_a_store_of_counts_is_not_taken_for_one_of_files(hub: Hub, scan: Scan, tmp_path: Path) -> None:
    hub(*models(2))
    scan("--author", "org", "--counts", "-o", tmp_path / "out.jsonl")

    assert scan("--author", "org", "-o", tmp_path / "out.jsonl").code == 2
    assert len(read_lines(tmp_path / "out.jsonl")) == 2


def test_a_dry_run_counts_pages_alone(scan: Scan) -> None:
    outcome = scan("--author", "org", "--limit", "2500", "--counts", "--dry-run")

    assert "0 repos to read: 3 API requests" in outcome.out
