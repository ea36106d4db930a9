"""What `adapter_config.json` says: changes to a base model, which must be found and added.

Source: `PeftConfig` and `LoraConfig` of peft 0.18.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hubmem import json_text
from hubmem.errors import MalformedConfig
from hubmem.weights.census import Census
from hubmem.weights.roles import Role

ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter and the model it changes.

    Attributes:
        kind: `peft_type`, such as `LORA`.
        base: the repo id, or a path of its author's machine, of the base model; None where none is named.
        base_revision: of the base, or None for its default branch.
        rank: of a low-rank adapter, or None.
        targets: the names or the one pattern of the modules it changes.
    """

    kind: str
    base: str | None
    base_revision: str | None
    rank: int | None
    targets: tuple[str, ...]


def parse_adapter(text: str) -> Adapter:
    """The adapter an `adapter_config.json` describes.

    Raises:
        MalformedConfig: not one.
    """
    raw = json_text.parse(text, ADAPTER_CONFIG, dict)
    targets = raw.get("target_modules")
    return Adapter(
        kind=_text(raw, "peft_type") or "unknown",
        base=_text(raw, "base_model_name_or_path"),
        base_revision=_text(raw, "revision"),
        rank=_rank(raw.get("r")),
        targets=(targets,) if isinstance(targets, str) else tuple(_strings(targets)),
    )


def changes(census: Census) -> Census:
    """The tensors of an adapter's own files, all in its role: embeddings and heads trained along with it too."""
    return census.changed(
        lambda group: group if group.role is Role.BUFFER else replace(group, role=Role.ADAPTER)
    )


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise MalformedConfig(
            f"expected string, got {json_text.name_of(type(value))}", key=f"{ADAPTER_CONFIG}: {key}"
        )
    return value or None


def _rank(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise MalformedConfig(f"expected a positive int, got {value!r}", key=f"{ADAPTER_CONFIG}: r")
    return value


def _strings(value: object) -> list[str]:
    return sorted(item for item in value if isinstance(item, str)) if isinstance(value, list) else []
