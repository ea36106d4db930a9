"""What a card's front matter says of the model it is about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hubmem.card.outline import FrontMatter
from hubmem.card.refusal import CardRefused
from hubmem.units import format_binary

# What tools write into `library_name` and `tags` of models they made, where the relation itself is left out.
_ADAPTER_MARKS = frozenset({"peft", "lora", "adapter"})
_QUANTIZED_MARKS = frozenset({"gguf", "awq", "gptq", "mlx", "bitsandbytes", "compressed-tensors", "exl2"})

# Cards with the results of a hundred benchmarks have some hundred kB.
_LARGEST = 512 * 2**10


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The keys hubmem reads; () and None where a card does not have them.

    Attributes:
        base_model: what the model was made from.
        base_model_relation: finetune, adapter, quantized or merge; where unsaid, by what made the model.
        kind: what the card belongs to: `model`, or `Space` or `dataset` where only these have such keys.
    """

    base_model: tuple[str, ...] = ()
    base_model_relation: str = "finetune"
    kind: str = "model"


def read_metadata(front_matter: FrontMatter) -> Metadata:
    """Read a card's front matter.

    Source: https://huggingface.co/docs/hub/model-cards#specifying-a-base-model

    Raises:
        CardRefused: not YAML, not a mapping, or a key of the wrong type, with the line.
    """
    values = _Keys(_mapping(front_matter), front_matter)
    return Metadata(
        base_model=tuple(values.texts("base_model")),
        base_model_relation=_relation(values),
        kind=_kind(values),
    )


def _mapping(front_matter: FrontMatter) -> Mapping[str, Any]:
    from hubmem.card import yaml_text

    if len(front_matter.text) > _LARGEST:
        raise CardRefused(
            f"the front matter is longer than {format_binary(_LARGEST)}.", line=front_matter.line
        )
    try:
        value = yaml_text.load(front_matter.text.decode())
    except yaml_text.MarkedYAMLError as error:
        line = front_matter.line + (error.problem_mark.line if error.problem_mark else 0)
        raise CardRefused(f"the front matter is not YAML: {error.problem}.", line=line) from error
    except (yaml_text.YAMLError, ValueError) as error:
        raise CardRefused(f"the front matter is not YAML: {error}.", line=front_matter.line) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CardRefused("the front matter is not a mapping of keys to values.", line=front_matter.line)
    return value


@dataclass(frozen=True, slots=True)
class _Keys:
    """Typed reading of a decoded mapping; an error names the key and its line."""

    values: Mapping[str, Any]
    source: FrontMatter

    def text(self, key: str) -> str | None:
        """A text, or None where the key is absent or null."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(key, "text", value)

    def texts(self, key: str) -> Iterator[str]:
        """A list of texts, or one text alone."""
        value = self.values.get(key)
        if value is None:
            return
        listed = value if isinstance(value, list) else [value]
        for each in listed:
            if not isinstance(each, str):
                raise self._wrong(key, "text or a list of texts", each)
            yield each

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return self.values.get(key) is not None

    def _wrong(self, key: str, expected: str, value: object) -> CardRefused:
        lines = self.source.text.splitlines()
        at = next((number for number, line in enumerate(lines) if line.startswith(key.encode())), 0)
        return CardRefused(
            f"{key}: expected {expected}, got {type(value).__name__}.", line=self.source.line + at
        )


def _relation(values: _Keys) -> str:
    said = values.text("base_model_relation")
    if said:
        return said
    marks = {mark.lower() for mark in (values.text("library_name") or "", *values.texts("tags"))}
    if marks & _ADAPTER_MARKS:
        return "adapter"
    if values.has("quantized_by") or marks & _QUANTIZED_MARKS:
        return "quantized"
    return "merge" if len(list(values.texts("base_model"))) > 1 else "finetune"


def _kind(values: _Keys) -> str:
    if values.has("sdk"):
        return "Space"
    return "dataset" if values.has("dataset_info") or values.has("task_categories") else "model"
