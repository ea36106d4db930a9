"""What a change of precision would weigh, tensor by tensor: one row per target.

A method quantizes the matrices of linear layers and leaves the rest in 16 bits; each row says which linear
layers its tools leave alone, and what scales, zero points and indices come with a matrix. Nothing here is
parameters × bits: every count of bytes is a whole number of a matrix's shape.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from hubmem import templates
from hubmem.errors import UsageError
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.gguf_mixtures import MIXTURES, Mixture, facts_of
from hubmem.weights.gguf_mixtures import nbytes as mixture_nbytes
from hubmem.weights.roles import Role

# Never a quantized linear layer, in any of the tools below: transformers' `get_keys_to_not_convert` keeps the
# output head, embeddings and norms are no linear layers, and recipes for mixtures of experts keep routers.
_ALWAYS_KEPT = frozenset({Role.EMBEDDING, Role.HEAD, Role.NORM, Role.ROUTER, Role.BUFFER, Role.ADAPTER})
# Recipes for language models calibrate or name the decoder alone: `ignore=["lm_head", "re:.*vision.*"]`.
_TOWERS_KEPT = _ALWAYS_KEPT | {Role.VISION, Role.AUDIO}
_DRAFT_KEPT = _TOWERS_KEPT | {Role.DRAFT}
# A folded name without its numbers, and a shape.
_Kind = tuple[str, tuple[int, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A precision to hold a model in.

    Attributes:
        name: as on the command line.
        label: as in tables.
        matrix_nbytes: bytes of one linear layer's matrix with all that belongs to it, from its output and
            input features; None where all parameters are treated alike.
        kept: roles whose linear layers are left alone.
        kept_bits: width of every parameter that is not quantized.
        source: where the layout is defined.
    """

    name: str
    label: str
    matrix_nbytes: Callable[[int, int], int] | None
    kept: frozenset[Role] = _ALWAYS_KEPT
    kept_bits: int = 16
    source: str

    def nbytes(self, group: TensorGroup) -> int:
        """Bytes of all tensors of a group, in this precision.

        Buffers stay as they are. Scales and zero points of the stored precision are gone, and so are second
        copies of tied weights.
        """
        if group.role is Role.BUFFER:
            return group.nbytes
        if group.unpacked is None:
            return 0
        if self.matrix_nbytes is None or not self.quantizes(group):
            return group.parameters * self.kept_bits // 8
        *stacked, rows, columns = group.unpacked
        matrices = group.count * (stacked[0] if stacked else 1)
        return matrices * self.matrix_nbytes(rows, columns)

    def quantizes(self, group: TensorGroup) -> bool:
        """Whether the method changes these tensors."""
        return self.matrix_nbytes is not None and group.role not in self.kept and is_linear(group)

    def of(self, census: Census) -> "Target":  # noqa: ARG002 - most methods treat each tensor by itself
        """The precision with what it needs to know of the whole model."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTarget(Target):
    """The precision a model is stored in, packed where it is packed."""

    def nbytes(self, group: TensorGroup) -> int:
        """Bytes of all tensors of a group as they are in memory once loaded; scales and zero points too."""
        return group.loaded_nbytes

    def quantizes(self, group: TensorGroup) -> bool:
        """Whether these tensors are packed."""
        return group.is_packed


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTarget(Target):
    """A quantization of llama.cpp, which gives each tensor a type by its place in the model.

    Attributes:
        mixture: which type to which tensor.
        weighed: for tensors of one kind, wherever they are, their bytes and their number; None before `of`.
    """

    mixture: Mixture
    weighed: Mapping[_Kind, tuple[int, int]] | None = field(default=None, compare=False)

    def nbytes(self, group: TensorGroup) -> int:
        """Bytes of all tensors of a group in a GGUF file of this quantization; buffers stay as they are.

        Layers differ in their types. What is asked of a group is its part of all tensors of its kind, so that
        the sum over a model is exact however its groups are divided or merged.
        """
        if group.role is Role.BUFFER:
            return group.nbytes
        if group.unpacked is None:
            return 0
        if self.weighed is None:
            raise UsageError(f"{self.name} is not known for a tensor by itself, but for a whole model.")
        nbytes, count = self.weighed[_kind(group)]
        return -(-nbytes * group.count // count)

    def quantizes(self, group: TensorGroup) -> bool:
        """Whether these tensors are held in fewer than 16 bits."""
        return group.unpacked is not None and 8 * self.nbytes(group) < 16 * group.parameters

    def of(self, census: Census) -> "GgufTarget":
        """The quantization of that model: its layers counted and its heads compared over all its tensors."""
        facts = facts_of(census.groups)
        nbytes: Counter[_Kind] = Counter()
        count: Counter[_Kind] = Counter()
        for group in census.groups:
            if group.unpacked is not None:
                nbytes[_kind(group)] += mixture_nbytes(self.mixture, group, facts)
                count[_kind(group)] += group.count
        return replace(self, weighed={kind: (nbytes[kind], count[kind]) for kind in count})


def _kind(group: TensorGroup) -> _Kind:
    return templates.pattern(group.template), group.unpacked


def is_linear(group: TensorGroup) -> bool:
    """Whether tensors are the matrices of linear layers: one each, or of all experts in three dimensions."""
    if group.unpacked is None or group.template.endswith(("bias", "relative_attention_bias.weight")):
        return False
    dimensions = len(group.unpacked)
    if group.role is Role.EXPERTS:
        return dimensions in (2, 3)
    return dimensions == 2 and (group.is_packed or group.template.endswith(("weight", "weight._data")))


def parse(text: str) -> Target:
    """The precision a user asks for.

    >>> parse("NF4").label, parse("4bit").name, parse("int4").name, parse("gguf:q4_k_m").name
    ('4-bit (nf4)', 'nf4', 'gptq-int4', 'gguf:Q4_K_M')

    Raises:
        UsageError: no precision is called so.
    """
    name = text.lower().removeprefix("torch.")
    target = _BY_SPELLING.get(_ALIASES.get(name, name))
    if target is None:
        known = ", ".join(row.name for row in _ROWS)
        raise UsageError(f"Unknown precision {text!r}.", hint=f"Known: {known}, and gguf:Q4_K_M and its kin.")
    return target


def _fp8(rows: int, columns: int) -> int:
    scales = 4 * rows
    return rows * columns + scales


def _fp8_block(rows: int, columns: int) -> int:
    scales = 4 * ceil(rows / 128) * ceil(columns / 128)
    return rows * columns + scales


def _bnb_4bit(rows: int, columns: int) -> int:
    """Blocks run over the flattened matrix; the code book is 16 float32 values a matrix."""
    elements = rows * columns
    absmax, code = 4 * ceil(elements / 64), 4 * 16
    return ceil(elements / 2) + absmax + code


def _bnb_4bit_double(rows: int, columns: int) -> int:
    """The block maxima quantized to 8 bits in blocks of 256, with a code book of their own and one offset."""
    elements = rows * columns
    blocks = ceil(elements / 64)
    nested = 4 * ceil(blocks / 256) + 4 * 256 + 4
    return ceil(elements / 2) + blocks + nested + 4 * 16


def _awq(rows: int, columns: int) -> int:
    groups = ceil(columns / 128)
    scales, zeros = 2 * groups * rows, 4 * groups * ceil(rows / 8)
    return 4 * columns * ceil(rows / 8) + scales + zeros


def _gptq(rows: int, columns: int, *, bits: int) -> int:
    groups, in_a_word = ceil(columns / 128), 32 // bits
    scales, zeros, group_index = 2 * groups * rows, 4 * groups * ceil(rows / in_a_word), 4 * columns
    return 4 * ceil(columns / in_a_word) * rows + scales + zeros + group_index


def _mxfp4(rows: int, columns: int) -> int:
    scales = rows * ceil(columns / 32)
    return ceil(rows * columns / 2) + scales


def _nvfp4(rows: int, columns: int) -> int:
    """Beside the scale of each block, one float32 for the matrix and one for its input."""
    scales = rows * ceil(columns / 16)
    return ceil(rows * columns / 2) + scales + 4 + 4


_ROWS = (
    Target(name="fp32", label="FP32", matrix_nbytes=None, kept_bits=32, source="IEEE 754 binary32"),
    Target(name="fp16", label="FP16", matrix_nbytes=None, source="IEEE 754 binary16"),
    Target(name="bf16", label="BF16", matrix_nbytes=None, source="bfloat16: the upper half of binary32"),
    Target(
        name="fp8",
        label="FP8",
        matrix_nbytes=_fp8,
        kept=_TOWERS_KEPT,
        source="e4m3 and a float32 scale per output channel: FP8_DYNAMIC of llm-compressor, as vLLM holds it "
        "(compressed_tensors_w8a8_fp8.py)",
    ),
    Target(
        name="fp8-block",
        label="FP8 (128×128 blocks)",
        matrix_nbytes=_fp8_block,
        kept=_TOWERS_KEPT,
        source="e4m3 and a float32 weight_scale_inv per 128×128 block: DeepSeek-V3, arXiv:2412.19437 §3.3.2",
    ),
    Target(
        name="int8",
        label="8-bit (int8)",
        matrix_nbytes=_fp8,
        source="int8 and a float32 maximum (SCB) per row: LLM.int8(), arXiv:2208.07339",
    ),
    Target(
        name="nf4",
        label="4-bit (nf4)",
        matrix_nbytes=_bnb_4bit,
        source="4-bit NormalFloat and a float32 maximum per 64: QLoRA, arXiv:2305.14314 §3",
    ),
    Target(
        name="nf4-dq",
        label="4-bit (nf4, double quantization)",
        matrix_nbytes=_bnb_4bit_double,
        source="QLoRA, arXiv:2305.14314 §3, double quantization; bitsandbytes QuantState with state2",
    ),
    Target(
        name="fp4",
        label="4-bit (fp4)",
        matrix_nbytes=_bnb_4bit,
        source="bitsandbytes QuantState: 4-bit floats and a float32 maximum per 64",
    ),
    Target(
        name="gptq-int4",
        label="4-bit (GPTQ)",
        matrix_nbytes=partial(_gptq, bits=4),
        kept=_DRAFT_KEPT,
        source="groups of 128: qweight, qzeros and g_idx int32, scales float16: AutoGPTQ, QuantLinear",
    ),
    Target(
        name="gptq-int8",
        label="8-bit (GPTQ)",
        matrix_nbytes=partial(_gptq, bits=8),
        kept=_DRAFT_KEPT,
        source="groups of 128: qweight, qzeros and g_idx int32, scales float16: AutoGPTQ, QuantLinear",
    ),
    Target(
        name="awq-int4",
        label="4-bit (AWQ)",
        matrix_nbytes=_awq,
        kept=_DRAFT_KEPT,
        source="groups of 128: qweight and qzeros int32, scales float16: AutoAWQ, WQLinear_GEMM",
    ),
    Target(
        name="mxfp4",
        label="MXFP4",
        matrix_nbytes=_mxfp4,
        kept=_TOWERS_KEPT,
        source="e2m1 and an e8m0 scale per 32 in every linear layer: OCP Microscaling Formats 1.0",
    ),
    Target(
        name="mxfp4-experts",
        label="MXFP4 (experts)",
        matrix_nbytes=_mxfp4,
        kept=frozenset(Role) - {Role.EXPERTS},
        source="e2m1 and an e8m0 scale per 32 in the experts alone: gpt-oss, arXiv:2508.10925",
    ),
    Target(
        name="nvfp4",
        label="NVFP4",
        matrix_nbytes=_nvfp4,
        kept=_DRAFT_KEPT,
        source="e2m1, an e4m3 scale per 16 and a float32 scale per tensor: TensorRT Model Optimizer, NVFP4",
    ),
)

_GGUF_ROWS = tuple(
    GgufTarget(
        name=f"gguf:{name}",
        label=f"GGUF {name}",
        matrix_nbytes=None,
        mixture=mixture,
        source="llama.cpp, src/llama-quant.cpp: llama_tensor_get_type_impl",
    )
    for name, mixture in MIXTURES.items()
)

AS_STORED = StoredTarget(
    name="as stored",
    label="the precision they are stored in",
    matrix_nbytes=None,
    source="each matrix made whole where it is used",
)

BY_NAME: dict[str, Target] = {row.name: row for row in (*_ROWS, *_GGUF_ROWS)}
_BY_SPELLING = {name.lower(): row for name, row in BY_NAME.items()}
# "4bit" and "8bit" are what `load_in_4bit` and `load_in_8bit` of transformers do; an "int4" is on an integer
# grid, which NF4 is not.
_ALIASES = {
    "float32": "fp32",
    "float": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "float8": "fp8",
    "fp8_e4m3": "fp8",
    "float8_e4m3fn": "fp8",
    "8bit": "int8",
    "8-bit": "int8",
    "4bit": "nf4",
    "4-bit": "nf4",
    "int4": "gptq-int4",
    "gptq": "gptq-int4",
    "awq": "awq-int4",
}
