"""Peaks of real transformers classes, traced on fake tensors (fixtures/peaks), beside what the plan says of them."""

import csv
import json
import lzma
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Experts
from hubmem.weights import counting
from hubmem.weights.census import Census

from tests.models.architectures import architecture_of
from tests.truth import Comparison
from tests.weights.censuses import census_of

SOURCE = (
    "fixtures/peaks/trace.py: transformers 5.23, torch 2.13, peft 0.21, every storage counted until it dies"
)
UNSEEN = "families never seen"

_PEAKS = Path(__file__).parents[2] / "fixtures" / "peaks"
_STORED = {"fp32": "F32", "amp": "F32", "bf16": "BF16", "bf16-amp": "BF16", "fp16": "F16"}
_PRECISION = {"bf16-amp": "amp"}
_OPTIMIZERS = {"adamw-fused": "adamw"}
_PHASES = ("prefill", "decode")

OVER_3_PERCENT: Mapping[str, str] = {}
# What the class's code does and neither its config nor its shapes show: these need the facts they have.
UNSHOWN = {
    "falcon-7b-10-layers": "hands one key to many heads without saying so, which no fused kernel takes",
    "xglm-564m": "clamps its scores",
    "openai-gpt": "takes the tanh form of gelu by a name of its own, and no fused kernel",
    "llama4-scout-4-layers": "runs every expert for every token",
    "llama4-scout-2-layers-seeing": "runs every expert for every token",
}
# Other misses that are understood, by a pattern found in their group and name.
UNDERSTOOD = {
    "decode peak: xglm": "past its 2,048 positions its code makes the table of sines anew, by way of float32",
}
REASONS = {
    **UNDERSTOOD,
    **{f": {model} ": reason for model, reason in OVER_3_PERCENT.items()},
    **{f"{UNSEEN}: .*: {model} ": reason for model, reason in UNSHOWN.items()},
}

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Traced:
    """One traced run of one model, as hubmem sees it."""

    row: Row
    architecture: Architecture
    census: Census
    workload: Workload

    @property
    def name(self) -> str:
        """The model and what is unusual about the setting."""
        facts = ("attention", "batch", "tokens", "precision", "optimizer", "lora_targets", "quantization")
        flags = ("padded", "full_logits", "checkpointing", "accumulated", "dora")
        words = [self.row["model"], *(self.row[fact] for fact in facts)]
        words += ["dropout"] if float(self.row["lora_dropout"]) else []
        words += ["fused loss"] if self.row["fused_loss"] == "True" else []
        words += [flag for flag in flags if self.row[flag] == "True"]
        return " ".join(filter(None, words))

    @cached_property
    def plan(self) -> Plan:
        """What hubmem says of it."""
        plan = plan_training if self.workload.train else plan_inference
        return plan(self.architecture, self.census, self.workload)

    @property
    def adapts_by_name(self) -> bool:
        """Whether peft adapts experts, which it does in the families on a list of its own."""
        return self.row["lora_targets"] == "all-linear" and any(
            isinstance(layer.feed_forward, Experts) for layer in self.architecture.layers
        )

    @property
    def as_unseen(self) -> "Traced":
        """The same for a hubmem that has no facts about the family but its config's and its shapes."""
        nameless = replace(self.architecture.switches, model_type="")
        return replace(self, architecture=replace(self.architecture, model_type="", switches=nameless))


def rows() -> Iterator[Comparison]:
    """Every traced peak: of families hubmem has facts about, and again as though it had none."""
    for traced in runs():
        yield from compared(traced, prefix="")
        if not traced.architecture.encoder and not traced.adapts_by_name:
            yield from compared(traced.as_unseen, prefix=f"{UNSEEN}: ")


@cache
def runs() -> tuple[Traced, ...]:
    """The rows of peaks.csv."""
    with (_PEAKS / "peaks.csv").open(encoding="utf-8", newline="") as file:
        return tuple(map(_traced, csv.DictReader(file)))


def _traced(row: Row) -> Traced:
    architecture, census = model(row["model"], _STORED[row["precision"]])
    return Traced(row=row, architecture=architecture, census=census, workload=_workload(row, architecture))


