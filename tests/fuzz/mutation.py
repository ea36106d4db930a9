"""Inputs made from real ones: bytes flipped, cut and spliced; JSON with values no writer would put there."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

Mutate = Callable[[Random, bytes, Sequence[bytes]], bytes]
"""From a parent and the pool it is of, another input."""

_EDGES = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\0" * 8,
    b"\0\0\0\x80",
    b"PK\x03\x04",
    b"GGUF",
)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 64, 4096, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30,
    0.5, 2.0, 1e308, float("nan"), float("inf"), -float("inf"),
    "", "0", "bf16", "..", "/etc/passwd", "\x1b[2J", "\u202e", "\ud800", "re:(a+)+$", "{0..9}", "{0..999999999}",
    "a" * 5000, [], [[]], {}, {"": ""}, [None] * 50, list(range(50)), "F8_E8M0", "I32", "BF16",
)  # fmt: skip
# What `json.dumps` cannot write: its strings here stand for JSON that only a hand would write.
_RAW = {
    "\ue000deep": "[" * 20_000 + "]" * 20_000,
    "\ue000deep object": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "\ue000digits": "9" * 6000,
    "\ue000fraction": "1." + "3" * 3000,
    "\ue000exponent": "1e400",
    "\ue000broken": "{,",
}
_LARGEST = 2**18


def mutate_bytes(random: Random, parent: bytes, pool: Sequence[bytes]) -> bytes:
    """One to four changes that know nothing of the format."""
    data = bytearray(parent)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(data))
        length = min(len(data) - at, 1 << random.randint(0, 8))
        kind = random.randrange(6)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << random.randrange(8)
        elif kind == 1:
            edge = random.choice(_EDGES)
            data[at : at + len(edge)] = edge
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            other = random.choice(pool)
            start = random.randint(0, len(other))
            data[at : at + length] = other[start : start + (1 << random.randint(0, 10))]
        else:
            data[at : at + 8] = random.getrandbits(1 << random.randint(0, 6)).to_bytes(8, "little")
    return bytes(data[:_LARGEST])


def mutate_json(random: Random, parent: bytes, pool: Sequence[bytes]) -> bytes:
    """Values exchanged, moved, renamed and removed; now and then the text itself."""
    try:
        value, other = json.loads(parent), json.loads(random.choice(pool))
    except (ValueError, RecursionError):
        return mutate_bytes(random, parent, pool)
    for _ in range(random.randint(1, 3)):
        value = changed(random, value, other)
    text = json.dumps(value)
    for stand_in, raw in _RAW.items():
        text = text.replace(json.dumps(stand_in), raw)
    data = text.encode()
    return mutate_bytes(random, data, pool) if random.random() < 0.1 else data[:_LARGEST]


def changed(random: Random, value: Any, other: Any) -> Any:
    """The value with one change somewhere in it."""
    place = value
    while isinstance(place, dict | list) and place:
        key = random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.3:
            _change_at(random, place, key, other)
            return value
        place = inner
    return _hostile(random, other)


def renamed(random: Random, name: str, other: str) -> str:
    """A name with one part exchanged, removed, repeated or numbered."""
    parts, others = name.split("."), other.split(".")
    at = random.randrange(len(parts))
    numbers = ("0", "1", "7", "1000000000", "9" * 5000, ".".join("0" * 2000))
    new = random.choice((random.choice(others), random.choice(numbers), "\x1b[2J", "{0..9}", ""))
    parts[at : at + random.randrange(2)] = [new] * random.randrange(3)
    return ".".join(parts)


def _change_at(random: Random, place: Any, key: Any, other: Any) -> None:
    """Change an entry of an object or a list."""
    kind = random.randrange(5)
    if kind == 0:
        del place[key]
    elif kind == 1 and isinstance(place, dict):
        place[random.choice(("", "\x1b[31m", "__metadata__", "weight_map", f"{key}.0", str(key)[::-1]))] = (
            place.pop(key)
        )
    elif kind == 2 and isinstance(place[key], int | float):
        place[key] = random.choice(
            (place[key] * 2, place[key] + 1, -place[key], place[key] / 2, str(place[key]))
        )
    else:
        place[key] = _hostile(random, other)


def _hostile(random: Random, other: Any) -> Any:
    """A value from the list of bad ones, or from somewhere in another input."""
    if random.random() < 0.3:
        while isinstance(other, dict | list) and other and random.random() < 0.8:
            other = random.choice(list(other.values()) if isinstance(other, dict) else other)
        return deepcopy(other)
    return random.choice(list(_RAW)) if random.random() < 0.15 else deepcopy(random.choice(_VALUES))
