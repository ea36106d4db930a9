"""GPU memory that others published: measured by Qwen while generating, estimated by Hugging Face for Llama 3.1
(fixtures/papers)."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from hubmem.memory.cache import cache_bytes
from hubmem.memory.inference import plan_inference
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.units import GIB, KIB, MIB
from hubmem.weights.census import Census

from tests.truth import Comparison
from tests.truth.parameters import counted
from tests.weights.records import RECORDS

REASONS = {
    "GPTQ-Int4": "about the buffers of AutoGPTQ's ExLlama kernel: its largest matrix and 2,048 rows, in float16",
    "Qwen2.5-0.5B-Instruct AWQ, prompt of 1$": "the difference is one more embedding, as if its head were not tied",
    "B FP8": "the difference is one more embedding: small FP8 checkpoints do not tie their heads",
    "405B cache": "the first upload had 16 KV heads, today's config has 8",
}
_FOLDER = Path(__file__).parents[2] / "fixtures" / "papers"
_BYTES = {"GB": 10**9, "GiB": GIB, "MiB": MIB}
_TARGETS = {
    "BF16": None,
    "GPTQ-Int4": "gptq-int4",
    "GPTQ-Int8": "gptq-int8",
    "AWQ": "awq-int4",
    "FP8": "fp8-block",
}
_GROUPS = {"all": "GPU peak measured while generating", "decode": "GPU memory measured while decoding"}
# cuBLAS' default workspace before Hopper, `:4096:2:16:8`, and on it.
_WORKSPACES = {"A100-80GB": 2 * 4 * MIB + 8 * 16 * KIB, "H20-96GB": 32 * MIB}

Row = Mapping[str, str]


def rows() -> Iterator[Comparison]:
    """Every published figure whose model is bundled."""
    for row in _read("generation.csv"):
        yield Comparison(
            name=f"{row['model']} {row['precision']}, prompt of {int(row['input_tokens']):,}",
            group=_GROUPS[row["phase"]],
            unit="bytes",
            measured=_nbytes(row),
            predicted=_generation(row),
        )
    for row in _read("llama31.csv"):
        yield Comparison(
            name=f"{row['model']} {row['what']} {row['tokens']}".rstrip(),
            group=f"{row['status']} weights and caches of Llama 3.1",
            unit="bytes",
            measured=_nbytes(row),
            predicted=_part(row),
        )


def _generation(row: Row) -> int:
    """The larger of the prompt's pass and the last token's, or the last token's alone, and what cuBLAS holds.

    PyTorch allocates cuBLAS' workspace itself, so it is in what it reports.
    """
    architecture, census = _model(row["model"])
    prompt, new = int(row["input_tokens"]), int(row["new_tokens"])
    asked = Workload(context=prompt, weight_dtype=_TARGETS[row["precision"]])
    # The last of the new tokens is not read again.
    full = replace(asked, context=prompt + new - 1)
    peak = plan_inference(architecture, census, full).peaks["decode"]
    if row["phase"] == "all":
        peak = max(peak, plan_inference(architecture, census, asked).peaks["prefill"])
    return peak + _WORKSPACES[row["gpu"]]


def _part(row: Row) -> int | None:
    architecture, census = _model(row["model"])
    if row["what"] == "weights":
        return census.loaded_bytes
    return cache_bytes(architecture, Workload(context=int(row["tokens"])), stored=census.main_dtype)


def _nbytes(row: Row) -> float:
    return float(row["value"]) * _BYTES[row["unit"]]


@cache
def _model(repo: str) -> tuple[Architecture | None, Census]:
    return read_architecture(Config(RECORDS[repo]["config"])), counted(repo)


def _read(name: str) -> Iterator[Row]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
