"""What can run a model: one row an engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from hubmem.errors import UsageError
from hubmem.memory import llama_cpp, transformers, vllm
from hubmem.memory.plan import Plan
from hubmem.memory.sharding import Rank
from hubmem.memory.vllm_profile import V0, V1, WITH_GRAPHS, Rules
from hubmem.memory.workload import Workload
from hubmem.models.mixers import CachePolicy


class Settle(Protocol):
    """Fills in what an engine decides by the device it finds."""

    def __call__(self, workload: Workload, memory_bytes: int, *, a100: bool) -> Workload:
        """The workload on a device with so much memory."""


def _as_asked(workload: Workload, memory_bytes: int, *, a100: bool) -> Workload:  # noqa: ARG001 - decides nothing
    return workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine.

    Attributes:
        name: as on the command line.
        version: whose rules it follows.
        plan: the memory of one rank.
        cache_policy: how it lays out what sequences keep.
        settle: what it decides by the device.
        settings: fields of a workload that only some engines have, and this one does.
        splits_layers: whether several devices share layers, and not matrices.
    """

    name: str
    version: str
    plan: Callable[[Rank], Plan]
    cache_policy: CachePolicy
    settle: Settle = _as_asked
    settings: frozenset[str] = frozenset()
    splits_layers: bool = False

    def divided(self, workload: Workload) -> Workload:
        """The workload over its devices as this engine would spread it."""
        if not self.splits_layers:
            return workload
        return replace(workload, tp=1, pp=workload.tp * workload.pp)


def _vllm(name: str, rules: Rules) -> Engine:
    return Engine(
        name=name,
        version=rules.version,
        plan=partial(vllm.plan, rules=rules),
        cache_policy=CachePolicy.VLLM,
        settle=partial(vllm.settled, rules=rules),
        settings=frozenset(
            {"gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "cuda_graphs"}
        ),
    )


_ROWS = (
    Engine(
        name="transformers",
        version="5.23",
        plan=transformers.plan,
        cache_policy=CachePolicy.TRANSFORMERS,
        settings=frozenset({"gpu_layers"}),
    ),
    _vllm("vllm", V1),
    _vllm("vllm-0.7", V0),
    _vllm("vllm-0.21", WITH_GRAPHS),
    Engine(
        name="llama.cpp",
        version="of December 2025",
        plan=llama_cpp.plan,
        cache_policy=CachePolicy.LLAMA_CPP,
        settings=frozenset({"gpu_layers", "micro_batch", "flash_attention"}),
        splits_layers=True,
    ),
)

ENGINES: Mapping[str, Engine] = {row.name: row for row in _ROWS}


def engine_of(name: str) -> Engine:
    """The engine of that name.

    >>> engine_of("vllm").cache_policy.value
    'vllm'

    Raises:
        UsageError: there is none.
    """
    if name not in ENGINES:
        raise UsageError(f"Unknown engine {name!r}.", hint=f"Known: {', '.join(ENGINES)}.")
    return ENGINES[name]
