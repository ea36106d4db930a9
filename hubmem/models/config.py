"""Typed access to a raw `config.json`; every error names the path of its key.

Three cases are told apart everywhere: a key that is absent falls back to what its transformers class
assumes, a key that is null is None, and a key of the wrong type is refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hubmem import json_text
from hubmem.errors import MalformedConfig
from hubmem.models.defaults import ClassDefaults, class_defaults

_Value = TypeVar("_Value")
# Beyond it a float no longer holds every whole number; no size of a model comes near.
_LARGEST_INT = 2**53


class Config:
    """A config object, or one nested in another.

    Keys are given by their canonical transformers names; the spelling of the class (`n_embd` for
    `hidden_size`) is found by its attribute map.
    """

    __slots__ = ("_class", "_path", "_raw", "model_type")

    def __init__(self, raw: Mapping[str, Any], *, path: str = "", model_type: str | None = None) -> None:
        self._raw = raw
        self._path = path
        declared = raw.get("model_type")
        self.model_type: str = declared if isinstance(declared, str) else (model_type or "")
        self._class: ClassDefaults = class_defaults(self.model_type)

    @property
    def raw(self) -> Mapping[str, Any]:
        """The object as it is, for parts of a config that are read elsewhere."""
        return self._raw

    def known_keys(self) -> frozenset[str]:
        """The keys that are there, or assumed."""
        return frozenset((*self._raw, *self._class.values))

    def __contains__(self, key: str) -> bool:
        """Whether the config itself has the key, under any spelling, null or not."""
        return any(name in self._raw for name in self._spellings(key))

    def integer(self, *keys: str) -> int:
        """A whole number, under the first of the keys that is there.

        Raises:
            MalformedConfig: absent, null, or not a whole number.
        """
        return self._required(self.optional_integer(*keys), keys, int)

    def optional_integer(self, *keys: str) -> int | None:
        """Like `integer`, or None where it is null or nowhere.

        The first key that the file has and that is not null counts; what the class assumes counts only
        where the file has none of them.
        """
        key = self._present(keys)
        value = self._find(key)
        return None if value is None else self._whole(value, key)

    def positive(self, *keys: str) -> int:
        """Like `integer`, and above zero."""
        value = self.integer(*keys)
        if value <= 0:
            raise MalformedConfig(
                f"expected a positive number, got {value}", key=self.path_of(self._present(keys))
            )
        return value

    def optional_positive(self, *keys: str) -> int | None:
        """Like `optional_integer`, and above zero where it is there."""
        return None if self.optional_integer(*keys) is None else self.positive(*keys)

    def natural(self, *keys: str) -> int:
        """Like `integer`, and not below zero."""
        return self._not_negative(self.integer(*keys), self._present(keys))

    def optional_natural(self, *keys: str) -> int | None:
        """Like `optional_integer`, and not below zero where it is there."""
        return None if self.optional_integer(*keys) is None else self.natural(*keys)

    def natural_at(self, key: str, layer: int) -> int | None:
        """Like `optional_natural`, for all layers alike or for each in a list.

        Raises:
            MalformedConfig: the list ends before the layer, or what it says is no such number.
        """
        value = self._find(key)
        if isinstance(value, list):
            value = self.entry_of(key, value, layer)
        return None if value is None else self._not_negative(self._whole(value, key), key)

    def boolean(self, key: str, *, default: bool = False) -> bool:
        """A truth value; absent or null is the default."""
        value = self._find(key)
        return default if value is None else self._checked(value, bool, key)

    def number(self, key: str) -> float | None:
        """A number, or None; never NaN or beyond all measure."""
        value = self._find(key)
        return None if value is None else self._finite(value, key)

    def text(self, key: str) -> str | None:
        """A string, or None."""
        value = self._find(key)
        return None if value is None else self._checked(value, str, key)

    def flag_at(self, key: str, layer: int) -> bool | None:
        """Whether a list of one flag a layer is set (true, or not 0) for a layer; None without the list.

        Raises:
            MalformedConfig: not a list, or one that ends before the layer.
        """
        flags = self.items(key)
        return None if flags is None else bool(self.entry_of(key, flags, layer))

    def entry_of(self, key: str, entries: Sequence[Any], layer: int) -> Any:
        """The entry of a layer in the list under a key.

        Raises:
            MalformedConfig: the list ends before it.
        """
        if layer >= len(entries):
            raise MalformedConfig(
                f"has {len(entries)} entries, none for layer {layer}", key=self.path_of(key)
            )
        return entries[layer]

    def items(self, key: str) -> Sequence[Any] | None:
        """A list, or None."""
        value = self._find(key)
        return None if value is None else self._checked(value, list, key)

    def texts(self, key: str) -> Sequence[str] | None:
        """A list of strings, or None."""
        items = self.items(key)
        return None if items is None else [self._checked(item, str, key) for item in items]

    def numbers(self, key: str) -> Sequence[float] | None:
        """A list of finite numbers, or None."""
        items = self.items(key)
        return None if items is None else [self._finite(item, key) for item in items]

    def integers(self, key: str) -> Sequence[int] | None:
        """A list of whole numbers, or None."""
        items = self.items(key)
        return None if items is None else [self._whole(item, key) for item in items]

    def sequence(self, key: str) -> Sequence[Any] | None:
        """A letter or an entry for each layer; None for a number, which says an interval instead."""
        value = self._find(key)
        if isinstance(value, str):
            return value
        return None if isinstance(value, int) else self.items(key)

    def flag_or_text(self, key: str) -> bool | str | None:
        """A truth value or a string, or None."""
        value = self._find(key)
        return value if value is None or isinstance(value, str) else self.boolean(key)

    def has_value(self, key: str) -> bool:
        """Whether the key is there, or assumed, and is neither null, false, zero nor empty."""
        return bool(self._find(key))

    def mapping(self, key: str) -> Mapping[str, Any] | None:
        """An object taken as it is, or None."""
        value = self._find(key)
        return None if value is None else self._checked(value, dict, key)

    def child(self, key: str) -> "Config | None":
        """A nested config, with the defaults of its own class, or None."""
        value = self._find(key)
        if value is None:
            return None
        nested: dict[str, Any] = self._checked(value, dict, key)
        return Config(nested, path=self.path_of(key), model_type=self._class.sub_configs.get(key))

    def read_as(self, model_type: str) -> "Config":
        """The same keys with another class's defaults and spellings: the flat file of a composite model."""
        return Config({**self._raw, "model_type": model_type}, path=self._path)

    def sub_type(self, key: str) -> str:
        """The model type the class gives a nested config that does not name one, or ""."""
        return self._class.sub_configs.get(key, "")

    def with_values(self, values: Mapping[str, Any]) -> "Config":
        """The config with some keys set, by the spellings they already have."""
        spelled = {self._spelled(key): value for key, value in values.items()}
        return self._copy({**self._raw, **spelled}, self._class)

    def respelled(self, spellings: Mapping[str, str]) -> "Config":
        """The config read with other spellings of canonical keys, for types transformers has no class of."""
        return self._copy(self._raw, replace(self._class, attribute_map=spellings)) if spellings else self

    def at_layer(self, layer: int) -> "Config":
        """The config as one layer sees it: with what `per_layer_config` sets for it.

        Raises:
            MalformedConfig: an entry is not an object.
        """
        for index, values in (self.mapping("per_layer_config") or {}).items():
            if index.isdecimal() and int(index) == layer:
                return self.with_values(self._checked(values, dict, "per_layer_config"))
        return self

    def _copy(self, raw: Mapping[str, Any], its_class: ClassDefaults) -> "Config":
        copy = Config(raw, path=self._path, model_type=self.model_type)
        copy._class = its_class
        return copy

    def path_of(self, key: str) -> str:
        """The key's path from the top of the file, in the spelling the file uses."""
        spelled = self._spelled(key)
        return f"{self._path}.{spelled}" if self._path else spelled

    def _spelled(self, key: str) -> str:
        return next((name for name in self._spellings(key) if name in self._raw), key)

    def _spellings(self, key: str) -> tuple[str, ...]:
        other = self._class.attribute_map.get(key)
        return (key, other) if other else (key,)

    def _find(self, key: str) -> Any:
        spellings = self._spellings(key)
        for name in spellings:
            if name in self._raw:
                return self._raw[name]
        return next((self._class.values[name] for name in spellings if name in self._class.values), None)

    def _present(self, keys: Sequence[str]) -> str:
        """The key that is read: one the file has, better not null; else one the class has a default for."""
        written = [key for key in keys if key in self]
        candidates = written or list(keys)
        return next((key for key in candidates if self._find(key) is not None), candidates[0])

    def _required(self, value: _Value | None, keys: Sequence[str], kind: type) -> _Value:
        if value is None:
            key = self._present(keys)
            got = "null" if key in self else "nothing"
            raise MalformedConfig(f"expected {json_text.name_of(kind)}, got {got}", key=self.path_of(key))
        return value

    def _whole(self, value: Any, key: str) -> int:
        is_whole = isinstance(value, float) and value.is_integer()
        whole = self._checked(int(value) if is_whole else value, int, key)
        if abs(whole) > _LARGEST_INT:
            raise MalformedConfig(f"{_excerpt(whole)} is out of range", key=self.path_of(key))
        return whole

    def _not_negative(self, value: int, key: str) -> int:
        if value < 0:
            raise MalformedConfig(f"cannot be negative, got {value}", key=self.path_of(key))
        return value

    def _finite(self, value: Any, key: str) -> float:
        # Python's parser takes NaN and Infinity, which are no JSON.
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        number = float(self._whole(value, key)) if is_whole else self._checked(value, float, key)
        if not abs(number) <= _LARGEST_INT:
            raise MalformedConfig(f"{number} is out of range", key=self.path_of(key))
        return number

    def _checked(self, value: Any, kind: type[_Value], key: str) -> _Value:
        # bool is a subclass of int, and `true` is not a number of heads.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            got = f"{json_text.name_of(type(value))} {_excerpt(value)}"
            raise MalformedConfig(f"expected {json_text.name_of(kind)}, got {got}", key=self.path_of(key))
        return value


def parse_config(text: str, path: str = "config.json") -> Config:
    """The config in the text of a file.

    Raises:
        MalformedConfig: not a JSON object.
    """
    return Config(json_text.parse(text, path, dict))


def _excerpt(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"
