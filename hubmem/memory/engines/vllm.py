"""vLLM: what a rank sets aside when it starts, and the blocks it fills the rest of its share with.

Rules are those of vLLM 0.11 (its V1 engine) unless another version is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from hubmem import dtypes
from hubmem.memory.device import RESERVED_BY_INFERENCE, Device, context_term, workspace_bytes
from hubmem.memory.engine_cache import BlockLayout, PagedCache, block_layout
from hubmem.memory.engines.vllm_profile import V1, Limits, Rules, bounds_of, profile_term
from hubmem.memory.engines.vllm_weights import LoadedWeights, computed_itemsize
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.sharding import Rank
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.config import Config
from hubmem.units import GIB, format_binary
from hubmem.weights.roles import Role

_UNKNOWN = "The layers of this model type are not known: weights only, without cache and profile run."
_NO_BLOCKS = "vLLM's blocks do not hold this model's cache: none is counted."
_DRAFTS = "Layers that draft tokens are not counted: vLLM loads them for speculative decoding alone."
_TOWERS = (
    "vLLM also profiles the largest image, video or audio it allows, or as many as fill a step, which is not counted:"
    " in start-up logs of Qwen2.5-VL that took 1 to 5 GiB more. `--limit-mm-per-prompt` and smaller `max_pixels` lower"
    " it, `--skip-mm-profiling` leaves it out."
)

# Types whose every stage has an embedding and a head of its own, and not the ends of the pipeline alone.
_BOTH_ENDS = frozenset({"qwen3_moe"})

# GiB by which memory outside the allocator grows during start-up (NCCL's buffers, kernels loaded late), by the
# ranks of tensor parallelism from which a row holds: usual, least and most in published logs.
_OUTSIDE = ((8, 1.20, 0.20, 2.15), (4, 0.80, 0.20, 1.39), (2, 0.55, 0.54, 0.74), (1, 0.13, 0.01, 0.35))
# The same on one rank whose model is not compiled: there are fewer kernels to load.
_OUTSIDE_EAGER = (0.05, 0.01, 0.26)
_GRAPHS = (0.50, 0.05, 1.30)


def plan(rank: Rank, *, rules: Rules = V1) -> Plan:
    """What one rank sets aside to serve the workload's sequences at once."""
    worker = Worker(rank=_with_ends(without_drafts(rank)), rules=rules)
    serving = Moment(phase="serving", name="profile run beside the cache", terms=tuple(worker.terms()))
    context, graphs = context_term(), worker.graphs()
    beside = (context,) if rules.counts_graphs else (context, *graphs)
    return Plan(
        moments=(serving,),
        overheads=(context, worker.outside(), *graphs),
        reserved_ratio=_reserved(serving),
        devices=rank.workload.devices,
        share=rank.workload.gpu_memory_utilization,
        beside_share=frozenset(term.name for term in beside),
        pool=worker.layout,
        notes=(*worker.notes(), *([_DRAFTS] if worker.rank.census is not rank.census else [])),
    )


def settled(
    workload: Workload,
    device: Device,
    config: Config | None = None,  # noqa: ARG001 - decides nothing by it
    *,
    rules: Rules = V1,
) -> Workload:
    """The workload with the limits of a step that a server takes on that device."""
    limits = Limits.of(workload, rules, device)
    return replace(
        workload,
        max_num_seqs=limits.sequences,
        max_num_batched_tokens=limits.tokens,
        compute_capability=device.compute_capability,
    )


def stage_bounds(layers: int, workload: Workload) -> list[int]:
    """Where stages begin, and where the last ends; those before the last take one more, from behind.

    Source: vLLM 0.11, distributed/utils.py, get_pp_indices.

    >>> stage_bounds(61, Workload(pp=4)), stage_bounds(62, Workload(pp=4))
    ([0, 15, 30, 46, 61], [0, 15, 31, 47, 62])
    """
    each, more = divmod(layers, workload.pp)
    longer = range(workload.pp - 1 - more, workload.pp - 1)
    return [0, *accumulate(each + (index in longer) for index in range(workload.pp))]


def without_drafts(rank: Rank) -> Rank:
    """The rank without layers that draft tokens: they are loaded for speculative decoding alone.

    Source: vLLM 0.11, model_executor/models/deepseek_v2.py, load_weights (get_spec_layer_idx_from_weight_name).
    """
    return replace(rank, census=rank.census.without_drafts)


def _with_ends(rank: Rank) -> Rank:
    """The rank with an embedding and a head, where its model's code makes both on every stage.

    Source: vLLM 0.10, model_executor/models/qwen3_moe.py, Qwen3MoeModel and Qwen3MoeForCausalLM.
    """
    known = rank.architecture is not None and rank.architecture.model_type in _BOTH_ENDS
    return replace(rank, stage=replace(rank.stage, both_ends=True)) if known else rank


