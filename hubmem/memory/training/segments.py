"""A model's segments for one step of training: their traces, and the gradients each leaves."""

from collections.abc import Iterator
from dataclasses import replace

from hubmem.memory.images import Images, images_of
from hubmem.memory.places import EMBEDDING, END, VISION, by_place, shares_weights
from hubmem.memory.programs.blocks import stream_itemsize, trace_layer
from hubmem.memory.programs.computation import DistanceBias
from hubmem.memory.programs.distances import trace_shared_bias
from hubmem.memory.programs.heads import (
    Ends,
    chunk_tokens,
    trace_convolutions,
    trace_embedding,
    trace_encoder_end,
    trace_fused_loss,
    trace_loss,
    trace_outputs,
)
from hubmem.memory.programs.reading import bins_of_frames, embedding_width, recurrence_of
from hubmem.memory.programs.stacks import Stack
from hubmem.memory.programs.tape import Arithmetic, Extent, Storage, Trace
from hubmem.memory.sharding import Rank
from hubmem.memory.training import optimizers
from hubmem.memory.training.step import Segment
from hubmem.memory.training.trained import Regime
from hubmem.models.architecture import Architecture

_BIASES = (Extent.SQUARE, Extent.CROSS_SQUARE)


def segments_of(rank: Rank, regime: Regime) -> tuple[Segment, ...]:
    """The embedding, the layers in their order, the head with the loss; an encoder's before a decoder's."""
    assert rank.architecture is not None
    segments = _Model(rank, regime, rank.architecture).segments()
    if regime.arithmetic.autocast:
        return tuple(segments)
    return tuple(replace(segment, within_autocast=False) for segment in segments)


