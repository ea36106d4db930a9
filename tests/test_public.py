"""What other programs may build on, frozen: a change here is a new major version, an addition a new minor one."""

import inspect as introspection
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import hubmem
import pytest
from hubmem import errors
from hubmem.contract import SCHEMA as REPORT_SCHEMA
from hubmem.memory.workload import Workload
from hubmem.report import Report
from hubmem.request import Request
from hubmem.scanning.skipped import SCHEMA as SKIPPED_SCHEMA
from hubmem.scanning.skipped import Skipped

REFERENCE = (Path(__file__).parents[1] / ".github" / "REPORT.md").read_text(encoding="utf-8")
FUNCTIONS = {
    "inspect": {
        "revision": None, "token": None, "offline": False, "bundled": True, "variant": None, "subfolder": None,
        "file": None, "siblings": True, "observer": None, "warn": None,
    },
    "scan": {
        "executor": None, "threads": 16, "token": None, "offline": False, "bundled": True, "observer": None,
        "warn": None,
    },
}  # fmt: skip
# What `**request` takes, with what is asked where nothing is said.
REQUEST = {
    "gpus": (), "gpus_file": None, "cloud": False, "bandwidth": "1Gbit/s", "context": None, "dtype": None,
    "kv_dtype": None, "cache_policy": None,
}  # fmt: skip
WORKLOAD = {
    "engine": "transformers",
    "batch": 1,
    "encoder_context": None,
    "attention": "sdpa",
    "train": None,
    "precision": "bf16",
    "checkpointing": "none",
    "optimizer": "adamw",
    "rank": 16,
    "lora_targets": "attention",
    "accumulation": 1,
    "tp": 1,
    "pp": 1,
    "ep": 1,
    "dp": 1,
    "zero": 0,
    "gpu_memory_utilization": 0.9,
}
REPORT = {
    "snapshot", "census", "quantization", "architecture", "workload", "cache", "plan", "verdicts", "notes",
    "active_parameters", "fits_all", "rules", "to_dict",
}  # fmt: skip
SKIPPED = {"repo", "reason", "message", "hint", "retryable", "commit", "to_dict"}
CONTRACT = {
    "": {
        "schema", "repo", "revision", "commit", "source", "gated", "architecture", "parameters", "weights",
        "workload", "cache", "plan", "verdicts", "adapter", "components", "alternatives", "notes", "cost",
    },
    "architecture": {
        "model_type", "class", "layers", "hidden_size", "intermediate_size", "heads", "kv_heads", "head_dim",
        "vocab_size", "max_context", "dtype", "experts", "experts_per_token", "tied_embeddings",
        "layer_kinds", "encoder_layers", "latent_dim",
    },
    "parameters": {"total", "active", "stored", "buffers", "by_role", "by_dtype", "basis"},
    "weights": {"format", "files", "stored_bytes", "quantization"},
    "workload": {
        "mode", "engine", "batch", "context", "weight_dtype", "kv_dtype", "optimizer", "adapter",
        "checkpointing", "precision", "attention", "tp", "pp", "ep", "dp", "zero",
    },
    "cache": {"bytes", "bytes_per_token", "policy"},
    "plan": {
        "terms", "moment", "peaks", "allocated_bytes", "reserved_bytes", "total_bytes", "per_gpu_bytes",
    },
    "verdicts": {
        "gpu", "gpus", "tp", "required_bytes", "usable_bytes", "verdict", "max_context", "max_batch",
        "advice", "smallest",
    },
    "cost": {"requests", "bytes_received", "seconds"},
}  # fmt: skip
EXIT_CODES = {
    "HubmemError": 3,
    "UsageError": 2,
    "UnknownGpu": 2,
    "UnreadableRepo": 3,
    "RepoNotFound": 3,
    "RevisionNotFound": 3,
    "GatedRepo": 3,
    "TokenRefused": 3,
    "RangeIgnored": 3,
    "NoWeights": 3,
    "MalformedConfig": 3,
    "MalformedWeights": 3,
    "HubUnreachable": 4,
    "NotCached": 4,
    "RateLimited": 4,
    "StoreUnavailable": 4,
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return hubmem.inspect("openai-community/gpt2", offline=True).to_dict()


def test_the_names_of_the_package():
    assert set(hubmem.__all__) == {"HubmemError", "Report", "Skipped", "inspect", "scan"}


@pytest.mark.parametrize(("name", "arguments"), FUNCTIONS.items())
def test_a_function_is_called_as_it_was(name: str, arguments: dict[str, object]):
    first, *rest = introspection.signature(getattr(hubmem, name)).parameters.values()
    found = {each.name: each.default for each in rest}

    assert first.name == {"inspect": "model", "scan": "repos"}[name]
    assert {each: found.get(each, MISSING) for each in arguments} == arguments
    assert all(each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD) for each in rest)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_each_argument_is(name: str):
    documented = introspection.getdoc(getattr(hubmem, name)) or ""
    arguments = introspection.signature(getattr(hubmem, name)).parameters

    assert [each for each in arguments if f"\n    {each}: " not in documented] == []


@pytest.mark.parametrize(("name", "default"), REQUEST.items())
def test_a_request_takes_what_it_took(name: str, default: object):
    assert introspection.signature(Request.of).parameters[name].default == default


@pytest.mark.parametrize(("name", "default"), WORKLOAD.items())
def test_a_workload_has_the_fields_it_had(name: str, default: object):
    found = {field.name: field.default for field in fields(Workload)}

    assert found.get(name, MISSING) == default


def test_a_report_and_a_skip_have_what_they_had():
    assert set(dir(Report)) >= REPORT
    assert set(dir(Skipped)) >= SKIPPED
    assert (REPORT_SCHEMA, SKIPPED_SCHEMA) == ("hubmem.report/1", "hubmem.skipped/1")


def test_every_error_ends_in_its_exit_code():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]

    assert {kind.__name__: kind.exit_code for kind in kinds} == EXIT_CODES
    assert all(issubclass(kind, hubmem.HubmemError) for kind in kinds)


@pytest.mark.parametrize(("part", "keys"), CONTRACT.items())
def test_the_json_has_the_keys_it_had(report: dict[str, Any], part: str, keys: set[str]):
    found = report[part] if part else report
    first = found[0] if isinstance(found, list) else found

    assert first.keys() >= keys


def documented(heading: str) -> set[str]:
    """The keys in the table under a heading of the reference."""
    section = REFERENCE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    first_cells = (line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    return {key for cell in first_cells for key in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize(
    "heading", ["architecture", "parameters", "weights", "workload", "cache", "plan", "host"]
)
def test_the_reference_has_every_key_of_a_part_and_no_other(report: dict[str, Any], heading: str):
    assert documented(heading) == set(report[heading])


def test_the_reference_has_every_key_of_the_report_its_terms_and_verdicts(report: dict[str, Any]):
    assert documented("The report") == set(report)
    assert documented("a term") == set(report["plan"]["terms"][0])
    assert documented("a verdict") == set(report["verdicts"][0])
