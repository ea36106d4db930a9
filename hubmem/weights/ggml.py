"""The tensor types of ggml: how many elements a block has, and how many bytes it takes.

Bytes are whole numbers of blocks, never a rounded number of bits a weight.

Source: `GGML_QUANT_SIZES` and `GGMLQuantizationType` of gguf 0.19 (gguf-py/gguf/constants.py in llama.cpp);
the sums are the fields of the structs in ggml-common.h. Types 31 to 33 were removed from ggml in 2024, when
rows of Q4_0 came to be interleaved on loading; type 42 came in July 2026, after gguf 0.19.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GgmlType:
    """A tensor type.

    Attributes:
        number: in files.
        block: elements of a block.
        block_nbytes: bytes of a block.
    """

    name: str
    number: int
    block: int
    block_nbytes: int

    def nbytes(self, elements: int) -> int:
        """Bytes of that many elements, the last block filled up.

        >>> of("Q4_K").nbytes(4096 * 4096), of("Q6_K").nbytes(256)
        (9437184, 210)
        """
        return -(-elements // self.block) * self.block_nbytes


_ROWS = (
    ("F32", 0, 1, 4),
    ("F16", 1, 1, 2),
    ("Q4_0", 2, 32, 2 + 16),
    ("Q4_1", 3, 32, 2 + 2 + 16),
    ("Q5_0", 6, 32, 2 + 4 + 16),
    ("Q5_1", 7, 32, 2 + 2 + 4 + 16),
    ("Q8_0", 8, 32, 2 + 32),
    ("Q8_1", 9, 32, 4 + 4 + 32),
    ("Q2_K", 10, 256, 2 + 2 + 16 + 64),
    ("Q3_K", 11, 256, 2 + 64 + 32 + 12),
    ("Q4_K", 12, 256, 2 + 2 + 128 + 12),
    ("Q5_K", 13, 256, 2 + 2 + 128 + 32 + 12),
    ("Q6_K", 14, 256, 2 + 128 + 64 + 16),
    ("Q8_K", 15, 256, 4 + 256 + 32),
    ("IQ2_XXS", 16, 256, 2 + 64),
    ("IQ2_XS", 17, 256, 2 + 64 + 8),
    ("IQ3_XXS", 18, 256, 2 + 64 + 32),
    ("IQ1_S", 19, 256, 2 + 32 + 16),
    ("IQ4_NL", 20, 32, 2 + 16),
    ("IQ3_S", 21, 256, 2 + 64 + 32 + 8 + 4),
    ("IQ2_S", 22, 256, 2 + 64 + 16),
    ("IQ4_XS", 23, 256, 2 + 2 + 128 + 4),
    ("I8", 24, 1, 1),
    ("I16", 25, 1, 2),
    ("I32", 26, 1, 4),
    ("I64", 27, 1, 8),
    ("F64", 28, 1, 8),
    ("IQ1_M", 29, 256, 32 + 16 + 8),
    ("BF16", 30, 1, 2),
    ("Q4_0_4_4", 31, 32, 2 + 16),
    ("Q4_0_4_8", 32, 32, 2 + 16),
    ("Q4_0_8_8", 33, 32, 2 + 16),
    ("TQ1_0", 34, 256, 2 + 4 * 13),
    ("TQ2_0", 35, 256, 2 + 64),
    ("MXFP4", 39, 32, 1 + 16),
    ("NVFP4", 40, 64, 4 + 32),
    ("Q1_0", 41, 128, 2 + 16),
    ("Q2_0", 42, 64, 2 + 16),
)
_TYPES = [GgmlType(name=name, number=number, block=block, block_nbytes=n) for name, number, block, n in _ROWS]
BY_NUMBER = {row.number: row for row in _TYPES}
BY_NAME = {row.name: row for row in _TYPES}


def of(name: str) -> GgmlType:
    """The type of that name.

    Raises:
        KeyError: no such type.
    """
    return BY_NAME[name]
