"""What each operator allocates, and what its derivative keeps.

Source: torch 2.13, derivatives.yaml and the functions it names; aten/src/ATen/autocast_mode.h for autocast.
"""

from dataclasses import replace

from hubmem.memory.programs.tape import Extent, Storage, Tape, Value

FLOAT32 = 4
HALF = 2

# Matrices that tensor-parallel ranks split by rows: their sum is back in the residual stream.
_BACK_TO_STREAM = frozenset({"o_proj", "down_proj", "out_proj"})


def product(tape: Tape, x: Value, weight: Value, *, label: str, symbol: str, width: int) -> Value:
    """Matrix product of an input and a weight: keeps each where the other's gradient is wanted.

    Under autocast both are cast to bf16, the weight once, the input at each use.
    """
    x, weight = in_half(tape, x), in_half(tape, weight)
    saves = [value for value, other in ((x, weight), (weight, x)) if other.needs_grad]
    storage = Storage(label, symbol, width, x.itemsize, extent_of(label, x))
    (y,) = tape.run(label, (x, weight), (storage,), saves=saves)
    return y


def extent_of(name: str, x: Value) -> Extent:
    """What a product grows with: all tokens between a column- and a row-parallel matrix."""
    if name in _BACK_TO_STREAM:
        return Extent.STREAM
    return Extent.TOKENS if x.storage.extent is Extent.STREAM else x.storage.extent


def cast(tape: Tape, x: Value, itemsize: int) -> Value:
    """A copy in another dtype, unless it has that dtype."""
    if x.itemsize == itemsize:
        return x
    label = f"{x.storage.label} in {'float32' if itemsize == FLOAT32 else 'bf16'}"
    storage = Storage(label, x.storage.symbol, x.width, itemsize, x.storage.extent)
    (y,) = tape.run("cast", (x,), (storage,))
    return y


def add(tape: Tape, one: Value, other: Value, label: str) -> Value:
    """A sum keeps nothing and hands its gradient on to both sides."""
    (y,) = tape.run("add", (one, other), (_promoted(one, other, label),), passes=(one, other))
    return y


def multiply(tape: Tape, one: Value, other: Value, label: str) -> Value:
    """A product of elements keeps each side where the other's gradient is wanted."""
    saves = [value for value, against in ((one, other), (other, one)) if against.needs_grad]
    (y,) = tape.run("multiply", (one, other), (_promoted(one, other, label),), saves=saves)
    return y


def unary(
    tape: Tape,
    x: Value,
    label: str,
    *,
    saves_input: bool = False,
    saves_output: bool = False,
    itemsize: int = 0,
) -> Value:
    """A function of each element."""
    storage = replace(_like(x, label), itemsize=itemsize or x.itemsize)
    saves = ([x] if saves_input else []) + ([Value(storage, x.width)] if saves_output else [])
    (y,) = tape.run(label, (x,), (storage,), saves=saves)
    return y


def in_float32(tape: Tape, x: Value) -> Value:
    """As autocast gives it to powers, norms and softmax: cast to float32."""
    return cast(tape, x, FLOAT32) if tape.arithmetic.autocast else x


def in_half(tape: Tape, x: Value) -> Value:
    """As autocast gives it to products, convolutions and attention: cast to half precision."""
    return cast(tape, x, HALF) if tape.arithmetic.autocast else x


def copy(tape: Tape, x: Value, label: str) -> Value:
    """The same elements in a new tensor (`contiguous`, `cat`, `expand` and `reshape`)."""
    return unary(tape, x, label)


def dropout(tape: Tape, x: Value, *, drops: bool = True) -> Value:
    """Keeps which elements it left, a byte each; without gradients, or where nothing drops, it does nothing."""
    if not tape.arithmetic.trains or not drops:
        return x
    mask = replace(_like(x, "dropout mask"), itemsize=1)
    y, _ = tape.run("dropout", (x,), (_like(x, "dropout"), mask), saves=(Value(mask, x.width),))
    return y


def constant(label: str, symbol: str, width: int, itemsize: int, extent: Extent = Extent.TOKENS) -> Value:
    """A tensor that is held elsewhere and has no gradient: sines, masks."""
    return Value(Storage(label, symbol, width, itemsize, extent, counted=False), width)


def weight(name: str, elements: int, itemsize: int, *, trained: bool) -> Value:
    """A matrix that stands in memory all the time; its gradient stays where it is trained."""
    storage = Storage(name, "weight", elements, itemsize, Extent.ONCE, counted=False)
    return Value(storage, elements, needs_grad=trained, parameter=True)


def _like(x: Value, label: str) -> Storage:
    return Storage(label, x.storage.symbol, x.width, x.itemsize, x.storage.extent)


def _promoted(one: Value, other: Value, label: str) -> Storage:
    wide = one if one.width >= other.width else other
    return replace(_like(wide, label), itemsize=max(one.itemsize, other.itemsize))
