"""What a pickle would build, without building it: no class is found, nothing is called, nothing is imported.

A pickle is a program for a stack machine. Here its opcodes move descriptions about: a global is its name, a
call is the name with its arguments. So a pickle that would run a command is read and does nothing.

Source: the opcodes of `pickletools` in Python's standard library.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class BadPickle(ValueError):
    """Not a pickle, or one that contradicts itself."""


class TruncatedPickle(BadPickle):
    """The bytes end before the pickle does."""


# None of these is ever compared or hashed by what it holds: a few shared tuples can make that take for ever.
@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A class or function by its name, such as `torch.FloatStorage`."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """An object that lies outside the pickle, by its id."""

    key: Any


@dataclass(frozen=True, slots=True, eq=False)
class Dict:
    """A dict as its keys and values in order."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Call:
    """What a function would return, and what would be put into it afterwards.

    Attributes:
        function: usually a `Global`.
        arguments: usually a tuple.
        pairs: keys and values set on it.
        state: what its `__setstate__` would be given.
    """

    function: Any
    arguments: Any
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    state: Any = None


class _Mark:
    """The bottom of a run of items on the stack."""


_MARK = _Mark()
_OPAQUE = Global("")


def read_pickle(data: bytes, start: int = 0) -> tuple[Any, int]:
    """The object a pickle describes, and where the pickle ends.

    Raises:
        TruncatedPickle: the bytes end first.
        BadPickle: not a pickle.
    """
    stream = io.BytesIO(data)
    stream.seek(start)
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.stack.pop(), stream.tell()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, Warning) as error:
        # A text with a wrong escape warns, which under Python's -W error is raised.
        # A reader that lacks bytes has read all there were.
        kind = TruncatedPickle if stream.tell() >= len(data) else BadPickle
        raise kind(str(error)[:200] or type(error).__name__) from None
    raise AssertionError("genops ends in STOP or an error")


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        operation = _OPERATIONS.get(name)
        if operation is not None:
            operation(self, argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name not in _WITHOUT_EFFECT:
            # The rest push their own argument: numbers, strings, bytes.
            self.stack.append(argument)

    def to_mark(self) -> list[Any]:
        """Take everything above the topmost mark, and the mark."""
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise BadPickle("items without a mark")

    def take(self, count: int) -> list[Any]:
        """Take that many objects, the lowest first."""
        if count > len(self.stack):
            raise BadPickle("more objects are taken than there are")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def tuple_of(self, count: int) -> None:
        self.push(tuple(self.take(count)))

    def extend(self, items: list[Any]) -> None:
        """Put items into the list, set or object on top; only a list keeps them."""
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Dict | Call):
            target.pairs.extend(zip(items[::2], items[1::2], strict=True))

    def call(self, function: Any, arguments: Any) -> None:
        self.push(Call(function, arguments))

    def reduce(self) -> None:
        function, arguments = self.take(2)
        self.call(function, arguments)

    def build(self) -> None:
        target, state = self.take(2)
        if isinstance(target, Call):
            target.state = state
        self.push(target)

    def get(self, key: int) -> None:
        self.push(self._memo[key])

    def put(self, key: int) -> None:
        self._memo[key] = self.stack[-1]

    def memoize(self) -> None:
        self.put(len(self._memo))

    def instance(self, name: str | None) -> None:
        """`INST` has the class in its argument, `OBJ` on the stack."""
        items = self.to_mark()
        function = items.pop(0) if name is None else _global(name)
        self.call(function, tuple(items))

    def stack_global(self) -> None:
        module, name = self.take(2)
        self.push(
            Global(f"{module}.{name}") if isinstance(module, str) and isinstance(name, str) else _OPAQUE
        )


def _global(argument: str) -> Global:
    """The module and the name of a text opcode, which a space parts."""
    return Global(argument.replace(" ", ".", 1))


def _pairs(machine: _Machine) -> Dict:
    items = machine.to_mark()
    return Dict(list(zip(items[::2], items[1::2], strict=True)))


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "NEXT_BUFFER": _OPAQUE}
_WITHOUT_EFFECT = frozenset({"PROTO", "FRAME", "READONLY_BUFFER"})
_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.push(_MARK),
    "POP": lambda machine, _: machine.take(1).clear(),
    "POP_MARK": lambda machine, _: machine.to_mark().clear(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.to_mark()),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.to_mark()),
    "EMPTY_DICT": lambda machine, _: machine.push(Dict()),
    "DICT": lambda machine, _: machine.push(_pairs(machine)),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "EMPTY_SET": lambda machine, _: machine.push(_OPAQUE),
    "ADDITEMS": lambda machine, _: machine.extend(machine.to_mark()),
    "FROZENSET": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "GET": lambda machine, key: machine.get(key),
    "BINGET": lambda machine, key: machine.get(key),
    "LONG_BINGET": lambda machine, key: machine.get(key),
    "PUT": lambda machine, key: machine.put(key),
    "BINPUT": lambda machine, key: machine.put(key),
    "LONG_BINPUT": lambda machine, key: machine.put(key),
    "MEMOIZE": lambda machine, _: machine.memoize(),
    "GLOBAL": lambda machine, name: machine.push(_global(name)),
    "STACK_GLOBAL": lambda machine, _: machine.stack_global(),
    "EXT1": lambda machine, _: machine.push(_OPAQUE),
    "EXT2": lambda machine, _: machine.push(_OPAQUE),
    "EXT4": lambda machine, _: machine.push(_OPAQUE),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.reduce(),
    "NEWOBJ_EX": lambda machine, _: machine.call(*machine.take(3)[:2]),
    "BUILD": lambda machine, _: machine.build(),
    "INST": lambda machine, name: machine.instance(name),
    "OBJ": lambda machine, _: machine.instance(None),
    "PERSID": lambda machine, key: machine.push(Persistent(key)),
    "BINPERSID": lambda machine, _: machine.push(Persistent(machine.take(1)[0])),
}
