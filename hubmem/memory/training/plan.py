"""The memory of training a model: one step, forward, backward and the optimizer's."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hubmem.errors import UsageError
from hubmem.memory.device import overheads, reserved_by_training
from hubmem.memory.fullest import fullest
from hubmem.memory.images import with_images
from hubmem.memory.notes import notes
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.programs.explain import formula, symbols
from hubmem.memory.sharding import Rank, ranks
from hubmem.memory.training import optimizers
from hubmem.memory.training.recomputation import check_checkpointing
from hubmem.memory.training.segments import segments_of
from hubmem.memory.training.standing import offloaded_terms, standing_terms, trained_nbytes
from hubmem.memory.training.step import Instant, Segment, instants
from hubmem.memory.training.trained import Regime, regime_of
from hubmem.memory.training.zero import partition_of, shared
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census

_SOURCE = "operators of transformers 5.23 in eager PyTorch 2.13, with torch's autograd engine"
_UNKNOWN = "The layers of this model type are not known: no activations, so this is the least it can take."


def plan_training(architecture: Architecture | None, census: Census, workload: Workload) -> Plan:
    """What one step of training takes on its fullest device.

    Raises:
        UsageError: the workload contradicts itself or the model.
    """
    if workload.train is None:
        raise UsageError("A workload that does not train has no plan for training.")
    check_checkpointing(architecture, workload)
    _check_loss(architecture, workload)
    workload = with_images(architecture, workload)
    regime = regime_of(architecture, census, workload)
    return fullest((rank, _plan(rank, regime)) for rank in ranks(architecture, census, workload))


def _check_loss(architecture: Architecture | None, workload: Workload) -> None:
    """Nothing, if the head and the loss of such a model can run in one kernel.

    Raises:
        UsageError: they cannot, both named.
    """
    if workload.loss == "fused" and architecture and (architecture.encoder or not architecture.generates):
        raise UsageError(
            f"--loss fused: Liger's kernel is for models that predict the next token; {architecture.model_type} is none.",
            hint="Ask for --loss plain.",
        )


def _plan(rank: Rank, regime: Regime) -> Plan:
    return Plan(
        moments=tuple(_Run(rank, regime).moments()),
        overheads=overheads(),
        reserved_ratio=reserved_by_training(rank.workload),
        devices=rank.workload.devices,
        host=tuple(_offloaded(rank, regime)),
        notes=notes(rank, unknown=_UNKNOWN),
    )


def _offloaded(rank: Rank, regime: Regime) -> Iterator[Term]:
    optimizer = optimizers.parse(rank.workload.optimizer)
    return offloaded_terms(rank.census, regime, optimizer, partition_of(rank.workload, optimizer))


class _Run:
    """The moments of one rank."""

    def __init__(self, rank: Rank, regime: Regime) -> None:
        self._rank, self._regime, self._workload = rank, regime, rank.workload
        self._optimizer = optimizers.parse(rank.workload.optimizer)
        self._partition = partition_of(rank.workload, self._optimizer)
        self._trained = trained_nbytes(rank, regime)
        self._segments = segments_of(rank, regime) if rank.architecture else ()
        standing = standing_terms(rank, regime, self._optimizer, self._partition)
        self._standing = (*standing, *self._in_flight())

    def moments(self) -> Iterator[Moment]:
        """The largest instant of each kind of segment, forward and backward, and the optimizer's step."""
        largest: dict[tuple[str, str], Instant] = {}
        for instant in instants(self._segments):
            key = (instant.phase, instant.segment.name)
            if key not in largest or instant.nbytes > largest[key].nbytes:
                largest[key] = instant
        yield from map(self._moment, largest.values())
        if self._optimizer.fused_backward:
            yield from self._first_step()
        yield self._step()

    def _in_flight(self) -> tuple[Term, ...]:
        """What other micro-batches keep that are on their way through later stages of a pipeline.

        Source: Narayanan et al., arXiv 2104.04473, section 2.2 (one forward, one backward).
        """
        others = min(self._workload.pp - self._rank.stage.index, self._workload.accumulation) - 1
        if others < 1:
            return ()
        each = sum(segment.nbytes(segment.kept) for segment in self._segments)
        return (
            Term(
                name="activations in flight",
                nbytes=others * each,
                basis=Basis.DERIVED,
                formula=f"{others} more micro-batches × what all {len(self._segments)} segments keep",
                source="Narayanan et al., arXiv 2104.04473, section 2.2: min(p − stage, micro-batches)",
            ),
        )

    def _moment(self, instant: Instant) -> Moment:
        gradients = self._trained if self._workload.accumulation > 1 else instant.gradients
        terms = [*self._standing, *self._gradients(gradients)]
        if instant.kept:
            terms.append(_kept(instant))
        return Moment(phase=instant.phase, name=instant.name, terms=(*terms, _alive(instant)))

    def _gradients(self, nbytes: int) -> tuple[Term, ...]:
        here = shared(nbytes, self._partition.gradients)
        if not here:
            return ()
        ranks_here = self._partition.gradients
        among = f", shared by {ranks_here} ranks" if ranks_here > 1 else ""
        return (
            Term(
                name="gradients",
                nbytes=here,
                basis=Basis.DERIVED,
                formula=f"{nbytes / self._trained:.0%} of what is trained, in its dtype{among}",
                source=_SOURCE,
            ),
        )

    def _first_step(self) -> Iterator[Moment]:
        """A gradient is used as it is made, the head's while all layers still keep what theirs need.

        That of a head tied to the embedding waits for the embedding's.
        """
        for at, head in enumerate(self._segments):
            if head.name == "loss" and not head.gradients:
                waiting = self._segments[:at]
                kept = sum(segment.nbytes(segment.kept) for segment in waiting)
                instant = Instant(
                    phase="backward",
                    name="loss: optimizer",
                    segment=head,
                    waiting=waiting,
                    kept=kept,
                    gradients=0,
                    alive=(),
                )
                moment = self._moment(instant)
                yield replace(moment, terms=(*moment.terms, *self._optimizers_own()))

    def _step(self) -> Moment:
        """All gradients, and what the optimizer makes beside its states."""
        gradients = () if self._optimizer.fused_backward else self._gradients(self._trained)
        return Moment(
            phase="step", name="optimizer", terms=(*self._standing, *gradients, *self._optimizers_own())
        )

    def _optimizers_own(self) -> Iterator[Term]:
        """What it makes for all parameters at once, and for the largest of those it takes one by one."""
        copies = self._optimizer.step_copies
        if copies:
            yield self._own("optimizer's own copies", copies * self._trained, f"{copies} × what is trained")
        sizes = (
            (self._optimizer.of(each.group.role).scratch(shape, each.itemsize), shape)
            for each in self._regime.trained
            for shape in each.shapes
        )
        scratch, shape = max(sizes, default=(0, ()))
        if scratch:
            yield self._own("optimizer's scratch", scratch, f"for a tensor of {' × '.join(map(str, shape))}")

    def _own(self, name: str, nbytes: int, formula: str) -> Term:
        return Term(
            name=name,
            nbytes=shared(nbytes, self._partition.states),
            basis=Basis.DERIVED,
            formula=formula,
            source=self._optimizer.source,
        )


