"""What can run a model: one row an engine."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Protocol

from hubmem.errors import UsageError
from hubmem.memory.device import Device
from hubmem.memory.engines import llama_cpp, sglang, sglang_rules, transformers, vllm, vllm_profile
from hubmem.memory.plan import Plan
from hubmem.memory.sharding import Rank, stage_bounds
from hubmem.memory.workload import Workload
from hubmem.models.config import Config
from hubmem.models.mixers import CachePolicy


class Settle(Protocol):
    """Fills in what an engine decides by the device it finds."""

    def __call__(self, workload: Workload, device: Device, config: Config | None = None) -> Workload:
        """The workload on that device; some engines ask the model's config too."""


def _as_asked(workload: Workload, device: Device, config: Config | None = None) -> Workload:  # noqa: ARG001 - decides nothing
    return workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine.

    Attributes:
        name: as on the command line; several rows of a name are versions of it.
        version: whose rules it follows.
        since: the first version that has them; "" where versions are not told apart.
        plan: the memory of one rank.
        cache_policy: how it lays out what sequences keep.
        settle: what it decides by the device.
        settings: fields of a workload that only some engines have, and this one does.
        splits_layers: whether several devices share layers, and not matrices.
        stage_bounds: where stages of so many layers begin, and where the last ends.
    """

    name: str
    version: str
    since: str = ""
    plan: Callable[[Rank], Plan]
    cache_policy: CachePolicy
    settle: Settle = _as_asked
    settings: frozenset[str] = frozenset()
    splits_layers: bool = False
    stage_bounds: Callable[[int, Workload], Sequence[int]] = stage_bounds

    @property
    def label(self) -> str:
        """Its name, with the version where that matters."""
        return f"{self.name} {self.version}" if self.since else self.name

    def divided(self, workload: Workload) -> Workload:
        """The workload over its devices as this engine would spread it."""
        if not self.splits_layers:
            return workload
        return replace(workload, tp=1, pp=workload.tp * workload.pp)


def _versions(
    *rules: vllm_profile.Rules | sglang_rules.Rules,
    name: str,
    plan: Callable[..., Plan],
    settle: Callable[..., Workload],
    cache_policy: CachePolicy,
    settings: set[str],
    stage_bounds: Callable[[int, Workload], Sequence[int]],
) -> Iterator[Engine]:
    """A row for each version whose rules differ."""
    for each in rules:
        yield Engine(
            name=name,
            version=each.version,
            since=each.since,
            plan=partial(plan, rules=each),
            cache_policy=cache_policy,
            settle=partial(settle, rules=each),
            settings=frozenset(settings),
            stage_bounds=stage_bounds,
        )


# The first row of a name is taken where nobody asks for a version.
_ROWS = (
    Engine(
        name="transformers",
        version="5.23",
        plan=transformers.plan,
        cache_policy=CachePolicy.TRANSFORMERS,
        settle=transformers.settled,
        settings=frozenset({"gpu_layers", "images", "image_size"}),
    ),
    *_versions(
        vllm_profile.V1,
        vllm_profile.V0,
        vllm_profile.WITH_GRAPHS,
        name="vllm",
        plan=vllm.plan,
        cache_policy=CachePolicy.VLLM,
        settle=vllm.settled,
        settings={"gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens", "cuda_graphs"},
        stage_bounds=vllm.stage_bounds,
    ),
    *_versions(
        sglang_rules.V05,
        sglang_rules.V04,
        sglang_rules.V0510,
        name="sglang",
        plan=sglang.plan,
        cache_policy=CachePolicy.LOGICAL,
        settle=sglang.settled,
        settings={"mem_fraction_static", "max_num_batched_tokens", "cuda_graphs"},
        stage_bounds=sglang.stage_bounds,
    ),
    Engine(
        name="llama.cpp",
        version="December 2025",
        plan=llama_cpp.plan,
        cache_policy=CachePolicy.LLAMA_CPP,
        settings=frozenset({"gpu_layers", "micro_batch", "flash_attention"}),
        splits_layers=True,
        stage_bounds=llama_cpp.stage_bounds,
    ),
)

ENGINES: Mapping[str, Engine] = {row.name: row for row in reversed(_ROWS)}
"""By name, each with the rules it has where nobody asks for a version."""


def engine_of(name: str, version: str | None = None) -> Engine:
    """The engine of that name, with the rules of that version.

    >>> engine_of("vllm").version, engine_of("vllm", "0.31.2").version
    ('0.11', '0.21')

    Raises:
        UsageError: there is none, or its rules are not known for that version.
    """
    if name not in ENGINES:
        raise UsageError(f"Unknown engine {name!r}.", hint=f"Known: {', '.join(sorted(ENGINES))}.")
    if version is None:
        return ENGINES[name]
    rows = (row for row in _ROWS if row.name == name and row.since)
    since = sorted(((_numbers(row.since), row) for row in rows), key=itemgetter(0))
    if not since:
        known = ENGINES[name].version
        raise UsageError(f"--engine {name}@{version}: its rules are known for {known} alone.")
    fitting = [row for first, row in since if first <= _numbers(version)]
    if not fitting:
        raise UsageError(f"--engine {name}@{version}: no rules are known before {since[0][1].since}.")
    return fitting[-1]


def _numbers(version: str) -> tuple[int, ...]:
    """A version to compare by.

    >>> _numbers("0.15.2rc1") > _numbers("0.8")
    True
    """
    return tuple(map(int, re.findall(r"\d+", version)))
