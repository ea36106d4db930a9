"""Rows to render: a few models, and one of everything a hostile repo may write."""

from hubmem.render.rows import Cell, Row

GPUS = ["RTX-4090", "2xH100-80GB"]
HOSTILE = [
    "</script><script>window.struck = 1</script>",
    "<img src=x onerror=window.struck=1>",
    "'\"><svg/onload=window.struck=1>",
    "<!--<script>",
    "]]>{{7*7}}${7*7}",
    "javascript:window.struck=1",
    "\u2028\u2029\ud800 =1+1 | `code` [link](javascript:window.struck=1)",
]


def row(repo: str, *, required: int = 12, verdict: str = "fits", gpus: int = 1, **fields: object) -> Row:
    """A report; sizes in GiB of a 24 GiB card and two of 80 GiB."""
    gib = 2**30
    values = {
        "commit": "a" * 40,
        "skipped": "",
        "message": "",
        "model_type": "llama",
        "parameters": required * 10**9,
        "active_parameters": required * 10**9,
        "format": "safetensors",
        "stored_bytes": required * gib,
        "max_context": 8192,
        "context": 8192,
        "batch": 1,
        "cache_bytes": gib,
        "total_bytes": required * gib,
        "cells": (
            Cell(gpus=gpus, verdict=verdict, required=required * gib // gpus, usable=24 * gib),
            Cell(gpus=2, verdict="fits", required=required * gib // 2, usable=80 * gib),
        ),
        **fields,
    }
    return Row(repo=repo, **values)  # type: ignore[arg-type]


def skip(repo: str, message: str = "The repo holds no weights.") -> Row:
    return Row(repo=repo, commit=None, skipped="no-weights", message=message)


USUAL = [
    row("org/middle", required=12),
    row("org/small", required=1),
    skip("org/empty"),
    row("org/large", required=96, verdict="no"),
    row("org/split", required=40, gpus=2, verdict="tight", model_type="gpt2"),
]
STRUCK = [
    *(row(text, model_type=text, quantization=text) for text in HOSTILE),
    *(skip(text, message=text) for text in HOSTILE),
]
