"""One row per dtype: how wide an element is, and how files, configs and users spell it."""

from dataclasses import dataclass

from hubmem.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtype:
    """An element type.

    Attributes:
        name: the spelling of safetensors, such as `BF16`.
        bits: width of one element; some are narrower than a byte.
        floating: whether an element can be a weight of its own (integers hold packed weights or positions).
        spellings: other names in configs and on the command line, lower-case.
    """

    name: str
    bits: int
    floating: bool
    spellings: tuple[str, ...] = ()

    def nbytes(self, elements: int) -> int:
        """Bytes of that many elements, the last byte filled up.

        >>> of("F4").nbytes(3), of("BF16").nbytes(3)
        (2, 6)
        """
        return (elements * self.bits + 7) // 8


# The list and the widths are `Dtype` of the safetensors crate, 0.8.0 (safetensors/src/tensor.rs).
_ROWS = (
    Dtype(name="BOOL", bits=8, floating=False, spellings=("bool",)),
    Dtype(name="F4", bits=4, floating=True, spellings=("float4_e2m1fn_x2", "fp4")),
    Dtype(name="F6_E2M3", bits=6, floating=True),
    Dtype(name="F6_E3M2", bits=6, floating=True),
    Dtype(name="U8", bits=8, floating=False, spellings=("uint8",)),
    Dtype(name="I8", bits=8, floating=False, spellings=("int8",)),
    Dtype(name="F8_E5M2", bits=8, floating=True, spellings=("float8_e5m2", "fp8_e5m2")),
    Dtype(name="F8_E4M3", bits=8, floating=True, spellings=("float8_e4m3fn", "fp8", "fp8_e4m3", "float8")),
    Dtype(name="F8_E8M0", bits=8, floating=True, spellings=("float8_e8m0fnu",)),
    Dtype(name="F8_E4M3FNUZ", bits=8, floating=True, spellings=("float8_e4m3fnuz",)),
    Dtype(name="F8_E5M2FNUZ", bits=8, floating=True, spellings=("float8_e5m2fnuz",)),
    Dtype(name="I16", bits=16, floating=False, spellings=("int16",)),
    Dtype(name="U16", bits=16, floating=False, spellings=("uint16",)),
    Dtype(name="F16", bits=16, floating=True, spellings=("float16", "fp16", "half")),
    Dtype(name="BF16", bits=16, floating=True, spellings=("bfloat16",)),
    Dtype(name="I32", bits=32, floating=False, spellings=("int32",)),
    Dtype(name="U32", bits=32, floating=False, spellings=("uint32",)),
    Dtype(name="F32", bits=32, floating=True, spellings=("float32", "fp32", "float")),
    Dtype(name="C64", bits=64, floating=True, spellings=("complex64",)),
    Dtype(name="F64", bits=64, floating=True, spellings=("float64", "double")),
    Dtype(name="I64", bits=64, floating=False, spellings=("int64",)),
    Dtype(name="U64", bits=64, floating=False, spellings=("uint64",)),
)

BY_NAME = {row.name: row for row in _ROWS}
_BY_SPELLING = {word: row for row in _ROWS for word in (row.name.lower(), *row.spellings)}


def of(name: str) -> Dtype:
    """The dtype a weight file names; the spelling of safetensors only.

    Raises:
        KeyError: no such dtype.
    """
    return BY_NAME[name]


def find(text: str) -> Dtype | None:
    """The dtype meant by any known spelling, `torch.` prefix included, or None.

    >>> find("torch.bfloat16").name, find("FP8").name, find("nonsense")
    ('BF16', 'F8_E4M3', None)
    """
    return _BY_SPELLING.get(text.lower().removeprefix("torch."))


def parse(text: str) -> Dtype:
    """The dtype a user asks for.

    Raises:
        UsageError: no dtype is spelled so.
    """
    dtype = find(text)
    if dtype is None:
        known = ", ".join(row.spellings[0] for row in _ROWS if row.floating and row.spellings)
        raise UsageError(f"Unknown dtype {text!r}.", hint=f"Known: {known}.")
    return dtype
