"""Repos of several models: diffusers pipelines and the modules of sentence-transformers.

The list of components lies in a small file of the repo; which files hold a component's weights follows
the same rules as for a whole repo, in the component's folder.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from hubmem import json_text
from hubmem.errors import MalformedConfig, NoWeights, UsageError
from hubmem.weights.layout import Layout, Selection, choose

_PIPELINE = "model_index.json"
_MODULES = "modules.json"
# A module beyond the transformer itself is worth asking for only where it has weights.
_MODULE_WEIGHTS = re.compile(r"\d+_\w+/(model\.safetensors|pytorch_model\.bin)$")


def list_file(paths: Iterable[str], selection: Selection) -> str | None:
    """The small file that lists a repo's components, or None where the repo is one model.

    >>> list_file(["model_index.json", "unet/diffusion_pytorch_model.safetensors"], Selection())
    'model_index.json'
    >>> list_file(["modules.json", "model.safetensors", "1_Pooling/config.json"], Selection()) is None
    True
    """
    names = set(paths)
    if selection.file or selection.subfolder:
        return None
    if _PIPELINE in names:
        return _PIPELINE
    has_modules = _MODULES in names and any(map(_MODULE_WEIGHTS.match, names))
    return _MODULES if has_modules else None


def components(paths: Iterable[str], path: str, text: str, selection: Selection) -> tuple[Layout, ...]:
    """The layouts of a repo's components, in the order their list names them.

    Raises:
        MalformedConfig: the list is not one.
        NoWeights: no component has weights that can be read.
    """
    names = frozenset(paths)
    listed = _pipeline(text) if path == _PIPELINE else _modules(text)
    found = tuple(
        layout for part, kind in listed if (layout := _component(names, part, kind, selection)) is not None
    )
    if not found:
        raise NoWeights(f"No component that {path} lists has weights that can be read.")
    return found


def _component(names: frozenset[str], part: str, kind: str, selection: Selection) -> Layout | None:
    """The layout of one component; None where its folder holds no weights, as a tokenizer's does."""
    if part and not any(name.startswith(f"{part}/") for name in names):
        return None
    inside = replace(selection, subfolder=part or None)
    # A variant that one component lacks is stored for the others: diffusers takes what there is.
    for wanted in (inside, replace(inside, variant=None)):
        with suppress(NoWeights, UsageError):
            return replace(choose(names, wanted), part=part, kind=kind)
    return None


def _pipeline(text: str) -> list[tuple[str, str]]:
    """`{"unet": ["diffusers", "UNet2DConditionModel"], …}`; `[null, null]` is a component left out."""
    return [
        (name, value[1])
        for name, value in json_text.parse(text, _PIPELINE, dict).items()
        if isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value)
    ]


def _modules(text: str) -> list[tuple[str, str]]:
    """`[{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}, …]`."""
    modules = json_text.parse(text, _MODULES, list)
    if not all(isinstance(module, Mapping) and isinstance(module.get("path"), str) for module in modules):
        raise MalformedConfig("expected a list of objects with a path.", key=_MODULES)
    return [(module["path"].strip("/"), str(module.get("type", "")).rpartition(".")[2]) for module in modules]
