"""Linear layers: plain, in 4 bits, with adapters beside them.

Symbols: a layer maps d inputs to k outputs; r rank.

Source: peft 0.21, tuners/lora/layer.py, Linear.forward, and tuners/lora/dora.py, DoraLinearLayer.forward.
"""

from dataclasses import replace

from hubmem.memory.programs.operators import (
    FLOAT32,
    HALF,
    add,
    cast,
    dropout,
    extent_of,
    multiply,
    product,
    unary,
    weight,
)
from hubmem.memory.programs.tape import Adapters, Extent, Storage, Tape, Value


def linear(tape: Tape, x: Value, name: str, symbol: str, width: int, *, quantizable: bool = True) -> Value:
    """Y = x·Wᵀ, with LoRA's (x·A)·B beside it where the layer is adapted."""
    arithmetic = tape.arithmetic
    if arithmetic.quantized and quantizable:
        y = _dequantized(tape, x, name, symbol, width)
    else:
        itemsize = arithmetic.linear_itemsize if arithmetic.shared else arithmetic.itemsize
        own = weight(name, x.width * width, itemsize, trained=arithmetic.base_trains)
        own = replace(own, summed=arithmetic.summed)
        y = product(tape, x, own, label=name, symbol=symbol, width=width)
    if arithmetic.adapters and arithmetic.adapters.adapt(name):
        y = _adapted(tape, arithmetic.adapters, x, y, name)
    return y


def _dequantized(tape: Tape, x: Value, name: str, symbol: str, width: int) -> Value:
    """Bitsandbytes' Linear4bit: the weight is made whole in bf16 in each pass; the input is not kept.

    Source: bitsandbytes, autograd/_functions.py, MatMul4Bit; nn/modules.py, Linear4bit.forward.
    """
    itemsize = x.itemsize
    elements = x.width * width
    whole = Storage(f"{name} dequantized", "weight", elements, HALF, Extent.ONCE)
    # One fp32 absmax for 64 weights, itself made from its 8-bit form.
    absmax = Storage(f"{name} absmax", "weight", -(-elements // 64), FLOAT32, Extent.ONCE)
    x = cast(tape, x, HALF)
    storage = Storage(name, symbol, width, HALF, extent_of(name, x))
    (y,) = tape.run(name, (x,), (storage,), scratch=(whole,), backward_scratch=(whole, absmax))
    return cast(tape, y, itemsize)


def _adapted(tape: Tape, adapters: Adapters, x: Value, y: Value, name: str) -> Value:
    """Y + (x·A)·B·scale, the input cast to the adapters' dtype, the sum cast back.

    Source: Hu et al., LoRA, arXiv 2106.09685, section 4.1.
    """
    x = cast(tape, x, adapters.itemsize)
    with tape.holding(x):
        if adapters.dora:
            added = _decomposed(tape, adapters, x, y, name)
        else:
            high = _low_rank(tape, adapters, dropout(tape, x, drops=adapters.drops), y, name)
            added = unary(tape, high, f"{name}, x·A·B scaled")
        return cast(tape, add(tape, y, added, f"{name} adapted"), y.itemsize)


def _low_rank(tape: Tape, adapters: Adapters, x: Value, y: Value, name: str) -> Value:
    """(x·A)·B, before it is scaled."""
    inner, outer = (
        weight(f"{name} LoRA {letter}", elements, adapters.itemsize, trained=True)
        for letter, elements in (("A", x.width * adapters.rank), ("B", adapters.rank * y.width))
    )
    low = product(tape, x, inner, label=f"{name}, x·A", symbol="r", width=adapters.rank)
    return product(tape, low, outer, label=f"{name}, x·A·B", symbol=y.storage.symbol, width=y.width)


def _decomposed(tape: Tape, adapters: Adapters, x: Value, y: Value, name: str) -> Value:
    """(m/‖W + BA‖ − 1)·y + m/‖W + BA‖·(x·A)·B·scale; the norms are constants to autograd.

    Source: Liu et al., DoRA, arXiv 2402.09353, equation 5 and section 4.3.
    """
    if adapters.drops:
        x = dropout(tape, x)
        frozen = weight(name, x.width * y.width, adapters.itemsize, trained=False)
        y = product(tape, x, frozen, label=f"{name} of what is left", symbol=y.storage.symbol, width=y.width)
    magnitude = weight(f"{name} magnitude", y.width, adapters.itemsize, trained=True)
    magnitude = replace(magnitude, width=0)
    with tape.holding(*_norms_of_columns(tape, adapters, x, y, name)):
        high = _low_rank(tape, adapters, x, y, name)
        turned = multiply(tape, y, magnitude, f"{name}·(m/‖W + BA‖ − 1)")
        scaled = multiply(tape, high, magnitude, f"{name}, x·A·B·m/‖W + BA‖")
        return add(tape, turned, unary(tape, scaled, f"{name}, x·A·B scaled"), f"{name} decomposed")


def _norms_of_columns(tape: Tape, adapters: Adapters, x: Value, y: Value, name: str) -> tuple[Value, ...]:
    """‖W + BA‖ of each output: BA by way of a unit matrix of d × d, W in the adapters' dtype.

    Both stay until the layer returns.
    """
    arithmetic, elements = tape.arithmetic, x.width * y.width
    product_itemsize = HALF if arithmetic.autocast else adapters.itemsize
    unit = Storage(f"{name} unit matrix", "d²", x.width**2, product_itemsize, Extent.ONCE)
    whole = Storage(f"{name} B·A", "weight", elements, adapters.itemsize, Extent.ONCE)
    copies = [whole]
    if arithmetic.quantized or arithmetic.itemsize != adapters.itemsize:
        copies.append(replace(whole, label=f"{name} in the adapters' dtype"))
    sums = (replace(whole, label=f"{name} B·A scaled"), replace(whole, label=f"{name} W + B·A"))
    return tape.run(f"{name}, norms of columns", (), copies, scratch=(unit, *sums))
