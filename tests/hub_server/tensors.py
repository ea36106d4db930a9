"""Tensors by name, dtype and shape, and how a record's templates stand for many of them."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, product, zip_longest

_DTYPES_BY_BITS = {
    4: "F4",
    6: "F6_E2M3 F6_E3M2",
    8: "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ",
    16: "U16 I16 F16 BF16",
    32: "U32 I32 F32",
    64: "C64 U64 I64 F64",
}
# Source: `Dtype::bitsize`, safetensors 0.8 `tensor.rs`.
_BITS = {dtype: bits for bits, dtypes in _DTYPES_BY_BITS.items() for dtype in dtypes.split()}
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor, its dtype in the spelling of safetensors."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bits(self) -> int:
        """Width of one element."""
        return _BITS[self.dtype]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.bits // 8


def expand(template: str) -> Iterator[str]:
    """The names a template stands for.

    >>> list(expand("h.{0..1}.{3,5..6}.w"))
    ['h.0.3.w', 'h.0.5.w', 'h.0.6.w', 'h.1.3.w', 'h.1.5.w', 'h.1.6.w']
    """
    parts = _BRACES.split(template)
    literals, choices = parts[::2], [_numbers(braces) for braces in parts[1::2]]
    for numbers in product(*choices):
        yield "".join(chain.from_iterable(zip_longest(literals, map(str, numbers), fillvalue="")))


def _numbers(braces: str) -> list[int]:
    ranges = (item.partition("..") for item in braces.split(","))
    return [number for first, _, last in ranges for number in range(int(first), int(last or first) + 1)]
