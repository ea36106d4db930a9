"""What a training run holds of a model: the dtype of its weights, what is trained, and how."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from hubmem import dtypes
from hubmem.errors import UsageError
from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.families import computation_of
from hubmem.memory.programs.tape import Adapters, Arithmetic
from hubmem.memory.training.adapters import adapt, adapter_shapes, place_of
from hubmem.memory.training.optimizers import Shape
from hubmem.memory.training.zero import has_master
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.weights import precision
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.roles import Role

_FLOAT32, _HALF = 4, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Tensors that get a gradient, beside or instead of those of a group.

    Attributes:
        shapes: one of them for each tensor of the group.
        itemsize: bytes of an element, of its gradient too.
    """

    group: TensorGroup
    shapes: tuple[Shape, ...]
    itemsize: int

    @property
    def elements(self) -> int:
        """Parameters of all of them."""
        return self.group.count * sum(map(prod, self.shapes))

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return self.elements * self.itemsize


@dataclass(frozen=True, kw_only=True)
class Regime:
    """How a model is held and trained.

    Attributes:
        weights: precision of the model's own weights.
        kept_float32: whether what is not quantized is float32 (QLoRA).
        whole: places of linear layers that are not quantized though others are.
    """

    weights: precision.Target
    arithmetic: Arithmetic
    trained: tuple[Trained, ...]
    kept_float32: bool = False
    whole: frozenset[str] = frozenset()

    def held(self, group: TensorGroup) -> int:
        """Bytes of a group's own weights."""
        if group.role is Role.BUFFER:
            return 0
        if self.kept_float32 and group.unpacked is not None and not self._quantizes(group):
            return group.parameters * _FLOAT32
        return self.weights.nbytes(group)

    def _quantizes(self, group: TensorGroup) -> bool:
        return self.weights.quantizes(group) and not (self.whole and place_of(group) in self.whole)


def regime_of(architecture: Architecture | None, census: Census, workload: Workload) -> Regime:
    """The regime a workload asks for.

    Raises:
        UsageError: it contradicts itself or the model.
    """
    computation = computation_of(architecture, census)
    if workload.train == "full":
        return _full(census, workload, computation)
    if workload.train == "lora":
        return _lora(architecture, census, workload, computation)
    return _qlora(census, workload, computation)


def _full(census: Census, workload: Workload, computation: Computation) -> Regime:
    """All weights in one dtype: bf16, or float32 under autocast and without."""
    packed = next(filter(_stays_packed, census.groups), None)
    if packed is not None:
        raise UsageError(
            f"Full fine-tuning needs weights with gradients, and {packed.template} is quantized.",
            hint="Train an adapter instead: --train lora.",
        )
    master = has_master(workload)
    itemsize = _HALF if workload.precision == "bf16" or master else _FLOAT32
    trained = (
        Trained(group=group, shapes=(group.unpacked,), itemsize=itemsize)
        for group in census.groups
        if group.unpacked is not None
        and group.role is not Role.BUFFER
        and not group.template.endswith(computation.frozen)
    )
    return Regime(
        weights=precision.parse("bf16" if itemsize == _HALF else "fp32"),
        trained=tuple(trained),
        arithmetic=Arithmetic(
            itemsize=itemsize,
            autocast=workload.precision == "amp" and not master,
            trains=True,
            base_trains=True,
            batched=workload.batch > 1,
        ),
    )


def _lora(
    architecture: Architecture | None, census: Census, workload: Workload, computation: Computation
) -> Regime:
    """Frozen weights as they are packed, or in the dtype that is computed in; adapters beside them."""
    autocast = workload.precision == "amp"
    if workload.weight_dtype is None and any(map(_stays_packed, census.groups)):
        base = precision.AS_STORED
        return _with_adapters(
            census, workload, computation, base, itemsize=_HALF, quantized=True, autocast=autocast
        )
    name = workload.weight_dtype or {"fp32": "fp32", "bf16": "bf16"}.get(workload.precision)
    if name is None:
        stored = dtypes.find((architecture.dtype if architecture else None) or census.main_dtype)
        name = "fp32" if stored is not None and stored.bits == 32 else "bf16"
    target = precision.parse(name)
    if target.matrix_nbytes is not None:
        raise UsageError(f"LoRA over weights in {target.label} is QLoRA.", hint="Ask for --train qlora.")
    itemsize = target.kept_bits // 8
    return _with_adapters(
        census, workload, computation, target, itemsize=itemsize, quantized=False, autocast=autocast
    )


def _qlora(census: Census, workload: Workload, computation: Computation) -> Regime:
    """4-bit weights with double quantization, or as bitsandbytes has stored them; the rest is cast to float32.

    Source: Dettmers et al., arXiv 2305.14314; peft, prepare_model_for_kbit_training.
    """
    packed = next((group for group in census.groups if group.is_packed), None)
    if packed is not None and not _is_bitsandbytes(packed):
        raise UsageError(
            f"QLoRA quantizes a model itself, and {packed.template} is quantized already.",
            hint="Train an adapter over it with --train lora, or start from the original weights.",
        )
    base = precision.AS_STORED if packed else precision.parse("nf4-dq")
    regime = _with_adapters(
        census, workload, computation, base, itemsize=_FLOAT32, quantized=True, autocast=True
    )
    whole = frozenset({"down_proj"} if computation.down_float32 else ())
    return replace(regime, kept_float32=True, whole=whole)


def _stays_packed(group: TensorGroup) -> bool:
    """Whether weights are packed, and stay so where a model is trained: MXFP4 is unpacked on loading.

    Source: transformers 5.23, quantizers/quantizer_mxfp4.py, is_trainable; Mxfp4Config(dequantize=True).
    """
    return group.is_packed and not group.template.endswith("_blocks")


def _is_bitsandbytes(group: TensorGroup) -> bool:
    """Whether a packed matrix is 4-bit of bitsandbytes: one column of bytes, under the matrix's own name."""
    return group.template.endswith(".weight") and group.dtype == "U8" and group.shape[1:] == (1,)


def _with_adapters(
    census: Census,
    workload: Workload,
    computation: Computation,
    target: precision.Target,
    *,
    itemsize: int,
    quantized: bool,
    autocast: bool,
) -> Regime:
    adaptation = adapt(census, workload.lora_targets, experts=computation.adapts_experts)
    own = itemsize if workload.adapter_dtype == "model" else _FLOAT32
    adapters = Adapters(
        rank=workload.rank,
        itemsize=own,
        targets=adaptation.places,
        drops=workload.lora_dropout > 0,
        dora=workload.dora,
    )
    return Regime(
        weights=target,
        trained=tuple(_adapters_of(adaptation.groups, adapters)),
        arithmetic=Arithmetic(
            itemsize=itemsize,
            autocast=autocast,
            trains=True,
            adapters=adapters,
            quantized=quantized,
            batched=workload.batch > 1,
        ),
    )


def _adapters_of(groups: tuple[TensorGroup, ...], adapters: Adapters) -> Iterator[Trained]:
    """A and B of each matrix, and with DoRA a magnitude for each of its outputs."""
    for group in groups:
        shapes: tuple[Shape, ...] = adapter_shapes(group, adapters.rank)
        if adapters.dora:
            shapes += (shapes[1][:1],)
        yield Trained(group=group, shapes=shapes, itemsize=adapters.itemsize)