def _kept(instant: Instant) -> Term:
    kinds = _kinds(instant.waiting)
    storages = [storage for segment, _ in kinds for storage in segment.kept]
    formulas = (f"{count} × {each.name}: {formula(each.kept, each.counts)}" for each, count in kinds)
    return Term(
        name="activations kept",
        nbytes=instant.kept,
        basis=Basis.DERIVED,
        formula=" + ".join(formulas),
        summary=f"for the backward pass: {' + '.join(f'{count} × {each.name}' for each, count in kinds)}",
        symbols=symbols(storages, instant.segment.counts),
        source=_SOURCE,
    )


def _kinds(waiting: Sequence[Segment]) -> list[tuple[Segment, int]]:
    """Each kind of segment that keeps something, with how many of it wait."""
    kinds = {segment.name: segment for segment in reversed(waiting)}
    counts = Counter(segment.name for segment in waiting)
    return [(kinds[name], count) for name, count in counts.items() if kinds[name].kept]


def _alive(instant: Instant) -> Term:
    return Term(
        name="activations",
        nbytes=instant.segment.nbytes(instant.alive),
        basis=Basis.DERIVED,
        formula=formula(instant.alive, instant.segment.counts),
        summary=f"at their peak ({instant.name})",
        symbols=symbols(instant.alive, instant.segment.counts),
        source=_SOURCE,
    )
