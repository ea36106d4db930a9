"""What a transformers config class assumes where `config.json` is silent.

Many configs on the Hub hold only what differs from their class (gemma-3-4b-it has no number of heads at
all). The table is generated from transformers, which is not needed at run time; `data/class_defaults.json`
names its version.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDefaults:
    """One config class.

    Attributes:
        values: what it assumes for an absent key, older spellings of keys included; null where it computes
            the value from others.
        attribute_map: its own spelling of a canonical key (`hidden_size` → `n_embd`).
        sub_configs: the model type of each nested config.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    attribute_map: Mapping[str, str] = field(default_factory=dict)
    sub_configs: Mapping[str, str] = field(default_factory=dict)


_NONE = ClassDefaults()


@lru_cache(maxsize=64)
def class_defaults(model_type: str) -> ClassDefaults:
    """The class of a model type; one without any facts where transformers does not know the type."""
    row = _table().get(model_type)
    if row is None:
        return _NONE
    if "same_as" in row:
        return class_defaults(row["same_as"])
    return ClassDefaults(
        values={**row.get("legacy", {}), **row.get("defaults", {})},
        attribute_map=row.get("attribute_map", {}),
        sub_configs=row.get("sub_configs", {}),
    )


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    text = (files("hubmem") / "data" / "class_defaults.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)["types"]
    return table
