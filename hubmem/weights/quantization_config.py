"""From what a config says of quantization to a record: the one door for those keys, whoever wrote them.

The same fact has a dozen spellings: `quantization_config` of transformers, `compression_config` of older
compressed-tensors, `quantization` of MLX, `hf_quant_config.json` of TensorRT Model Optimizer,
`quantize_config.json` of early GPTQ repos and `quant_config.json` of early AWQ repos.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hubmem import json_text
from hubmem.errors import MalformedConfig
from hubmem.weights.quantization import METHODS, Block, Override, Quantization

# Files beside config.json that tell what it does not, in the order they are looked for.
SIDE_FILES = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")

_BITS = ("bits", "num_bits", "nbits", "w_bit", "weight_bits")
_GROUP = ("group_size", "q_group_size")
# Formats whose weights are not in the shapes of their modules and are counted as they are stored.
_SPARSE = frozenset({"sparse-bitmask", "sparse-24-bitmask", "marlin-24"})
_FORMAT_BITS = re.compile(r"(?:int|fp|nf|float|^w)(\d+)")
# Routed experts; `shared_experts` are quantized like the rest.
_ROUTED_EXPERTS = re.compile(r".*\.experts(\.|$)")
# A config's pattern is run on names of some 100 characters: without repeated groups and with few repeats, it
# cannot take long.
_SAFE_PATTERN = re.compile(r"(?!.*\)[*+{?])(?:[^*+{]*[*+{]){0,4}[^*+{]*", re.DOTALL)
_LONGEST_PATTERN = 300


def read_quantization(
    config: Mapping[str, Any] | None, side: Mapping[str, Any] | None = None
) -> Quantization | None:
    """How a repo's weights are quantized.

    Args:
        config: the object in config.json, or None where the repo has none.
        side: the object in the first of `SIDE_FILES` the repo has, or None.

    Raises:
        MalformedConfig: a key of the right name holds a value of the wrong type.
    """
    config = config or {}
    inner = config.get("text_config")
    scopes = {"": config, "text_config.": inner if isinstance(inner, Mapping) else {}}
    for path, scope in scopes.items():
        for key in ("quantization_config", "compression_config", "quantization"):
            found = scope.get(key)
            if isinstance(found, Mapping) and found:
                narrow = found.get("expert_dtype") or _expert_dtype(scopes.values())
                return _read(_Fields({**found, "expert_dtype": narrow}, path + key))
    return _read(_side_fields(side)) if side else None


class _Fields:
    """A mapping of a config read by type; errors name the path of their key."""

    def __init__(self, raw: Mapping[str, Any], path: str) -> None:
        self.raw = raw
        self.path = path

    def integer(self, *keys: str) -> int | None:
        """The first of the keys that is there, a positive whole number, or None."""
        for key in keys:
            value = self.raw.get(key)
            if value is not None and value != -1:
                return self._positive(value, key)
        return None

    def text(self, *keys: str) -> str:
        """The first of the keys that is there, lower-case, or ""."""
        for key in keys:
            value = self.raw.get(key)
            if value is None:
                continue
            if not isinstance(value, str):
                raise MalformedConfig(
                    f"expected string, got {json_text.name_of(type(value))}", key=f"{self.path}.{key}"
                )
            return value.lower()
        return ""

    def child(self, key: str) -> "_Fields | None":
        """An object, or None."""
        value = self.raw.get(key)
        return _Fields(value, f"{self.path}.{key}") if isinstance(value, Mapping) else None

    def children(self, key: str) -> "list[_Fields]":
        """The objects of an object of objects."""
        parent = self.child(key)
        return [child for name in parent.raw if (child := parent.child(name))] if parent else []

    def texts(self, key: str) -> list[str]:
        """The strings of a list."""
        value = self.raw.get(key)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def block(self) -> Block | None:
        """Rows and columns of weights that share a scale."""
        sizes = self.raw.get("weight_block_size")
        if isinstance(sizes, list) and len(sizes) == 2:
            rows, columns = (self._positive(size, "weight_block_size") for size in sizes)
            return (rows, columns)
        group = self.integer(*_GROUP)
        return (1, group) if group else None

    def _positive(self, value: object, key: str) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
            raise MalformedConfig(f"expected a positive int, got {value!r}", key=f"{self.path}.{key}")
        return value


def _side_fields(side: Mapping[str, Any]) -> _Fields:
    fields = _Fields(side, "quantize_config")
    nested = fields.child("quantization")
    if nested:
        return _Fields({"quant_method": "modelopt", **nested.raw}, "hf_quant_config.quantization")
    return _Fields({"quant_method": "awq" if "w_bit" in side else "gptq", **side}, fields.path)


def _expert_dtype(scopes: Iterable[Mapping[str, Any]]) -> str | None:
    named = (scope.get("expert_dtype") for scope in scopes)
    return next((name for name in named if isinstance(name, str)), None)


def _read(fields: _Fields) -> Quantization:
    method = fields.text("quant_method") or ("mlx" if _looks_mlx(fields) else "")
    if not method and fields.text("quant_algo"):
        method = "modelopt"
    if method in METHODS:
        return replace(_READERS.get(method, _plain)(fields, method), cache_bits=_cache_bits(fields))
    note = f"Quantization {method!r} is not known: its packed weights are counted as they are stored."
    return Quantization(method=method, notes=(note,))


def _cache_bits(fields: _Fields) -> int | None:
    """Bits of an element of the cache, as compressed-tensors and modelopt name them."""
    scheme = fields.child("kv_cache_scheme")
    if scheme:
        return scheme.integer("num_bits")
    return 8 if fields.text("kv_cache_quant_algo") == "fp8" else None


def _looks_mlx(fields: _Fields) -> bool:
    return "quant_method" not in fields.raw and "group_size" in fields.raw and "bits" in fields.raw


def _plain(fields: _Fields, method: str) -> Quantization:
    return Quantization(method=method, bits=fields.integer(*_BITS), block=fields.block())


def _auto_round(fields: _Fields, method: str) -> Quantization:
    """Packed as GPTQ packs, or where `packing_format` is `auto_round:auto_awq`, as AWQ does.

    `extra_config` has the settings of modules that differ, by their names.
    """
    read = _plain(fields, "awq" if "awq" in fields.text("packing_format") else method)
    apart = fields.child("extra_config")
    modules = {name: apart.child(name) for name in apart.raw} if apart else {}
    overrides = (
        _module(name, bits) for name, module in modules.items() if module and (bits := module.integer("bits"))
    )
    return replace(read, overrides=tuple(overrides))


def _gptq(fields: _Fields, method: str) -> Quantization:
    """GPTQModel's `dynamic`: `+:pattern` changes the settings of modules, `-:pattern` leaves them alone."""
    dynamic = fields.child("dynamic")
    overrides = tuple(_dynamic(dynamic)) if dynamic else ()
    return Quantization(
        method=method,
        bits=fields.integer(*_BITS),
        block=fields.block(),
        scheme=fields.text("checkpoint_format"),
        overrides=overrides,
    )


