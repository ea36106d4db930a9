"""What quantized weights stand for: one row per method, and the count of logical parameters.

A packed tensor holds several weights in each of its integers. A row says which tensors of a checkpoint are
packed and along which axis, and which tensors beside them are scales, zero points and indices, which are
no parameters. The rules agree with the Hub's own counts, which huggingface.js computes
(`packages/hub/src/lib/parse-safetensors-metadata.ts`) and its tests pin.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any

from hubmem import dtypes, templates
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.roles import Role

Shape = tuple[int, ...]
Block = tuple[int, int]
Unpack = Callable[[Shape, Fraction, Block], Shape]
"""The shape of a matrix [output features, input features] from the stored shape, the weights in one stored
element, and the block of weights that share a scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Modules whose weights have other bits than the rest."""

    modules: re.Pattern[str]
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How the weights of a repo are quantized, as its config says.

    Attributes:
        method: as `quant_method` names it.
        bits: of a weight, where nothing else is said of its module; None where the config does not tell.
        block: rows and columns of weights that share a scale, or None: a tensor or a channel does.
        scheme: what else tells variants of the method apart, such as `nf4` or `e4m3`, or "".
        overrides: modules with other bits; the first that matches decides.
        cache_bits: of the KV cache, where the config asks engines for a narrow one; weights alone never do.
        notes: what a reader should know.
    """

    method: str
    bits: int | None = None
    block: Block | None = None
    scheme: str = ""
    overrides: tuple[Override, ...] = ()
    cache_bits: int | None = None
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """As the report has it: the weights that share a scale are `group_size`, or its two sides."""
        rows, columns = self.block or (1, None)
        return {
            "method": self.method,
            "bits": self.bits,
            "group_size": columns if rows == 1 else [rows, columns],
            "scheme": self.scheme or None,
        }

    def bits_of(self, template: str) -> int | None:
        """Bits of the weights in the tensors of a folded name, which one of them tells for all.

        Other bits make other shapes, so tensors of different bits share no template.
        """
        if not self.overrides:
            return self.bits
        module = next(templates.expand(template)).rpartition(".")[0]
        matching = (override.bits for override in self.overrides if override.modules.match(module))
        return next(matching, self.bits)