def compared(traced: Traced, *, prefix: str) -> Iterator[Comparison]:
    """The peak of a training step, or those of prefill and decode."""
    row = traced.row
    if traced.workload.train:
        yield Comparison(
            name=traced.name,
            group=f"{prefix}{_group(row)}",
            unit="bytes",
            measured=int(row["peak_nbytes"]),
            predicted=traced.plan.allocated_bytes,
        )
        return
    peaks = traced.plan.peaks
    for phase in _PHASES:
        if row[f"{phase}_nbytes"]:
            yield Comparison(
                name=f"{traced.name} {phase}",
                group=f"{prefix}{phase} peak",
                unit="bytes",
                measured=int(row[f"{phase}_nbytes"]),
                predicted=peaks.get(phase),
            )


@cache
def model(name: str, dtype: str) -> tuple[Architecture, Census]:
    """A traced model's architecture and its tensors, stored in a dtype."""
    record = _models()[name]
    architecture = architecture_of(record["config"])
    census = census_of({name: tuple(shape) for name, shape in record["tensors"].items()}, dtype)
    return architecture, counting.count(census, tied_embeddings=architecture.tied_embeddings)


@cache
def _models() -> dict[str, Any]:
    return dict(json.loads(lzma.decompress((_PEAKS / "shapes.json.xz").read_bytes())))


@cache
def _facts() -> dict[str, Any]:
    """The rows of models.json."""
    rows = json.loads((_PEAKS / "models.json").read_text(encoding="utf-8"))
    return {row["name"]: row for row in rows}


def _targets(row: Row) -> str:
    """The layers that LoRA adapts, by the end of their names; a pattern means the attention of the text."""
    names = _facts().get(row["model"], {}).get("lora", ("q_proj", "k_proj", "v_proj", "o_proj"))
    attention = row["lora_targets"] == "attention" and len(names) > 1
    return ",".join(names) if attention else row["lora_targets"]


def _group(row: Row) -> str:
    if row["quantization"]:
        return "QLoRA peak"
    return "LoRA peak" if row["lora_targets"] else "training peak"


def _workload(row: Row, architecture: Architecture) -> Workload:
    trains = row["mode"] == "training"
    tokens = int(row["tokens"])
    # An encoder-decoder reads `tokens` and writes one token more, or as many where labels are given.
    written = tokens if trains else 1
    if architecture.encoder and architecture.max_context:
        written = min(written, architecture.max_context)
    return Workload(
        batch=int(row["batch"]),
        context=written if architecture.encoder else tokens,
        encoder_context=tokens if architecture.encoder else None,
        images=_facts().get(row["model"], {}).get("images", 0),
        image_size=_facts().get(row["model"], {}).get("image_size", "1024x1024"),
        attention="eager" if row["attention"] == "eager" else "sdpa",
        attention_kernels="no-flash" if row["attention"] == "sdpa-turing" else "all",
        padded=row["padded"] == "True",
        full_logits=row["full_logits"] == "True",
        **(_training(row) if trains else {}),
    )


def _training(row: Row) -> dict[str, Any]:
    lora = row["lora_targets"]
    return {
        "train": "qlora" if row["quantization"] else "lora" if lora else "full",
        "precision": _PRECISION.get(row["precision"], row["precision"]),
        "weight_dtype": None if row["quantization"] or not lora else _STORED[row["precision"]],
        "checkpointing": "full" if row["checkpointing"] == "True" else "none",
        "loss": "fused" if row["fused_loss"] == "True" else "plain",
        "optimizer": _OPTIMIZERS.get(row["optimizer"], row["optimizer"]),
        "rank": int(row["lora_rank"]) or 16,
        "lora_targets": _targets(row) or "attention",
        "adapter_dtype": "fp32" if row["adapter_fp32"] == "True" or not lora else "model",
        "lora_dropout": float(row["lora_dropout"]),
        "dora": row["dora"] == "True",
        "accumulation": 2 if row["accumulated"] == "True" else 1,
    }