def _dynamic(fields: _Fields) -> Iterator[Override]:
    for key in fields.raw:
        sign, _, pattern = key.rpartition(":")
        changed = fields.child(key)
        if sign != "-" and changed and (bits := changed.integer("bits")):
            yield from _override(pattern, bits)


def _bitsandbytes(fields: _Fields, method: str) -> Quantization:
    if fields.raw.get("load_in_4bit"):
        kind = fields.text("bnb_4bit_quant_type") or "fp4"
        double = ", double quantization" if fields.raw.get("bnb_4bit_use_double_quant") else ""
        return Quantization(method=method, bits=4, block=(1, 64), scheme=kind + double)
    return Quantization(method=method, bits=8, scheme="int8")


def _fp8(fields: _Fields, method: str) -> Quantization:
    """The experts may be narrower: by `expert_dtype`, or by `store_dtype` in MiMo's configs."""
    experts = fields.raw.get("expert_dtype") or fields.raw.get("store_dtype")
    bits = _bits_of_format(experts) if isinstance(experts, str) else None
    narrow = bits is not None and bits < 8
    return Quantization(
        method=method,
        bits=8,
        block=fields.block(),
        scheme=", ".join(filter(None, (fields.text("fmt"), f"experts {experts}" if narrow else ""))),
        overrides=(Override(modules=_ROUTED_EXPERTS, bits=bits),) if bits and narrow else (),
    )


def _compressed_tensors(fields: _Fields, method: str) -> Quantization:
    """One group of settings a kind of module; those for all linear layers are the general ones."""
    named = fields.text("format")
    groups = fields.children("config_groups") or [fields]
    general = next((group for group in groups if "Linear" in group.texts("targets")), groups[0])
    bits = _bits_of_group(general) or _bits_of_format(named)
    overrides = tuple(
        override
        for group in groups
        for target in group.texts("targets")
        if (other := _bits_of_group(group))
        for override in _targets(target, other)
    )
    sparse = fields.child("sparsity_config")
    formats = {named, sparse.text("format") if sparse else ""}
    return Quantization(
        method=method,
        bits=bits,
        block=(general.child("weights") or fields).block(),
        scheme=named,
        overrides=overrides if {override.bits for override in overrides} - {bits} else (),
        notes=tuple(f"Weights of format {name} are counted as stored." for name in sorted(formats & _SPARSE)),
    )


