"""The JSON of a repo's small files."""

import json
from typing import Any, TypeVar

from hubmem.errors import MalformedConfig

_Value = TypeVar("_Value", dict[str, Any], list[Any])
_NAMES = {int: "int", float: "number", str: "string", bool: "true or false", list: "list", dict: "object"}


def name_of(kind: type) -> str:
    """What a Python type is called in messages about JSON.

    >>> name_of(dict), name_of(type(None))
    ('object', 'null')
    """
    return _NAMES.get(kind, "null")


def parse(text: str, path: str, kind: type[_Value]) -> _Value:
    """The object (`dict`) or the list in a file.

    Args:
        text: of the file.
        path: the file, for messages.
        kind: what it must hold.

    Raises:
        MalformedConfig: it holds something else, or no JSON.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise MalformedConfig("nested too deeply", key=path) from None
    except ValueError as error:
        raise MalformedConfig(f"not valid JSON: {error}", key=path) from None
    if not isinstance(value, kind):
        raise MalformedConfig(f"expected {name_of(kind)}, got {name_of(type(value))}", key=path)
    return value
