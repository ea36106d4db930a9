"""llama.cpp: layers on the GPU and the rest in RAM, the cache's cells, and one buffer to compute in.

Symbols: u tokens of a micro-batch (`-ub`), n cells of the context, V vocabulary, h hidden size, a heads, q and
k/v widths of queries, keys and values, I width of an MLP. All that is computed is float32.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from hubmem.memory.cells import CELL_TYPES, as_llama_cpp_runs, llama_cpp_cache_bytes
from hubmem.memory.device import context_term
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.programs.computation import Projection
from hubmem.memory.sharding import Rank, Stage
from hubmem.memory.static import held_bytes
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Experts, Layer
from hubmem.models.mixers import Attention, LatentAttention
from hubmem.units import format_binary
from hubmem.weights.census import TensorGroup
from hubmem.weights.roles import Role

_UNKNOWN = "The layers of this model type are not known: weights only, without cache and compute buffer."
_NO_CELLS = "llama.cpp has no cache for layers like this model's: none is counted."
_SOURCE = "llama.cpp, src/llama-graph.cpp; largest set of tensors ggml's allocator holds at once"
_SYMBOLS = (
    "u: tokens of a micro-batch, n: cells of the cache, V: vocabulary, h: hidden size, a: heads, p and q: elements"
    " of the two widest vectors that queries are made of"
)
_FLOAT32 = 4
# A mask has a float32 for each token and cell; in one kernel, also a float16.
_MASK_BYTES, _MASK_BYTES_FLASH = 4, 4 + 2


def plan(rank: Rank) -> Plan:
    """What one GPU holds, and what stays in the host's memory."""
    placed = _Placed(rank)
    moment = Moment(phase="serving", name="micro-batch", terms=tuple(placed.terms()))
    return Plan(
        moments=(moment,),
        overheads=(context_term(),),
        reserved_ratio=(1.0, 1.0),
        devices=rank.workload.devices,
        host=tuple(placed.host()),
        notes=tuple(placed.notes()),
    )


def first_on_gpu(layers: int, gpu_layers: int | None) -> int:
    """The first layer on the GPU, layers + 1 − ngl: the last ones go first, the output being one of them.

    Source: llama.cpp of December 2025 and later, src/llama-model.cpp, load_tensors (i_gpu_start).

    >>> first_on_gpu(32, None), first_on_gpu(32, 33), first_on_gpu(32, 10), first_on_gpu(32, 0)
    (0, 0, 23, 33)
    """
    return 0 if gpu_layers is None else max(0, layers + 1 - gpu_layers)