def _bits_of_group(group: _Fields) -> int | None:
    weights = group.child("weights")
    return (weights.integer("num_bits") if weights else None) or _bits_of_format(group.text("format"))


def _modelopt(fields: _Fields, method: str) -> Quantization:
    has_groups = fields.child("config_groups") is not None
    read = _compressed_tensors(fields, method) if has_groups else _plain(fields, method)
    algorithm = fields.text("quant_algo")
    return replace(read, bits=read.bits or _bits_of_format(algorithm), scheme=algorithm)


def _hqq(fields: _Fields, method: str) -> Quantization:
    outer = fields.child("quant_config") or fields
    settings = outer.child("weight_quant_params") or outer
    bits = settings.integer(*_BITS)
    # hqq stores 3 bits ten to an int32 and 5 or 6 bits one a byte (Quantizer.bit_to_packing).
    return Quantization(method=method, bits={5: 8, 6: 8}.get(bits or 4, bits), block=settings.block())


def _aqlm(fields: _Fields, method: str) -> Quantization:
    rows, columns = fields.integer("out_group_size") or 1, fields.integer("in_group_size") or 8
    books, bits = fields.integer("num_codebooks") or 1, fields.integer("nbits_per_codebook") or 16
    return Quantization(method=method, bits=bits, block=(rows, columns), scheme=f"{books}×{bits}")


def _quanto(fields: _Fields, method: str) -> Quantization:
    return Quantization(
        method=method, bits=_bits_of_format(fields.text("weights")), scheme=fields.text("weights")
    )


def _torchao(fields: _Fields, method: str) -> Quantization:
    """`quant_type` is a name, or an object around one: `{"default": {"_type": …, "_data": {…}}}`."""
    nested = fields.child("quant_type")
    settings = (nested.child("default") or nested) if nested else fields
    scheme = settings.text("_type") if nested else fields.text("quant_type")
    data = settings.child("_data") or settings
    return Quantization(method=method, bits=_bits_of_format(scheme), block=data.block(), scheme=scheme)


def _mlx(fields: _Fields, method: str) -> Quantization:
    """Modules with settings of their own are keys beside the general ones; `false` leaves one unpacked."""
    overrides = tuple(
        _module(key, module.integer("bits") or _mlx_bits(module))
        for key in fields.raw
        if (module := fields.child(key))
    )
    return Quantization(
        method=method,
        bits=fields.integer("bits") or _mlx_bits(fields),
        block=fields.block(),
        scheme=fields.text("mode"),
        overrides=overrides,
    )


def _mlx_bits(fields: _Fields) -> int:
    """What a mode of `mlx.core.quantize` has where no bits are named."""
    return 8 if fields.text("mode") == "mxfp8" else 4


def _mxfp4(_: _Fields, method: str) -> Quantization:
    """OCP Microscaling Formats 1.0: 32 weights share an exponent; the configs of gpt-oss say no more."""
    return Quantization(method=method, bits=4, block=(1, 32))


def _exl3(_: _Fields, method: str) -> Quantization:
    """Bits differ by module and are in the shapes; a block is a tile of the trellis."""
    return Quantization(method=method, block=(16, 16))


_READERS: dict[str, Callable[[_Fields, str], Quantization]] = {
    "gptq": _gptq,
    "gptqmodel": _gptq,
    "auto-round": _auto_round,
    "intel/auto-round": _auto_round,
    "auto_round": _auto_round,
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
    "nvfp4": _modelopt,
    "hqq": _hqq,
    "aqlm": _aqlm,
    "quanto": _quanto,
    "torchao": _torchao,
    "mlx": _mlx,
    "mxfp4": _mxfp4,
    "exl3": _exl3,
}


def _bits_of_format(name: str) -> int | None:
    """The width in a format's name.

    >>> [_bits_of_format(name) for name in ("nvfp4-pack-quantized", "Int8WeightOnlyConfig", "W4A16", "e4m3")]
    [4, 8, 4, None]
    """
    match = _FORMAT_BITS.search(name.lower())
    return int(match[1]) if match and 0 < int(match[1]) <= 16 else None


def _targets(target: str, bits: int) -> Iterator[Override]:
    """The modules a target of compressed-tensors names: a pattern after `re:`, a module, or a class."""
    if target.startswith("re:"):
        yield from _override(target.removeprefix("re:"), bits)
    elif "." in target or target == "lm_head":
        yield _module(target, bits)


def _module(name: str, bits: int) -> Override:
    return Override(modules=re.compile(re.escape(name) + "$"), bits=bits)


def _override(pattern: str, bits: int) -> Iterator[Override]:
    if len(pattern) <= _LONGEST_PATTERN and _SAFE_PATTERN.fullmatch(pattern):
        try:
            yield Override(modules=re.compile(pattern), bits=bits)
        except re.error:
            return
