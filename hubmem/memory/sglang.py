"""SGLang: weights and a pool of tokens in a fixed part of a device, the rest left to what comes and goes.

Rules are those of SGLang 0.4.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from hubmem.memory.device import context_term
from hubmem.memory.engine_cache import BlockLayout, block_layout, without_windows
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.sharding import Rank
from hubmem.memory.vllm import Worker, without_drafts
from hubmem.memory.vllm_profile import V1, Limits, profile_term
from hubmem.memory.workload import Workload
from hubmem.units import format_binary

_UNKNOWN = "The layers of this model type are not known: weights only, without cache and activations."
_NO_POOL = "SGLang's pool of tokens is not planned for layers like this model's: no cache is counted."

# `mem_fraction_static` by the ranks of tensor parallelism from which it holds (server_args.py, __post_init__).
_FRACTIONS = ((16, 0.79), (8, 0.81), (4, 0.85), (2, 0.87), (1, 0.88))
# `chunked_prefill_size`, and on a device with less than 25,000 MB (the same function).
_CHUNK, _SMALL_CHUNK, _SMALL_DEVICE = 8192, 2048, 25_000 * 2**20


def plan(rank: Rank) -> Plan:
    """What one rank holds to serve the workload's sequences at once."""
    server = _Server(without_drafts(rank))
    context, outside = context_term(), server.worker.outside()
    beside = (*server.activations(), *server.worker.graphs())
    return Plan(
        moments=(Moment(phase="serving", name="a step beside the pool", terms=tuple(server.terms())),),
        overheads=(context, outside, *beside),
        reserved_ratio=(1.0, 1.0),
        devices=rank.workload.devices,
        share=fraction_of(rank.workload),
        beside_share=frozenset(term.name for term in beside),
        blocks=server.layout,
        notes=tuple(server.notes()),
    )


def settled(workload: Workload, memory_bytes: int, *, a100: bool) -> Workload:  # noqa: ARG001 - all alike here
    """The workload with the chunks a server takes on a device with so much memory."""
    chunk = _SMALL_CHUNK if memory_bytes < _SMALL_DEVICE else _CHUNK
    return replace(workload, max_num_batched_tokens=workload.max_num_batched_tokens or chunk)


def fraction_of(workload: Workload) -> float:
    """The part of a device for weights and pool: as set, else by tensor parallelism.

    >>> fraction_of(Workload(tp=4)), fraction_of(Workload(mem_fraction_static=0.93))
    (0.85, 0.93)
    """
    return workload.mem_fraction_static or next(part for tp, part in _FRACTIONS if workload.tp >= tp)


class _Server:
    """One rank's process; it runs vLLM's layers, in eager code."""

    def __init__(self, rank: Rank) -> None:
        self._rank, self._workload, self._architecture = rank, rank.workload, rank.architecture
        self.worker = Worker(rank=rank, rules=V1)

    def terms(self) -> Iterator[Term]:
        """Weights, and the part of the pool that the workload's sequences need."""
        yield from self.worker.weights()
        if self.layout:
            yield self._cache(self.layout)

    @cached_property
    def layout(self) -> BlockLayout | None:
        """A pool of tokens that all layers share: windows are kept whole, and states lie elsewhere."""
        architecture = self._architecture
        if architecture is None or not architecture.generates:
            return None
        tokens = replace(self.worker.cache_settings(architecture), block_tokens=1)
        layout = block_layout(without_windows(architecture), tokens)
        return layout if layout and all(kind.kind == "full" for kind in layout.kinds) else None

    def activations(self) -> Iterator[Term]:
        """Of a chunk of a prompt. Its sampling kernels sort nothing."""
        if self._architecture is None:
            return
        tokens = self._workload.max_num_batched_tokens
        usual, least = (
            Limits(sequences=1, tokens=tokens or size, known=tokens is not None)
            for size in (_CHUNK, _SMALL_CHUNK)
        )
        yield replace(
            profile_term(
                self._architecture,
                usual,
                (least, usual),
                itemsize=self.worker.itemsize(self._architecture),
                eager=True,
                samples=False,
            ),
            source="SGLang 0.4, srt/models: vLLM's layers on a chunk of chunked_prefill_size",
        )

    def notes(self) -> Iterator[str]:
        """What is left out."""
        if self._architecture is None:
            yield _UNKNOWN
        elif self._architecture.generates and self.layout is None:
            yield _NO_POOL

    def _cache(self, layout: BlockLayout) -> Term:
        batch, tokens = self._workload.batch, self._workload.context
        return Term(
            name="KV cache",
            nbytes=batch * tokens * layout.block_bytes,
            basis=Basis.DERIVED,
            formula=f"{batch:,} × {tokens:,} tokens × {format_binary(layout.block_bytes)}",
            source="SGLang 0.4, srt/mem_cache/memory_pool.py",
        )
