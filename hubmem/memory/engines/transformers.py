"""Running a model in transformers: a forward pass over the prompt, then a token a step.

Source: transformers 5.23 with eager PyTorch 2.13; keys and values in a DynamicCache.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from hubmem.memory.cache import cache_term, window_tail_term
from hubmem.memory.device import RESERVED_BY_INFERENCE, Device, overheads
from hubmem.memory.engines.device_map import mapped_weights
from hubmem.memory.images import Images, images_of
from hubmem.memory.notes import notes
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.programs.block import Caching
from hubmem.memory.programs.blocks import trace_layer
from hubmem.memory.programs.computation import DistanceBias
from hubmem.memory.programs.distances import trace_shared_bias
from hubmem.memory.programs.explain import formula, symbols
from hubmem.memory.programs.heads import Ends, trace_logits
from hubmem.memory.programs.reading import bins_of_frames, embedding_width, recurrence_of
from hubmem.memory.programs.stacks import Stack
from hubmem.memory.programs.tape import Alive, Arithmetic, Counts, Extent, Storage
from hubmem.memory.sharding import Rank
from hubmem.memory.static import compute_dtype, tables_term, weights_terms
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.config import Config
from hubmem.models.mixers import CachePolicy

_SOURCE = "operators of transformers 5.23 in eager PyTorch 2.13"
_UNKNOWN = "The layers of this model type are not known: weights only, without cache and activations."


# Compute capabilities: the first that flash attention runs on, and those whose blocks share too little memory for
# its backward pass over wide heads.
_FLASH_FROM = 8.0
_LITTLE_SHARED_MEMORY = ((8.6, 8.9), (12.0, 12.1))


def plan(rank: Rank) -> Plan:
    """The moments of a prefill and of a decoding step on one rank."""
    gpu_layers = rank.workload.gpu_layers
    host: tuple[Term, ...] = ()
    if gpu_layers is None:
        weights = weights_terms(rank.census, rank.workload, rank)
    else:
        mapped = mapped_weights(rank, gpu_layers)
        weights, host = mapped.device, mapped.host
    moments: tuple[Moment, ...] = (Moment(phase="prefill", name="weights alone", terms=weights),)
    if rank.architecture:
        moments = tuple(_Inference(rank, rank.architecture, weights).moments())
    return Plan(
        moments=moments,
        overheads=overheads(),
        reserved_ratio=RESERVED_BY_INFERENCE,
        devices=rank.workload.devices,
        host=host,
        notes=notes(rank, unknown=_UNKNOWN),
    )


def settled(workload: Workload, device: Device, config: Config | None = None) -> Workload:  # noqa: ARG001 - not asked
    """The workload with the attention kernels that torch has for a device.

    Source: torch 2.13, aten/src/ATen/native/transformers/cuda/sdp_utils.cpp, check_flash_attention_hardware_support
    and check_requires_grad_and_head_dim_gt192_constraints_on_sm86_89_or_120.
    """
    capability = device.capability
    if capability is None:
        return workload
    # Not the capability itself: devices that have the same kernels share a plan.
    if capability < _FLASH_FROM:
        return replace(workload, attention_kernels="no-flash")
    if workload.train and any(first <= capability <= last for first, last in _LITTLE_SHARED_MEMORY):
        return replace(workload, attention_kernels="no-wide-backward")
    return workload


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """One way through a stack of layers, with the cache that is there at its end.

    Attributes:
        prefix: of the names of its moments.
        ends: whether logits are made after it.
    """

    phase: str
    stack: Stack
    cache: tuple[Term, ...] = ()
    prefix: str = ""
    ends: bool = True


class _Inference:
    """The moments of one rank."""

    def __init__(self, rank: Rank, architecture: Architecture, weights: tuple[Term, ...]) -> None:
        self._architecture = architecture
        self._workload = replace(rank.workload, cache_policy=CachePolicy.TRANSFORMERS)
        self._stored = rank.census.main_dtype
        self._computation = rank.computation
        itemsize = compute_dtype(architecture, rank.workload, self._stored).bits // 8
        self._weights = (*weights, *tables_term(architecture, self._computation.tables, itemsize))
        self._arithmetic = Arithmetic(itemsize=itemsize, batched=rank.workload.batch > 1)
        self._ends = Ends(
            computation=self._computation,
            hidden=architecture.hidden_size,
            width=embedding_width(architecture, rank.census),
            vocabulary=architecture.logits,
            layer_inputs=len(architecture.layers) * self._computation.layer_inputs,
            bins=bins_of_frames(rank.census) if self._computation.convolved_input else 0,
        )
        self._stage = rank.stage
        self._images = images_of(architecture, rank.census, rank.workload, self._arithmetic)
        self._decoder = Stack(
            architecture=architecture,
            computation=self._computation,
            workload=self._workload,
            layers=tuple(layer for layer, _ in architecture.distinct_layers),
            recurrence=recurrence_of(architecture, rank.census),
            arithmetic=self._arithmetic,
            tokens=1 if architecture.encoder else -(-rank.workload.context // rank.workload.cp),
            keys=1 if architecture.encoder else rank.workload.context,
            source=(rank.workload.encoder_context or rank.workload.context) if architecture.encoder else 0,
            causal=architecture.generates,
            caching=Caching.FILLING if architecture.generates else Caching.NONE,
        )

    def moments(self) -> Iterator[Moment]:
        """Of each pass, the largest moment of each distinct layer and of the logits."""
        if self._images and self._images.stack and self._stage.first:
            yield from self._tower(self._images, self._images.stack)
        for each in self._passes():
            yield from self._layers(each)
            if each.ends and self._stage.last:
                yield self._logits(each)

    def _tower(self, images: Images, stack: Stack) -> Iterator[Moment]:
        """Of the pass of the images: its first layer, beside the text's embeddings, and what it hands over."""
        text = self._decoder.counts[Extent.TOKENS] * self._architecture.hidden_size
        embeddings = Storage("embeddings", "T·h", text, self._arithmetic.itemsize, Extent.ONCE)
        each = _Pass(phase="prefill", stack=stack, prefix="images: ", ends=False)
        for block in islice(stack.blocks(), 1):
            counts = stack.counts_of(block)
            alive = trace_layer(block, stack.arithmetic).largest_forward(counts)
            held = (*alive.storages, *stack.referred(), *stack.masks(), *images.cast_pixels, embeddings)
            yield self._moment(each, "one layer of the tower", alive, held, counts)

    def _passes(self) -> Iterator[_Pass]:
        """An encoder's pass, the prompt's, and a token's."""
        architecture, prefill = self._architecture, self._decoder
        if architecture.encoder:
            yield _Pass(phase="prefill", stack=self._encoder(), prefix="encoder: ", ends=False)
        if not architecture.generates:
            yield _Pass(phase="prefill", stack=prefill, ends=architecture.logits > 0)
            return
        prompt = (self._cache(prefill.tokens), *self._tail(prefill.tokens))
        yield _Pass(phase="prefill", stack=prefill, cache=prompt)
        context = self._workload.context + 1
        decode = replace(prefill, tokens=1, keys=context, caching=Caching.GROWING)
        yield _Pass(phase="decode", stack=decode, cache=(self._cache(context),))
        if len(prompt) > 1:
            first = replace(decode, layers=architecture.layers[:1])
            yield _Pass(phase="decode", stack=first, cache=prompt, prefix="first token: ", ends=False)

    def _encoder(self) -> Stack:
        source = self._decoder.source
        return replace(
            self._decoder,
            layers=tuple(dict.fromkeys(self._architecture.encoder)),
            tokens=source,
            keys=source,
            causal=False,
            caching=Caching.NONE,
        )

    def _cache(self, tokens: int) -> Term:
        return cache_term(self._architecture, self._workload, tokens=tokens, stored=self._stored)

    def _tail(self, tokens: int) -> tuple[Term, ...]:
        term = window_tail_term(self._architecture, self._workload, tokens=tokens, stored=self._stored)
        return (term,) if term.nbytes else ()

    def _layers(self, each: _Pass) -> Iterator[Moment]:
        stack = each.stack
        referred = (*self._encoded(stack), *(stack.referred() if stack.tokens > 1 else ()))
        if distances := stack.distances():
            alive = Alive("magnitudes of distances", distances, {})
            yield self._moment(each, "the masks", alive, (*distances, *referred), stack.counts)
        referred += stack.masks()
        if self._images and stack.tokens > 1:
            referred += self._images.held
        for block in stack.blocks():
            counts = stack.counts_of(block)
            alive = trace_layer(block, self._arithmetic).largest_forward(counts)
            yield self._moment(each, "one layer", alive, (*alive.storages, *referred), counts)
            if self._computation.distance_bias is DistanceBias.SHARED and stack.tokens > 1:
                alive = trace_shared_bias(block, self._arithmetic).largest_forward(counts)
                yield self._moment(each, "the bias of positions", alive, alive.storages, counts)

    def _logits(self, each: _Pass) -> Moment:
        trace = trace_logits(self._ends, self._arithmetic, sampled=each.stack.causal)
        alive = trace.largest_forward(each.stack.counts)
        held = (*alive.storages, *self._encoded(each.stack))
        if self._images and each.phase == "prefill":
            held += self._images.held
        return self._moment(each, "the output", alive, held, each.stack.counts)

    def _encoded(self, stack: Stack) -> tuple[Storage, ...]:
        """An encoder's output, which generation refers to until it ends."""
        if not (self._architecture.encoder and stack.causal):
            return ()
        h, e = self._architecture.hidden_size, self._arithmetic.itemsize
        return (Storage("encoder output", "h", h, e, Extent.SOURCE),)

    def _moment(
        self, each: _Pass, part: str, alive: Alive, storages: tuple[Storage, ...], counts: Counts
    ) -> Moment:
        ids = Storage("token ids and mask", "1", 2, 8, Extent.KEYS)
        storages += (ids, self._ends.frames(self._arithmetic.itemsize))
        if self._images:
            storages += (self._images.pixels,)
        activations = Term(
            name="activations",
            nbytes=sum(s.each * counts[s.extent] for s in storages),
            basis=Basis.DERIVED,
            formula=formula(storages, counts),
            summary=f"{counts[Extent.TOKENS]:,} tokens in {part}, at its peak ({alive.operator})",
            symbols=symbols(storages, counts),
            source=_SOURCE,
        )
        return Moment(
            phase=each.phase,
            name=each.prefix + alive.operator,
            terms=(*self._weights, *each.cache, activations),
        )
