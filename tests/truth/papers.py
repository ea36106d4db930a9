"""GPU memory that others published: measured by Qwen while generating, estimated by Hugging Face for Llama 3.1
(fixtures/papers)."""

import csv
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from hubmem.memory.cache import cache_bytes
from hubmem.memory.inference import plan_inference
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.units import GIB, MIB
from hubmem.weights.census import Census

from tests.truth import Comparison
from tests.truth.parameters import counted
from tests.weights.records import RECORDS

REASONS = {
    "GPTQ-Int8": "hubmem has no 8-bit GPTQ to convert to",
    "Qwen2.5-0.5B-Instruct AWQ, 1 ": "0.48 GiB for GPTQ-Int4, and its own 1.10 at 14,336 tokens, speak against it",
    "Qwen2.5": "not known: every figure is 0.03 to 0.2 GiB more than what the model's tensors take",
    "Qwen3-0.6B FP8": "more is published for it than for 8-bit GPTQ, which its tensors do not explain",
    "Qwen3": "not known: the published growth with the prompt is hardly more than the cache's",
    "405B cache": "the first upload had 16 KV heads, today's config has 8",
}
_FOLDER = Path(__file__).parents[2] / "fixtures" / "papers"
_BYTES = {"GB": 10**9, "GiB": GIB, "MiB": MIB}
_TARGETS = {"BF16": None, "GPTQ-Int4": "gptq-int4", "AWQ": "awq-int4", "FP8": "fp8-block"}

Row = Mapping[str, str]


def rows() -> Iterator[Comparison]:
    """Every published figure whose model is bundled."""
    for row in _read("generation.csv"):
        family = "Qwen2.5" if "Qwen2.5" in row["model"] else "Qwen3"
        yield Comparison(
            name=f"{row['model']} {row['precision']}, {row['input_tokens']} tokens and 2,048 new ones",
            group=f"{row['status']} GPU peak of generation, {family}",
            unit="bytes",
            measured=_nbytes(row),
            predicted=_generation(row) if row["precision"] in _TARGETS else None,
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
    """The larger of the prompt's pass and the last token's."""
    architecture, census = _model(row["model"])
    prompt, new = int(row["input_tokens"]), int(row["new_tokens"])
    asked = Workload(context=prompt, weight_dtype=_TARGETS[row["precision"]])
    # The last of the new tokens is not read again.
    full = Workload(context=prompt + new - 1, weight_dtype=asked.weight_dtype)
    return max(
        plan_inference(architecture, census, asked).peaks["prefill"],
        plan_inference(architecture, census, full).peaks["decode"],
    )


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
