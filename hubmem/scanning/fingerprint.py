"""What a scan asks of every repo, as text: a store keeps it, and holds answers to one such text only."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from enum import Enum
from typing import Any

from hubmem.fit.gpus import Target
from hubmem.memory.workload import DEFAULT_CONTEXT, Workload
from hubmem.request import Request

# Of a workload, what every scan is described by; of the rest, what is not as usual.
_ALWAYS_SAID = frozenset({"engine", "batch", "context", "weight_dtype", "train"})


def fingerprint(request: Request, *, by_counts: bool = False) -> str:
    """A request as text, and whether the Hub's own counts are to answer it."""
    values = {
        **asdict(replace(request, targets=())),
        "gpus": columns(request),
        "memory_bytes": [target.gpu.memory_bytes for target in request.targets],
        "by_counts": by_counts,
    }
    return json.dumps(values, default=_plain, sort_keys=True)


def columns(request: Request) -> list[str]:
    """The headings of a request's accelerators, in its order."""
    return list(map(_column, request.targets))


def columns_of(text: str) -> list[str]:
    """The same from a fingerprint."""
    return list(json.loads(text)["gpus"])


def in_words(text: str) -> str:
    """A fingerprint for people.

    >>> in_words(fingerprint(Request.of(context=4096, dtype="nf4", tp=2)))
    'inference · transformers · batch 1 · 4,096 tokens · weights as nf4 · tp 2'
    """
    values = json.loads(text)
    workload, context = values["workload"], values["context"]
    parts = [
        f"{workload['train']} training" if workload["train"] else "inference",
        workload["engine"],
        f"batch {workload['batch']}",
        f"{context:,} tokens" if context else f"{DEFAULT_CONTEXT:,} tokens or the model's limit",
        f"weights as {workload['weight_dtype'] or 'stored'}",
        *_unusual(workload),
        *(["by the Hub's counts"] if values["by_counts"] else []),
    ]
    return " · ".join(parts)


def _unusual(workload: Mapping[str, Any]) -> Iterator[str]:
    usual = Workload()
    for name in (field.name for field in fields(Workload)):
        if name not in _ALWAYS_SAID and workload[name] != getattr(usual, name):
            yield f"{name.replace('_', ' ')} {workload[name]}"


def _column(target: Target) -> str:
    return f"{target.count}x{target.gpu.name}" if target.count else target.gpu.name


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else str(value)