# What every method's scales and zero points have been called beside the weights they belong to.
_ANY_SCALES = (
    r"(weight_scale(_inv|_2)?|(weight|input)_(global_scale|zero_point)|(input|output|activation|k|v|q)_scale"
    r"|zero_point|weight_shape|weight_g_idx|scale_inv)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to store quantized weights.

    Attributes:
        names: as `quant_method` spells it.
        packed: the ends of names whose tensors are packed where their dtype is an integer.
        unpack: from the stored shape to the matrix.
        beside: the ends of names that hold scales, zero points and indices.
        bits: of a weight, where the config does not tell.
        source: where the layout is defined.
    """

    names: tuple[str, ...]
    packed: str
    unpack: Unpack
    beside: str = _ANY_SCALES
    bits: int = 4
    source: str


def _last_axis(shape: Shape, per_element: Fraction, _: Block) -> Shape:
    return (*shape[:-1], int(shape[-1] * per_element))


def _first_axis(shape: Shape, per_element: Fraction, _: Block) -> Shape:
    return (int(shape[0] * per_element), *shape[1:])


def _inputs_first(shape: Shape, per_element: Fraction, _: Block) -> Shape:
    """[inputs / n, outputs]."""
    *stacked, inputs, outputs = shape
    return (*stacked, outputs, int(inputs * per_element))


def _outputs_last(shape: Shape, per_element: Fraction, _: Block) -> Shape:
    """[inputs, outputs / n]."""
    *stacked, inputs, outputs = shape
    return (*stacked, int(outputs * per_element), inputs)


def _flat(shape: Shape, per_element: Fraction, _: Block) -> Shape:
    """A matrix without its shape, which lies in the data and not in the header: one of as many weights.

    >>> _flat((8_388_608, 1), Fraction(2), (1, 64))
    (4096, 4096)
    """
    if per_element == 1:
        return shape
    weights = int(prod(shape) * per_element)
    columns = next(size for size in (4096, 1024, 256, 64, 1) if weights % size == 0)
    return (weights // columns, columns)


def _blocks(shape: Shape, per_element: Fraction, _: Block) -> Shape:
    """[experts, rows, blocks, bytes of a block]."""
    *rows, blocks, nbytes = shape
    return (*rows, int(blocks * nbytes * per_element))


def _codes(shape: Shape, _: Fraction, block: Block) -> Shape:
    """[rows of blocks, columns of blocks, code books]: each set of codes stands for a block of weights."""
    rows, columns, *_books = shape
    return (rows * block[0], columns * block[1])


def _trellis(shape: Shape, _: Fraction, block: Block) -> Shape:
    """[inputs / 16, outputs / 16, 16 × bits]."""
    return (shape[1] * block[0], shape[0] * block[1])


_METHODS = (
    Method(
        names=("gptq", "gptqmodel", "auto-round", "intel/auto-round", "auto_round"),
        packed=r"qweight",
        unpack=_inputs_first,
        beside=r"(qzeros|scales|g_idx)",
        source="AutoGPTQ, GPTQModel and auto-round (export_to_autogptq), QuantLinear.pack: qweight int32 "
        "[in × bits / 32, out]",
    ),
    Method(
        names=("awq", "autoawq"),
        packed=r"qweight",
        unpack=_outputs_last,
        beside=r"(qzeros|scales)",
        source="AutoAWQ, WQLinear_GEMM.from_linear: qweight int32 [in, out × bits / 32]",
    ),
    Method(
        names=("bitsandbytes",),
        packed=r"weight",
        unpack=_flat,
        beside=(
            r"(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__\w+|SCB|weight_format)"
        ),
        source="bitsandbytes, QuantState.as_dict, Linear8bitLt: 4-bit weights uint8 [n / 2, 1], 8-bit int8",
    ),
    Method(
        names=("compressed-tensors",),
        packed=r"weight_packed",
        unpack=_last_axis,
        source="compressed-tensors 0.20, compressors/: weight_packed int32 or uint8 along the input features",
    ),
    Method(
        names=("fp8", "fbgemm_fp8"),
        packed=r"weight",
        unpack=_last_axis,
        bits=8,
        source="DeepSeek-V3 and V4: one weight a byte; experts of expert_dtype fp4 int8 [out, in / 2]",
    ),
    Method(
        names=("mxfp4",),
        packed=r"\w*_blocks",
        unpack=_blocks,
        beside=r"\w*_scales",
        source="gpt-oss: blocks uint8 [experts, rows, columns / 32, 16] and as many scales as blocks",
    ),
    Method(
        names=("modelopt", "nvfp4", "modelopt_fp4", "quark"),
        packed=r"weight",
        unpack=_last_axis,
        beside=r"pre_quant_scale",
        source="TensorRT Model Optimizer and Quark, export_hf_checkpoint: FP4 weights uint8 [out, in / 2]",
    ),
    Method(
        names=("hqq",),
        packed=r"W_q",
        unpack=_flat,
        beside=(
            r"(scale|zero|shape|nbits|group_size|axis|packing|unpack_view_dtype|view_as_float|quant_scale|quant_zero"
            r"|compute_dtype|offload_meta|encoded_state_dict|stores_quant_config|channel_wise|optimize|round_zero)"
        ),
        source="hqq 0.2.8, core/bitpack.py and HQQLinear.state_dict_keys",
    ),
    Method(
        names=("aqlm",),
        packed=r"codes",
        unpack=_codes,
        beside=r"(codebooks|scales)",
        source="aqlm 1.1, QuantizedLinear: codes [out / out_group, in / in_group, code books]",
    ),
    Method(
        names=("eetq",),
        packed=r"weight",
        unpack=_outputs_last,
        beside=r"weight_scales",
        bits=8,
        source="EETQ, EetqLinear: weight int8 [in, out], weight_scales float16 [out]",
    ),
    Method(
        names=("quanto",),
        packed=r"weight\._data(\._data)?",
        unpack=_first_axis,
        beside=r"(weight\._scale|weight\._shift|input_scale|output_scale)",
        bits=8,
        source="optimum-quanto 0.2.7, tensor/packed.py: rows packed into uint8",
    ),
    Method(
        names=("torchao",),
        packed=r"_weight_qdata",
        unpack=_last_axis,
        beside=r"_weight_(scale|zero_point|scale_and_zero|per_tensor_scale|act_pre_scale)",
        source="torchao's flattened tensor subclasses, as transformers 5 saves them (quantizer_torchao.py)",
    ),
    Method(
        names=("mlx", "metal"),
        packed=r"weight",
        unpack=_last_axis,
        beside=r"(scales|biases|qbiases)",
        source="mlx.core.quantize: uint32 [out, in × bits / 32]",
    ),
    Method(
        names=("bitnet",),
        packed=r"weight",
        unpack=_first_axis,
        beside=r"weight_scale",
        bits=2,
        source="transformers 5, integrations/bitnet.py: four ternary weights a byte, [out / 4, in]",
    ),
    Method(
        names=("exl3",),
        packed=r"trellis",
        unpack=_trellis,
        beside=r"(suh|svh|su|sv|mcg|mul1)",
        source="exllamav3, modules/quant/exl3.py: trellis int16 [in / 16, out / 16, 16 × bits]",
    ),
)
METHODS = {name: row for row in _METHODS for name in row.names}

# Exponents alone: the scales of microscaling blocks, whatever the config says.
_SCALES_ONLY = "F8_E8M0"


def unpack_census(census: Census, quantization: Quantization | None) -> Census:
    """The census with packed weights unpacked; scales, zero points and integers that are no weights apart."""
    if census.format == "gguf":
        # A config.json beside GGUF files is the one of the model they were made from.
        return census
    if quantization is None:
        return _unquantized(census)
    method = METHODS.get(quantization.method)
    if method is None:
        return census.changed(_without_exponents, *quantization.notes)
    packed = re.compile(rf"(.*)\.{method.packed}$")
    beside = re.compile(rf"(^|.*\.)({method.beside}|{_ANY_SCALES})$")

    def counted(group: TensorGroup) -> TensorGroup:
        match = packed.fullmatch(group.template)
        if match:
            return _unpacked(group, quantization, method)
        return replace(group, unpacked=None) if beside.fullmatch(group.template) else _whole(group)

    return census.changed(counted, *quantization.notes)


def _unquantized(census: Census) -> Census:
    """The census of weights that nothing says are packed.

    Integers are then positions, masks and counters. Where they are most of a checkpoint they hold weights all the
    same, in a way that is not known.
    """
    in_integers = sum(group.nbytes for group in census.groups if _is_whole_number(group))
    if 2 * in_integers > census.stored_bytes:
        note = (
            "Most weights are integers, and no config tells how they are packed: they are counted as stored."
        )
        return census.changed(_without_exponents, note)
    return census.changed(_whole)


def _unpacked(group: TensorGroup, quantization: Quantization, method: Method) -> TensorGroup:
    dtype = dtypes.of(group.dtype)
    if not _is_whole_number(group) or group.unpacked is None or not group.shape:
        return group
    bits = quantization.bits_of(group.template) or method.bits
    per_element = max(Fraction(1), Fraction(dtype.bits, bits))
    unpack = method.unpack if len(group.shape) > 1 else _last_axis
    return replace(group, unpacked=unpack(group.shape, per_element, quantization.block or (1, 1)))


def _whole(group: TensorGroup) -> TensorGroup:
    """A tensor that no method has packed: integers are no weights, `register_buffer` made them."""
    if _is_whole_number(group) and group.unpacked is not None:
        return replace(group, role=Role.BUFFER, unpacked=None)
    return _without_exponents(group)


def _is_whole_number(group: TensorGroup) -> bool:
    return not dtypes.of(group.dtype).floating


def _without_exponents(group: TensorGroup) -> TensorGroup:
    return replace(group, unpacked=None) if group.dtype == _SCALES_ONLY else group
