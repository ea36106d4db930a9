"""SGLang: weights and pools of tokens and states in a fixed part of a device, the rest left to what comes and goes.

Rules are those of SGLang 0.5 unless another version is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from hubmem.memory.device import Device, context_term, workspace_bytes
from hubmem.memory.engines.sglang_rules import V05, Rules
from hubmem.memory.engines.token_pool import TokenPool, token_pool
from hubmem.memory.engines.vllm import Worker, without_drafts
from hubmem.memory.engines.vllm_profile import V1, Limits, profile_term
from hubmem.memory.engines.vllm_weights import computed_itemsize
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.sharding import Rank
from hubmem.memory.workload import Workload
from hubmem.models.config import Config
from hubmem.units import MIB
from hubmem.weights.roles import Role

_UNKNOWN = "The layers of this model type are not known: weights only, without cache and activations."
_NO_POOL = "SGLang's pools are not planned for layers like this model's: no cache is counted."
_TOWERS = (
    "SGLang leaves 5 % or more of a GPU free for images where nobody sets its fraction: name a GPU to have"
    " that counted."
)


def plan(rank: Rank, *, rules: Rules = V05) -> Plan:
    """What one rank holds to serve the workload's sequences at once."""
    server = _Server(rank=without_drafts(rank), rules=rules)
    before = (context_term(), *([server.worker.outside()] if rank.workload.tp > 1 else ()))
    beside = (*server.activations(), *server.worker.graphs())
    return Plan(
        moments=(Moment(phase="serving", name="a step beside the pool", terms=tuple(server.terms())),),
        overheads=(*before, _loaded_kernels(), *beside),
        reserved_ratio=(1.0, 1.0),
        devices=rank.workload.devices,
        share=rules.fraction(rank.workload),
        beside_share=frozenset(term.name for term in (*before, *beside)),
        before_share=frozenset(term.name for term in before),
        pool=server.pool,
        notes=tuple(server.notes()),
    )


def settled(
    workload: Workload, device: Device, config: Config | None = None, *, rules: Rules = V05
) -> Workload:
    """The workload with the chunks and the fraction a server takes on that device, less of it for a model of images."""
    fraction = rules.fraction(workload, device.memory_bytes, config)
    if workload.mem_fraction_static is None and config is not None:
        fraction *= rules.beside_tower(config)
    return replace(
        workload,
        max_num_batched_tokens=workload.max_num_batched_tokens or rules.on(device.memory_bytes).chunk,
        compute_capability=device.compute_capability,
        mem_fraction_static=fraction,
    )


def stage_bounds(layers: int, workload: Workload) -> list[int]:
    """Where stages begin, and where the last ends; the last take one more where layers do not divide evenly.

    Source: SGLang 0.5, distributed/utils.py, get_pp_indices.

    >>> stage_bounds(62, Workload(pp=4))
    [0, 15, 30, 46, 62]
    """
    each, more = divmod(layers, workload.pp)
    alike = workload.pp - more
    return [index * each + max(0, index - alike) for index in range(workload.pp + 1)]


def _loaded_kernels() -> Term:
    """What the driver sees beside weights that have been loaded: SGLang counts free memory, not tensors."""
    return Term(
        name="loaded kernels",
        nbytes=84 * MIB,
        basis=Basis.ASSUMED,
        formula="weights in five start-up logs, less their tensors",
        source="range of published start-up logs",
        low=31 * MIB,
        high=133 * MIB,
    )


@dataclass(frozen=True, kw_only=True)
class _Server:
    """One rank's process; it runs vLLM's layers, in eager code."""

    rank: Rank
    rules: Rules

    @property
    def worker(self) -> Worker:
        """The rank as vLLM would run it."""
        return Worker(rank=self.rank, rules=V1)

    @cached_property
    def pool(self) -> TokenPool | None:
        """What is set aside for tokens and states; states are float32."""
        architecture = self.rank.architecture
        if architecture is None or not architecture.generates:
            return None
        return token_pool(architecture, replace(self.worker.cache_settings(architecture), state_bits=32))

    def terms(self) -> Iterator[Term]:
        """Weights, and the part of the pools that the workload's sequences need."""
        yield from self.worker.weights()
        if self.pool:
            yield self._cache(self.pool)

    def activations(self) -> Iterator[Term]:
        """Of a chunk of a prompt. Its sampling kernels sort nothing."""
        architecture, tokens = self.rank.architecture, self.rank.workload.max_num_batched_tokens
        if architecture is None:
            return
        usual, least, most = (
            Limits(sequences=1, tokens=tokens or chunk, known=tokens is not None)
            for chunk in (self.rules.unknown.chunk, min(self.rules.chunks), max(self.rules.chunks))
        )
        yield replace(
            profile_term(
                architecture,
                usual,
                (least, most),
                itemsize=computed_itemsize(self.rank, architecture),
                workspace=workspace_bytes(self.rank.workload.compute_capability),
                eager=True,
                samples=False,
            ),
            source=f"SGLang {self.rules.version}, srt/models: vLLM's layers on a chunk of chunked_prefill_size",
        )

    def notes(self) -> Iterator[str]:
        """What is left out."""
        architecture = self.rank.architecture
        if architecture is None:
            yield _UNKNOWN
        elif architecture.generates and self.pool is None:
            yield _NO_POOL
        sees = any(group.role is Role.VISION for group in self.rank.census.kinds)
        if sees and self.rank.workload.mem_fraction_static is None:
            yield _TOWERS

    def _cache(self, pool: TokenPool) -> Term:
        batch, tokens = self.rank.workload.batch, self.rank.workload.context
        return Term(
            name="KV cache",
            nbytes=batch * pool.request_bytes(tokens),
            basis=Basis.DERIVED,
            formula=f"{batch:,} × {pool.formula(tokens)}",
            source=f"SGLang {self.rules.version}, srt/model_executor/model_runner_kv_cache_mixin.py",
        )