class _Model:
    def __init__(self, rank: Rank, regime: Regime, architecture: Architecture) -> None:
        self._workload, self._architecture, self._regime = rank.workload, architecture, regime
        self._computation = rank.computation
        self._uses_gradients = optimizers.parse(rank.workload.optimizer).fused_backward
        self._gradients = _gradients_by_place(rank, regime, used=self._uses_gradients)
        self._checkpointed = rank.workload.checkpointing == "full"
        self._stage = rank.stage
        self._shared = shares_weights(rank)
        self._ends = Ends(
            computation=self._computation,
            hidden=architecture.hidden_size,
            width=embedding_width(architecture, rank.census),
            vocabulary=architecture.logits,
            layer_inputs=len(architecture.layers) * self._computation.layer_inputs,
            bins=bins_of_frames(rank.census) if self._computation.convolved_input else 0,
        )
        self._decoder = Stack(
            architecture=architecture,
            computation=self._computation,
            workload=replace(rank.workload, full_logits=True),
            layers=architecture.layers,
            recurrence=recurrence_of(architecture, rank.census),
            arithmetic=regime.arithmetic,
            # Ranks of context parallelism share the tokens; each sees all keys in turn.
            tokens=-(-rank.workload.context // rank.workload.cp),
            keys=rank.workload.context,
            source=(rank.workload.encoder_context or rank.workload.context) if architecture.encoder else 0,
            causal=architecture.generates,
        )
        # Without gradients of its own a tower's layers keep nothing: what adapters are beside is the text.
        frozen = replace(regime.arithmetic, adapters=None, trains=regime.arithmetic.base_trains)
        self._images = images_of(architecture, rank.census, rank.workload, frozen)

    def segments(self) -> Iterator[Segment]:
        if self._architecture.encoder:
            source = self._decoder.source
            encoder = replace(
                self._decoder, layers=self._architecture.encoder, tokens=source, keys=source, causal=False
            )
            given = self._input(encoder)
            yield given
            yield from self._bias_of_positions(encoder)
            yield from self._layers(encoder, "encoder", wanted=given.trace.differentiates)
            yield self._of("encoder norm", encoder, trace_encoder_end(self._ends, self._regime.arithmetic))
        wanted = True
        if self._stage.first:
            given = self._embedding(self._decoder, tied=_gets_gradients_twice(self._architecture))
            wanted = given.trace.differentiates
            yield given
            if self._images:
                yield from self._tower(self._images)
        yield from self._bias_of_positions(self._decoder)
        yield from self._layers(self._decoder, "decoder", wanted=wanted)
        if not self._stage.last:
            return
        yield Segment(
            name="loss",
            trace=self._loss,
            counts=self._decoder.counts,
            gradients=self._gradients.get(END, 0),
        )
        if self._regime.arithmetic.autocast and self._workload.loss == "plain":
            outputs = self._of("outputs", self._decoder, trace_outputs(self._ends, self._regime.arithmetic))
            yield replace(outputs, within_autocast=False)

    @property
    def _loss(self) -> Trace:
        ends, arithmetic = self._ends, self._regime.arithmetic
        if self._workload.loss == "plain":
            return trace_loss(ends, arithmetic)
        tokens = self._decoder.counts[Extent.TOKENS]
        return trace_fused_loss(ends, arithmetic, chunk_tokens(tokens, ends.vocabulary, ends.hidden))

    def _tower(self, images: Images) -> Iterator[Segment]:
        """The tower's layers, and the projection of what comes out of them to the language model's width."""
        if images.stack:
            yield from self._layers(images.stack, VISION, wanted=images.arithmetic.trains)
        projection = Segment(
            name="projection of images",
            trace=images.projection,
            counts={**self._decoder.counts, Extent.TOKENS: images.features},
            gradients=self._gradients.get(VISION, 0),
            closed_over=(images.pixels,),
        )
        yield projection
        yield from [replace(projection, gradients=0, closed_over=())] * images.tower.deepstack

    def _input(self, encoder: Stack) -> Segment:
        if not self._computation.convolved_input:
            return self._embedding(encoder)
        trace = trace_convolutions(self._ends, self._regime.arithmetic, leaf=self._leaf)
        frames = self._ends.frames(self._regime.arithmetic.itemsize)
        return replace(self._of("convolutions", encoder, trace), closed_over=(frames,))

    @property
    def _leaf(self) -> bool:
        """Whether the input wants a gradient itself, so that checkpoints over frozen layers have one."""
        return self._checkpointed and not self._regime.arithmetic.base_trains

    def _embedding(self, stack: Stack, *, tied: bool = False) -> Segment:
        # Beside a tied table there are positions, and an encoder may have a table of its own.
        made_later = tied and bool(self._architecture.encoder)
        return Segment(
            name="embedding",
            trace=trace_embedding(
                self._ends,
                self._regime.arithmetic,
                # Liger's gradient of the head is no view, so that the embedding's is added to it in place.
                tied=tied and self._workload.loss == "plain",
                leaf=self._leaf,
            ),
            counts=stack.counts,
            gradients=0 if made_later else self._gradients.get(EMBEDDING, 0),
        )

    def _bias_of_positions(self, stack: Stack) -> Iterator[Segment]:
        # A checkpoint makes it inside the first layer.
        if self._computation.distance_bias is DistanceBias.SHARED and not self._checkpointed:
            block = next(stack.blocks())
            yield self._of("bias of positions", stack, trace_shared_bias(block, self._regime.arithmetic))

    @staticmethod
    def _of(name: str, stack: Stack, trace: Trace) -> Segment:
        """A segment with next to no weights."""
        return Segment(name=name, trace=trace, counts=stack.counts, gradients=0)

    def _layers(self, stack: Stack, side: str, *, wanted: bool) -> Iterator[Segment]:
        """Layers in their order; with adapters alone those before the first want no gradient of their input."""
        arithmetic = stack.arithmetic
        itemsize = stream_itemsize(stack.computation, arithmetic)
        width = stack.computation.versions * stack.architecture.hidden_size
        x = Storage("layer's input", "h", width, itemsize, Extent.STREAM)
        masks = stack.masks()
        biases = tuple(held for held in stack.referred() if held.extent in _BIASES)
        for number, block in enumerate(stack.blocks()):
            trace = trace_layer(block, self._arithmetic_of(number, arithmetic), input_needs_grad=wanted)
            wanted = wanted or trace.differentiates
            yield Segment(
                name=f"{side} layer",
                trace=trace.with_gradients_used() if self._uses_gradients else trace,
                drops_scores=self._workload.checkpointing == "selective",
                counts=stack.counts_of(block),
                gradients=self._gradients.get(f"{side} {number}", 0),
                checkpoint=x if self._checkpointed else None,
                unkept=trace_layer(block, replace(arithmetic, trains=False)) if self._checkpointed else None,
                referred=(*masks, *stack.referred()),
                closed_over=(*masks, *biases) if self._checkpointed and number == 0 else (),
            )

    def _arithmetic_of(self, number: int, arithmetic: Arithmetic) -> Arithmetic:
        if not self._shared:
            return arithmetic
        last = len(self._architecture.layers) - 1
        return replace(arithmetic, shared=number > 0, summed=number < last)


def _gradients_by_place(rank: Rank, regime: Regime, *, used: bool) -> dict[str, int]:
    """Bytes of gradients where they are made; a tied embedding's are made by the head first.

    Where a gradient is used as soon as it is whole, only that one waits: for the embedding's own part.
    """
    places = dict(by_place(rank, ((each.group, each.nbytes) for each in regime.trained)))
    assert rank.architecture is not None
    if shares_weights(rank) and regime.arithmetic.autocast:
        # Summed in half precision until the first layer's backward casts them.
        last = f"decoder {len(rank.architecture.layers) - 1}"
        places["decoder 0"] = places[last] // 2
        places[last] -= places["decoder 0"]
    tied = 0
    if _gets_gradients_twice(rank.architecture):
        head = rank.architecture.logits * embedding_width(rank.architecture, rank.census)
        tied = min(places[EMBEDDING], head * regime.arithmetic.itemsize)
    if used:
        return {END: tied}
    return {**places, EMBEDDING: places[EMBEDDING] - tied, END: places.get(END, 0) + tied}


def _gets_gradients_twice(architecture: Architecture) -> bool:
    """Whether the embedding is the head's matrix, too, in a model that has a head for words."""
    return architecture.tied_embeddings and architecture.logits > 0
