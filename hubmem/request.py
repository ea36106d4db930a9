"""What a user asks, checked before anything is asked of the Hub."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hubmem import dtypes
from hubmem.errors import UsageError
from hubmem.fit.gpus import USUAL, Target, parse_target
from hubmem.fit.hosting import USUAL_BANDWIDTH
from hubmem.fit.own_gpus import read_own_gpus
from hubmem.memory.cells import CELL_TYPES
from hubmem.memory.contradictions import refuse_contradictions
from hubmem.memory.engines.engine import Engine, engine_of
from hubmem.memory.workload import DEFAULT_CONTEXT, Workload
from hubmem.models.architecture import Architecture
from hubmem.models.mixers import CachePolicy
from hubmem.units import parse_bandwidth
from hubmem.weights import precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A workload whose length may still depend on the model, and the accelerators to hold it against.

    Attributes:
        context: tokens of a sequence; None for 8,192, or less where the model ends sooner.
        targets: the accelerators the user named, or the usual ones.
        named: whether the user named them.
        cloud: whether to look for rented machines that it fits.
        bits_per_second: of the network, for the time of a download.
    """

    workload: Workload
    context: int | None
    targets: tuple[Target, ...]
    named: bool
    cloud: bool
    bits_per_second: int

    @classmethod
    def of(
        cls,
        *,
        gpus: str | Sequence[str] = (),
        gpus_file: str | os.PathLike[str] | None = None,
        cloud: bool = False,
        bandwidth: str = USUAL_BANDWIDTH,
        context: int | None = None,
        dtype: str | None = None,
        kv_dtype: str | None = None,
        cache_policy: str | None = None,
        engine: str = "transformers",
        **workload: Any,
    ) -> "Request":
        """Read what a user wrote.

        Args:
            gpus: one or several names such as `H100-80GB`, `2xA100-80GB`, `24GiB` or `aws:p4de.24xlarge`.
            gpus_file: a TOML or JSON file of accelerators that may be named too.
            cloud: whether to look for rented machines that it fits.
            bandwidth: of the network, such as `1Gbit/s`.
            context: tokens of a sequence.
            dtype: precision to hold the weights in, by `hubmem.weights.precision`; None for as stored.
            kv_dtype: dtype of the cache; None for what the engine would choose.
            cache_policy: how the positions a window holds are counted, by `CachePolicy`; None for the engine's,
                and for the logical one in transformers.
            engine: what runs the model, such as `vllm` or `vllm@0.21`.
            workload: any other field of `Workload`, by its name.

        Raises:
            UsageError: something that cannot be.
        """
        workload["context"] = DEFAULT_CONTEXT if context is None else context
        _check_types(workload)
        names = (gpus,) if isinstance(gpus, str) else tuple(gpus)
        own = read_own_gpus(Path(gpus_file)) if gpus_file is not None else ()
        engine_name, _, version = engine.partition("@")
        row = engine_of(engine_name, version or None)
        policy = _cache_policy(cache_policy, row)
        asked = Workload(
            weight_dtype=precision.parse(dtype).name if dtype else None,
            kv_dtype=_kv_dtype(kv_dtype, policy, row) if kv_dtype else None,
            cache_policy=policy,
            engine=engine_name,
            engine_version=version or None,
            **workload,
        )
        refuse_contradictions(asked)
        return cls(
            workload=asked,
            context=context,
            targets=tuple(parse_target(name, own) for name in names or USUAL),
            named=bool(names),
            cloud=cloud,
            bits_per_second=parse_bandwidth(bandwidth),
        )

    def workload_for(self, architecture: Architecture | None) -> Workload:
        """The workload with its length settled: what was asked, or the default within the model's own limit."""
        limit = architecture.max_context if architecture else None
        if self.context is not None or limit is None:
            return self.workload
        return replace(self.workload, context=min(DEFAULT_CONTEXT, limit))


def _check_types(values: Mapping[str, Any]) -> None:
    """Refuse values that no field of a workload may have; a name that is no field's is Python's to refuse.

    Raises:
        UsageError: the message names the field.
    """
    for name, kind in get_type_hints(Workload).items():
        kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        if name in values and not any(_is_of(values[name], each) for each in kinds):
            allowed = ", ".join(map(_spelled, kinds))
            raise UsageError(f"{name} is {values[name]!r}.", hint=f"It may be {allowed}.")


def _is_of(value: object, kind: Any) -> bool:
    """Whether a value is of a type or one of a `Literal`'s; a bool is no number, a whole number is a float."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _spelled(kind: Any) -> str:
    return ", ".join(map(repr, get_args(kind))) or ("None" if kind is NoneType else kind.__name__)


def _cache_policy(text: str | None, engine: Engine) -> CachePolicy:
    known = {policy.value: policy for policy in CachePolicy}
    if text is None:
        return CachePolicy.LOGICAL if engine.name == "transformers" else engine.cache_policy
    if text not in known:
        raise UsageError(f"Unknown cache policy {text!r}.", hint=f"Known: {', '.join(known)}.")
    return known[text]


def _kv_dtype(text: str, policy: CachePolicy, engine: Engine) -> str:
    """A dtype of the cache; llama.cpp has narrow ones of its own, and no others."""
    if policy is CachePolicy.LLAMA_CPP and text.lower() in CELL_TYPES:
        return text.lower()
    name = dtypes.parse(text).name
    if engine.cache_policy is not CachePolicy.LLAMA_CPP:
        return name
    if name.lower() not in CELL_TYPES:
        raise UsageError(
            f"--cache-type {text}: --engine {engine.name} has no such cache.",
            hint=f"It has {', '.join(CELL_TYPES)}.",
        )
    return name.lower()