def _reserved(serving: Moment) -> tuple[float, float]:
    """Only activations come and go: weights and the pool are allocated once."""
    moving = sum(term.nbytes for term in serving.terms if term.name == "activations")
    low, high = (1 + (ratio - 1) * moving / max(1, serving.nbytes) for ratio in RESERVED_BY_INFERENCE)
    return low, high


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One rank's process."""

    rank: Rank
    rules: Rules

    @property
    def limits(self) -> Limits:
        """Of a step."""
        return Limits.of(self.rank.workload, self.rules)

    @property
    def is_eager(self) -> bool:
        """Whether the model is not compiled."""
        return not (self.rules.compiles and self.rank.workload.cuda_graphs)

    def terms(self) -> Iterator[Term]:
        """Weights, the profile run's peak, and the blocks of the workload's sequences."""
        yield from self.weights()
        yield from self.profile()
        layout = self.layout
        if layout:
            yield self._cache(layout)

    def weights(self) -> Iterator[Term]:
        """Parameters as its kernels hold them, and the table of rotary positions."""
        yield from LoadedWeights(rank=self.rank, rules=self.rules).terms()

    def profile(self) -> Iterator[Term]:
        """The peak of the profile run."""
        if self.rank.architecture:
            yield profile_term(
                self.rank.architecture,
                self.limits,
                bounds_of(self.rank.workload, self.limits),
                itemsize=computed_itemsize(self.rank, self.rank.architecture),
                workspace=workspace_bytes(self.rank.workload.compute_capability),
                eager=self.is_eager,
                samples=self.rank.stage.last,
            )

    def outside(self) -> Term:
        """Memory outside the allocator that start-up adds to the context."""
        tp = self.rank.workload.tp
        alone = tp == 1 and self.is_eager
        usual, low, high = _OUTSIDE_EAGER if alone else next(row[1:] for row in _OUTSIDE if tp >= row[0])
        return _assumed(
            "non-torch memory", usual, low, high, f"as logs show for TP{tp}: kernels, and NCCL's buffers"
        )

    def graphs(self) -> tuple[Term, ...]:
        """CUDA graphs: captured after the pool is made, out of which later versions take an estimate of them."""
        if not self.rank.workload.cuda_graphs:
            return ()
        counted = "counted in" if self.rules.counts_graphs else "beside"
        formula = f"as logs show for the default capture sizes; {counted} the share"
        return (_assumed("CUDA graphs", *_GRAPHS, formula),)

    @cached_property
    def layout(self) -> BlockLayout | None:
        """How the cache lies in blocks on this rank."""
        architecture = self.rank.architecture
        if architecture is None or not architecture.generates:
            return None
        cache = self.cache_settings(architecture)
        return block_layout(architecture, replace(cache, max_batched_tokens=self.limits.tokens))

    def cache_settings(self, architecture: Architecture) -> PagedCache:
        """The widths of what is cached: as the user set it, else the model's."""
        kv_dtype, model = self.rank.workload.kv_dtype, 8 * computed_itemsize(self.rank, architecture)
        cache = dtypes.find(kv_dtype) if kv_dtype else None
        return PagedCache(cache_bits=cache.bits if cache else model, model_bits=model)

    def notes(self) -> Iterator[str]:
        """What is left out."""
        architecture = self.rank.architecture
        if architecture is None:
            yield _UNKNOWN
        elif architecture.generates and self.layout is None:
            yield _NO_BLOCKS
        if any(group.role in (Role.VISION, Role.AUDIO) for group in self.rank.census.kinds):
            yield _TOWERS

    def _cache(self, layout: BlockLayout) -> Term:
        workload = self.rank.workload
        source = workload.encoder_context or workload.context
        blocks = layout.request_blocks(workload.context, encoder_tokens=source)
        return Term(
            name="KV cache",
            nbytes=workload.batch * blocks * layout.block_bytes,
            basis=Basis.DERIVED,
            formula=f"{workload.batch:,} × {blocks:,} blocks × {format_binary(layout.block_bytes)};"
            f" a block serves {_groups(layout)}",
            source="vLLM 0.11, v1/core/kv_cache_utils.py, get_kv_cache_config",
        )


def _assumed(name: str, usual: float, low: float, high: float, formula: str) -> Term:
    return Term(
        name=name,
        nbytes=int(usual * GIB),
        basis=Basis.ASSUMED,
        formula=formula,
        source="range of published start-up logs",
        low=int(low * GIB),
        high=int(high * GIB),
    )


def _groups(layout: BlockLayout) -> str:
    return "all layers" if layout.groups == 1 else f"one of {layout.groups} groups of layers"