def stage_bounds(layers: int, workload: Workload) -> list[int]:
    """Where the layers of each GPU begin, and where the last ends: of those on a GPU and the output, as many on each.

    Source: llama.cpp of December 2025, src/llama-model.cpp, load_tensors (layer_gpu), on GPUs that are alike.

    >>> stage_bounds(80, Workload(pp=4)), stage_bounds(32, Workload(pp=2, gpu_layers=11))
    ([0, 21, 41, 61, 80], [22, 28, 32])
    """
    first = first_on_gpu(layers, workload.gpu_layers)
    slots = layers + 1 - first
    return [min(layers, first + -(-index * slots // workload.pp)) for index in range(workload.pp + 1)]


def output_bytes(micro_batch: int, vocabulary: int, hidden: int) -> int:
    """u·(V + h)·4 B: logits of a micro-batch, and the normed hidden states they are made of.

    >>> output_bytes(512, 128256, 2048) / 2**20
    254.5
    """
    return micro_batch * (vocabulary + hidden) * _FLOAT32


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """So many bytes to compute in, and how they were computed: as a formula, and in plain words."""

    nbytes: int
    formula: str
    summary: str


class _Placed:
    """A model whose last layers lie on a rank's GPU, and whose first ones may stay in RAM."""

    def __init__(self, rank: Rank) -> None:
        self._rank, self._workload = rank, rank.workload
        self._architecture = as_llama_cpp_runs(rank.model) if rank.model else None
        layers = len(rank.model.layers) if rank.model else len(rank.stage.layers)
        first = first_on_gpu(layers, rank.workload.gpu_layers)
        has_output = first <= layers
        self._gpu = replace(rank.stage, first=False, last=rank.stage.last and has_output)
        self._host = replace(rank.stage, layers=range(first), first=True, last=not has_output)
        self._tied = not any(group.role is Role.HEAD for group in rank.census.groups)

    def terms(self) -> Iterator[Term]:
        """Weights, cache and compute buffer on the GPU."""
        yield self._weights(self._on_gpu)
        if self._architecture:
            yield from self._cache(self._architecture, self._gpu)
            yield from self._compute_buffer(self._architecture)

    def host(self) -> Iterator[Term]:
        """Weights and cache in RAM: at least the embedding, which is never on a GPU."""
        if self._architecture:
            yield self._weights(self._host.share)
            yield from self._cache(self._architecture, self._host)

    def notes(self) -> Iterator[str]:
        """What is left out."""
        if self._architecture is None:
            yield _UNKNOWN
        elif self._cache_bytes(self._architecture) is None:
            yield _NO_CELLS
        if self._rank.census.format != "gguf":
            yield "llama.cpp runs GGUF files: these weights are counted as if converted without a change."

    def _on_gpu(self, group: TensorGroup) -> Fraction:
        """The embedding only as a second copy, where it is the output too."""
        if self._architecture is None:
            return Fraction(1)
        if group.role is Role.EMBEDDING:
            return Fraction(self._tied and self._gpu.last)
        return self._gpu.share(group)

    def _weights(self, share: Callable[[TensorGroup], Fraction]) -> Term:
        size = held_bytes(self._rank.census, self._workload)
        nbytes = sum(int(size(group) * share(group)) for group in self._rank.census.groups)
        return Term(
            name="weights",
            nbytes=nbytes,
            basis=Basis.MEASURED if self._workload.weight_dtype is None else Basis.DERIVED,
            formula=f"{self._held()}: the embedding in RAM, layers and output by `-ngl`",
            source=f"{self._rank.census.format} {self._rank.census.basis}",
        )

    def _held(self) -> str:
        dtype = self._workload.weight_dtype
        return f"tensors held in {dtype}" if dtype else "tensors as stored"

    def _cache(self, architecture: Architecture, stage: Stage) -> Iterator[Term]:
        here = _layers_of(architecture, stage)
        nbytes = self._cache_bytes(here)
        if nbytes:
            yield Term(
                name="KV cache",
                nbytes=nbytes,
                basis=Basis.DERIVED,
                formula=f"{len(here.layers)} layers × {self._cells:,} cells in {self._cell_type};"
                f" windows and states by their own size = {format_binary(nbytes)}",
                source="llama.cpp, src/llama-kv-cache.cpp, llama-memory-recurrent.cpp",
            )

    @property
    def _cells(self) -> int:
        return self._workload.context * self._workload.batch

    @property
    def _cell_type(self) -> str:
        return self._workload.kv_dtype if self._workload.kv_dtype in CELL_TYPES else "f16"

    def _cache_bytes(self, architecture: Architecture) -> int | None:
        if not architecture.generates:
            return 0
        return llama_cpp_cache_bytes(
            architecture,
            tokens=self._cells,
            sequences=self._workload.batch,
            micro_batch=self._workload.micro_batch,
            key_type=self._cell_type,
            value_type=self._cell_type,
        )

    def _compute_buffer(self, architecture: Architecture) -> Iterator[Term]:
        buffer = max(self._buffers(architecture), key=lambda buffer: buffer.nbytes, default=None)
        if buffer:
            yield Term(
                name="compute buffer",
                nbytes=buffer.nbytes,
                basis=Basis.DERIVED,
                formula=buffer.formula,
                summary=buffer.summary,
                symbols=_SYMBOLS,
                source=_SOURCE,
            )

    def _buffers(self, architecture: Architecture) -> Iterator[Buffer]:
        """What is held at the output, and in each layer's attention and feed-forward part."""
        u, h = self._workload.micro_batch, architecture.hidden_size
        if self._gpu.last:
            yield Buffer(
                nbytes=output_bytes(u, architecture.vocab_size, h),
                formula=f"output, u·(V + h)·4 B = {u} × ({architecture.vocab_size:,} + {h:,}) × 4",
                summary=f"the output of {u} tokens at once",
            )
        fused = self._rank.computation.projection is not Projection.SEPARATE
        for layer, _ in _layers_of(architecture, self._gpu).distinct_layers:
            yield _feed_forward(layer, u, h)
            for mixer in layer.mixers:
                if isinstance(mixer, Attention | LatentAttention):
                    yield self._attention(mixer, h, fused=fused)

    def _attention(self, mixer: Attention | LatentAttention, h: int, *, fused: bool) -> Buffer:
        """u·(2h + p + q)·4 B: the stream, its norm, and the two widest of what queries are made of.

        Without a kernel of its own, a·n·4 B of scores for each token stand beside them.
        """
        u, n = self._workload.micro_batch, self._cells
        p, q = _query_widths(mixer, fused=fused)
        widths = f"(2 × {h:,} + {p:,} + {q:,}) × 4"
        tensors = (2 * h + p + q) * _FLOAT32
        if self._workload.flash_attention:
            return Buffer(
                nbytes=u * (tensors + n * _MASK_BYTES_FLASH),
                formula=f"attention, u·((2h + p + q)·4 + n·6) B = {u} × ({widths} + {n:,} × 6)",
                summary=f"attention of {u} tokens at once to {n:,} cells",
            )
        return Buffer(
            nbytes=u * (tensors + (mixer.heads + 1) * n * _MASK_BYTES),
            formula=f"attention, u·((2h + p + q)·4 + (a + 1)·n·4) B"
            f" = {u} × ({widths} + {mixer.heads + 1} × {n:,} × 4)",
            summary=f"attention scores of {u} tokens at once to {n:,} cells",
        )


def _layers_of(architecture: Architecture, stage: Stage) -> Architecture:
    """The layers of a stage; the whole model, which remembers how its layers differ, where all are there."""
    layers = architecture.layers[stage.layers.start : stage.layers.stop]
    return architecture if len(layers) == len(architecture.layers) else replace(architecture, layers=layers)


def _query_widths(mixer: Attention | LatentAttention, *, fused: bool) -> tuple[int, int]:
    """Elements p and q: of a projection (q + 2kv where it is fused) and of the queries rotated.

    Of a latent: of the queries, and of what they are projected to in its space.
    """
    queries = mixer.heads * mixer.key_dim
    if isinstance(mixer, LatentAttention):
        return queries, mixer.heads * mixer.latent_dim
    keys_and_values = mixer.kv_heads * (mixer.key_dim + mixer.value_dim)
    return queries + keys_and_values if fused else queries, queries


def _feed_forward(layer: Layer, u: int, h: int) -> Buffer:
    """u·(2h + 2I)·4 B: the stream, its norm, and two matrices' outputs; those of each expert of a token."""
    part = layer.feed_forward
    width = 2 * part.width if part else 0
    if isinstance(part, Experts):
        width = part.active * max(width, part.width + h)
    return Buffer(
        nbytes=u * (2 * h + width) * _FLOAT32,
        formula=f"feed-forward, u·(2h + {width:,})·4 B = {u} × (2 × {h:,} + {width:,}) × 4",
        summary=f"the MLP of {u} tokens at once",
    )
