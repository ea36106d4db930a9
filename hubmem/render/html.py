"""A scan as one self-contained page: models down, accelerators across, a heat map to sort and search.

The page asks nothing of any network. What repos wrote reaches it as JSON inside a data block, from where its
script makes text nodes; its content security policy lets no other script run.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any

from hubmem.render.rows import Row

_FOLDER = files("hubmem.render") / "page"
# What would end the data block, or begin markup, in any parser; JSON takes these spellings for the same text.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def render(rows: Iterable[Row], gpus: Sequence[str], *, asked: str) -> Iterator[str]:
    """The page in parts, a row at a time.

    Args:
        rows: in the order they are first shown.
        gpus: the headings of the verdicts.
        asked: what every repo was asked, in a line.
    """
    style, script = (_FOLDER / "page.css").read_text("utf-8"), (_FOLDER / "page.js").read_text("utf-8")
    yield _HEAD.format(
        style_hash=_hash(style), script_hash=_hash(script), style=style, asked=html.escape(asked)
    )
    yield f'{{"gpus": {_embedded(list(gpus))}, "rows": ['
    for number, row in enumerate(rows):
        yield ("," if number else "") + "\n" + _embedded(_values(row))
    yield f"\n]}}</script>\n<script>{script}</script>\n</body>\n</html>\n"


def _values(row: Row) -> dict[str, Any]:
    values = {
        "repo": row.repo,
        "commit": row.commit,
        "skipped": row.skipped,
        "message": row.message,
        "type": row.model_type,
        "format": row.format,
        "quantization": row.quantization,
        "parameters": row.parameters,
        "files": row.stored_bytes,
        "total": row.total_bytes,
    }
    cells = [
        {"gpus": cell.gpus, "verdict": cell.verdict, "required": cell.required, "usable": cell.usable}
        for cell in row.cells
    ]
    known = {name: value for name, value in values.items() if value is not None}
    return {**known, "cells": cells}


def _embedded(value: Any) -> str:
    r"""JSON that may stand inside a script element.

    >>> _embedded("</script>&")
    '"\\u003c/script\\u003e\\u0026"'
    """
    text = json.dumps(value, separators=(",", ":"))
    for mark, escape in _ESCAPES.items():
        text = text.replace(mark, escape)
    return text


def _hash(text: str) -> str:
    """By which a content security policy knows an inline element.

    Source: https://www.w3.org/TR/CSP3/#match-element-to-source-list
    """
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none'; \
style-src '{style_hash}'; script-src '{script_hash}'">
<title>hubmem scan</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>Will it fit?</h1>
<p>{asked}</p>
<p id="legend"><span class="fits"><i></i>fits, by the memory taken</span>\
<span class="several"><i></i>on several, of each</span>\
<span class="tight"><i></i>tight</span>\
<span class="no"><i></i>no: times the memory there is</span></p>
<noscript><p>The table needs JavaScript; the data is in this file.</p></noscript>
</header>
<form role="search">
<input type="search" name="search" placeholder="repo, type, quantization" aria-label="Search">
<select name="verdict" aria-label="Verdict">
<option value="">all</option>
<option value="fits">fits</option>
<option value="no">does not fit</option>
<option value="skipped">skipped</option>
</select>
<select name="gpu" aria-label="Accelerator"><option value="">any accelerator</option></select>
<output name="shown"></output>
</form>
<main tabindex="0" aria-label="Models and accelerators">
<table>
<thead><tr></tr></thead>
<tbody></tbody>
</table>
<button id="more" type="button" hidden>Show more</button>
</main>
<footer>Made by hubmem from config files and weight headers; no weights were downloaded.</footer>
<script type="application/json" id="data">"""
