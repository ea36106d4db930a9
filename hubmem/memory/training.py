"""The memory of training a model: one step, forward, backward and the optimizer's."""

from collections.abc import Iterator, Sequence

from hubmem.memory import optimizers
from hubmem.memory.device import overheads, reserved_by_training
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.programs.explain import formula
from hubmem.memory.programs.families import computation_of
from hubmem.memory.segments import segments_of
from hubmem.memory.sharding import Rank, ranks
from hubmem.memory.static import tables_term
from hubmem.memory.step import Instant, Segment, instants
from hubmem.memory.trained import Regime, regime_of
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
    regime = regime_of(architecture, census, workload)
    plans = (_plan(rank, regime) for rank in ranks(architecture, census, workload))
    return max(plans, key=lambda plan: plan.per_gpu_bytes)


def _plan(rank: Rank, regime: Regime) -> Plan:
    run = _Run(rank, regime)
    return Plan(
        moments=tuple(run.moments()),
        overheads=overheads(),
        reserved_ratio=reserved_by_training(rank.workload),
        devices=rank.workload.devices,
        notes=() if rank.architecture else (_UNKNOWN,),
    )


class _Run:
    """The moments of one rank."""

    def __init__(self, rank: Rank, regime: Regime) -> None:
        self._rank, self._regime, self._workload = rank, regime, rank.workload
        self._optimizer = optimizers.parse(rank.workload.optimizer)
        self._trained = sum(rank.part(each.group, each.nbytes) for each in regime.trained)
        self._static = (self._weights(), *self._tables(), *self._adapters(), self._states())

    def moments(self) -> Iterator[Moment]:
        """The largest instant of each kind of segment, forward and backward, and the optimizer's step."""
        segments = segments_of(self._rank, self._regime) if self._rank.architecture else ()
        largest: dict[tuple[str, str], Instant] = {}
        for instant in instants(segments):
            key = (instant.phase, instant.segment.name)
            if key not in largest or instant.nbytes > largest[key].nbytes:
                largest[key] = instant
        for instant in largest.values():
            yield self._moment(instant)
        yield self._step()

    def _weights(self) -> Term:
        target = self._regime.weights
        return Term(
            name="weights",
            nbytes=self._rank.nbytes(self._regime.held),
            basis=Basis.DERIVED,
            formula=f"{self._rank.census.parameters:,} parameters in {target.label}",
            source=f"shapes from {self._rank.census.format} {self._rank.census.basis}; {target.source}",
        )

    def _tables(self) -> tuple[Term, ...]:
        if self._rank.architecture is None:
            return ()
        computation = computation_of(self._rank.architecture, self._rank.census)
        return tables_term(self._rank.architecture, computation.tables)

    def _adapters(self) -> tuple[Term, ...]:
        if self._workload.train == "full":
            return ()
        rank, itemsize = self._workload.rank, self._regime.trained[0].itemsize
        return (
            Term(
                name="adapters",
                nbytes=self._trained,
                basis=Basis.DERIVED,
                formula=f"Σ r·(d + k) = {self._trained // itemsize:,} parameters × {itemsize} B, r = {rank}",
                source="Hu et al., LoRA, arXiv 2106.09685, section 4.1",
            ),
        )

    def _states(self) -> Term:
        optimizer = self._optimizer
        nbytes = sum(
            self._rank.part(
                each.group,
                each.group.count * sum(optimizer.states(shape, each.itemsize) for shape in each.shapes),
            )
            for each in self._regime.trained
        )
        return Term(
            name="optimizer states",
            nbytes=nbytes,
            basis=Basis.DERIVED,
            formula=f"{optimizer.label}, {nbytes / max(1, self._trained):.3g} × the bytes of what is trained",
            source=optimizer.source,
            low=0 if optimizer.pageable else -1,
            high=nbytes if optimizer.pageable else -1,
        )

    def _moment(self, instant: Instant) -> Moment:
        gradients = self._trained if self._workload.accumulation > 1 else instant.gradients
        terms = [*self._static]
        if gradients:
            terms.append(self._gradients(gradients))
        if instant.kept:
            terms.append(_kept(instant))
        terms.append(_alive(instant))
        return Moment(phase=instant.phase, name=instant.name, terms=tuple(terms))

    def _gradients(self, nbytes: int) -> Term:
        share = f"{nbytes / self._trained:.0%} of what is trained" if self._trained else ""
        return Term(
            name="gradients",
            nbytes=nbytes,
            basis=Basis.DERIVED,
            formula=f"{share}, each in its parameter's dtype",
            source=_SOURCE,
        )

    def _step(self) -> Moment:
        """All gradients, and what the optimizer makes for all parameters at once."""
        copies = self._optimizer.step_copies
        terms = [*self._static]
        if not self._optimizer.fused_backward:
            terms.append(self._gradients(self._trained))
        if copies:
            terms.append(
                Term(
                    name="optimizer's own copies",
                    nbytes=copies * self._trained,
                    basis=Basis.DERIVED,
                    formula=f"{copies} × the bytes of what is trained",
                    source=self._optimizer.source,
                )
            )
        return Moment(phase="step", name="optimizer", terms=tuple(terms))


def _kept(instant: Instant) -> Term:
    return Term(
        name="activations kept",
        nbytes=instant.kept,
        basis=Basis.DERIVED,
        formula=" + ".join(_describe(instant.waiting)),
        source=_SOURCE,
    )


def _describe(waiting: Sequence[Segment]) -> Iterator[str]:
    """Each kind of segment once, with how many wait."""
    counts: dict[str, tuple[Segment, int]] = {}
    for segment in waiting:
        _, count = counts.get(segment.name, (segment, 0))
        counts[segment.name] = (segment, count + 1)
    for name, (segment, count) in counts.items():
        if segment.kept:
            yield f"{count} × {name}: {formula(segment.kept, segment.counts)}"


def _alive(instant: Instant) -> Term:
    return Term(
        name="activations",
        nbytes=instant.segment.nbytes(instant.alive),
        basis=Basis.DERIVED,
        formula=formula(instant.alive, instant.segment.counts),
        source=_SOURCE,
    )
