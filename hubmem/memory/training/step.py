"""One step of training as a sequence of segments: embedding, layers, head with loss, and back again.

While a segment runs forward, all before it have left what they keep; while it runs backward, all after it
have left their gradients. The peak is the largest of these instants, never their sum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from hubmem.memory.programs.tape import Alive, Counts, Extent, Storage, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a model that runs at once.

    Attributes:
        name: alike for parts that are alike.
        gradients: bytes of its weights' gradients, once its backward has run.
        checkpoint: its input, where it keeps nothing else and runs forward again before its backward.
        unkept: its trace where nothing is kept, as it first runs under a checkpoint.
        referred: what the model refers to besides while it runs forward.
        closed_over: what checkpoints refer to besides, from this segment's forward to its backward.
        drops_scores: whether what attention keeps for each pair of tokens is made again in its backward.
        within_autocast: whether autocast still remembers its casts of weights.
    """

    name: str
    trace: Trace
    counts: Counts
    gradients: int
    checkpoint: Storage | None = None
    unkept: Trace | None = None
    referred: tuple[Storage, ...] = ()
    closed_over: tuple[Storage, ...] = ()
    drops_scores: bool = False
    within_autocast: bool = True

    @property
    def first(self) -> Trace:
        """Its trace as it first runs."""
        return self.unkept or self.trace

    @property
    def kept(self) -> tuple[Storage, ...]:
        """What it leaves for its backward."""
        kept = (self.checkpoint,) if self.checkpoint else self.trace.kept
        if self.drops_scores:
            kept = tuple(storage for storage in kept if storage.extent is not Extent.PAIRS)
        return kept + self.closed_over

    @property
    def cached_casts(self) -> tuple[Storage, ...]:
        """Weights in autocast's dtype, which autocast remembers until the forward pass ends."""
        return tuple(s for s in self.trace.kept if s.extent is Extent.ONCE) if self.checkpoint else ()

    def nbytes(self, storages: Sequence[Storage]) -> int:
        """Bytes of storages with this segment's counts."""
        return sum(storage.each * self.counts[storage.extent] for storage in storages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """What is there at one instant, beside what is there throughout.

    Attributes:
        waiting: segments that have run forward and not yet backward.
        kept: bytes they keep.
        gradients: bytes of the gradients of segments that are through.
        alive: tensors of the segment that runs.
    """

    phase: str
    name: str
    segment: Segment
    waiting: Sequence[Segment]
    kept: int
    gradients: int
    alive: tuple[Storage, ...]

    @property
    def nbytes(self) -> int:
        """All of it."""
        return self.kept + self.gradients + self.segment.nbytes(self.alive)


def instants(segments: Sequence[Segment]) -> Iterator[Instant]:
    """The largest instants of each segment, forward and backward."""
    kept = [0, *accumulate(segment.nbytes(segment.kept) for segment in segments)]
    casts = [0, *accumulate(segment.nbytes(segment.cached_casts) for segment in segments)]
    gradients = [0, *accumulate(segment.gradients for segment in reversed(segments))][::-1]
    for at, segment in enumerate(segments):
        yield Instant(
            phase="forward",
            name=f"{segment.name}: {(alive := segment.first.largest_forward(segment.counts)).operator}",
            segment=segment,
            waiting=segments[:at],
            kept=kept[at] + (casts[at] if segment.within_autocast else 0),
            gradients=0,
            alive=(*alive.storages, *segment.referred),
        )
        for largest in _backward(segment):
            through = at + 1 if segment.checkpoint else at
            yield Instant(
                phase="backward",
                name=f"{segment.name}: {largest.operator}",
                segment=segment,
                waiting=segments[:through],
                kept=kept[through],
                gradients=gradients[at + 1],
                alive=largest.storages,
            )


def _backward(segment: Segment) -> Iterator[Alive]:
    if segment.checkpoint:
        again = segment.trace.largest_forward(segment.counts)
        yield Alive(f"{again.operator}, again", (*again.storages, segment.checkpoint), {})
    if segment.trace.backward:
        yield segment.trace.largest_backward(segment.counts)
