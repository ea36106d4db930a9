"""What stands in memory through a whole step: weights, adapters, states, and copies of them."""

from collections.abc import Iterator
from itertools import pairwise

from hubmem.memory.places import by_place
from hubmem.memory.plan import Basis, Term
from hubmem.memory.sharding import Rank
from hubmem.memory.static import tables_term
from hubmem.memory.training.optimizers import Optimizer
from hubmem.memory.training.trained import Regime, Trained
from hubmem.memory.training.zero import Partition, shared
from hubmem.weights.census import Census

_FLOAT32 = 4
_OFFLOAD = "DeepSpeed, runtime/zero/stage_1_and_2.py, ops/adam/cpu_adam.py"
_DDP = "torch DistributedDataParallel: gradient_as_bucket_view is off by default"


def standing_terms(rank: Rank, regime: Regime, optimizer: Optimizer, partition: Partition) -> Iterator[Term]:
    """Everything but activations and gradients, on one rank."""
    trained = trained_nbytes(rank, regime)
    yield _weights(rank, regime, partition)
    if partition.gathers:
        yield _gathered(rank, regime)
    if rank.architecture:
        tables = rank.computation.tables
        yield from tables_term(rank.architecture, tables, regime.arithmetic.itemsize)
    if regime.arithmetic.adapters:
        yield _adapters(rank, regime, trained)
    if partition.master:
        yield _master(trained, partition)
    yield _states(rank, regime, optimizer, partition)
    if partition.buckets:
        yield Term(
            name="gradient buckets",
            nbytes=trained,
            basis=Basis.DERIVED,
            formula="a second copy of all gradients, in the buckets they are reduced in",
            source=_DDP,
        )


def offloaded_terms(
    census: Census, regime: Regime, optimizer: Optimizer, partition: Partition
) -> Iterator[Term]:
    """What lies in the host's memory instead, of all ranks together: 16 B a parameter with AdamW in float32.

    Source: DeepSpeed, runtime/zero/stage_1_and_2.py and ops/adam/cpu_adam.py: weights, gradients and two
    moments in float32.
    """
    if partition.states:
        return
    elements = sum(each.elements for each in regime.trained)
    states = sum(_states_of(each, optimizer, _FLOAT32) for each in regime.trained)
    parts = [("optimizer states", states, f"{optimizer.label} in float32")]
    parts.append(("master weights", _FLOAT32 * elements, "4 B a trained parameter"))
    if not partition.gradients:
        parts.append(("gradients", _FLOAT32 * elements, "4 B a trained parameter"))
    if not partition.weights:
        parts.append(("weights", sum(map(regime.held, census.groups)), regime.weights.label))
    for name, nbytes, formula in parts:
        yield Term(
            name=name, nbytes=nbytes, basis=Basis.DERIVED, formula=f"{formula}, all ranks'", source=_OFFLOAD
        )


def trained_nbytes(rank: Rank, regime: Regime) -> int:
    """Bytes of all that gets a gradient, which are those of the gradients too."""
    return sum(rank.part(each.group, each.nbytes) for each in regime.trained)


def _weights(rank: Rank, regime: Regime, partition: Partition) -> Term:
    here, whole = rank.nbytes(regime.held), sum(map(regime.held, rank.census.kinds))
    held = f"{rank.census.parameters:,} parameters in {regime.weights.label}"
    return Term(
        name="weights",
        nbytes=shared(here, partition.weights),
        basis=Basis.DERIVED,
        formula=f"{held}{_part(here, whole)}{_among(partition.weights)}",
        source=f"shapes from {rank.census.format} {rank.census.basis}; {regime.weights.source}",
    )


def _gathered(rank: Rank, regime: Regime) -> Term:
    """Of units next to each other the two that are largest together: one runs, one is fetched ahead."""
    assert rank.architecture is not None
    units = list(by_place(rank, ((group, regime.held(group)) for group in rank.census.groups)).values())
    largest = max(map(sum, pairwise(units)), default=sum(units))
    return Term(
        name="gathered weights",
        nbytes=largest,
        basis=Basis.DERIVED,
        formula="the layer that runs and the next, whole",
        source="Zhao et al., PyTorch FSDP, arXiv 2304.11277, section 3.3: the next unit is fetched ahead",
    )


def _adapters(rank: Rank, regime: Regime, trained: int) -> Term:
    itemsize = regime.trained[0].itemsize
    return Term(
        name="adapters",
        nbytes=trained,
        basis=Basis.DERIVED,
        formula=f"Σ r·(d + k) = {trained // itemsize:,} parameters × {itemsize} B, r = {rank.workload.rank}",
        summary=f"{trained // itemsize:,} parameters × {itemsize} B, rank {rank.workload.rank}",
        symbols="r: rank, d: inputs of a matrix, k: its outputs",
        source="Hu et al., LoRA, arXiv 2106.09685, section 4.1",
    )


def _master(trained: int, partition: Partition) -> Term:
    return Term(
        name="master weights",
        nbytes=shared(2 * trained, partition.states),
        basis=Basis.DERIVED,
        formula=f"a float32 copy of bf16 weights, 4 B a parameter{_among(partition.states)}",
        source="Micikevicius et al., arXiv 1710.03740, section 3.1; DeepSpeed, runtime/bf16_optimizer.py",
    )


def _states(rank: Rank, regime: Regime, optimizer: Optimizer, partition: Partition) -> Term:
    sizes = [
        (each.group, _states_of(each, optimizer, _FLOAT32 if partition.master else each.itemsize))
        for each in regime.trained
    ]
    here, whole = sum(rank.part(group, size) for group, size in sizes), sum(size for _, size in sizes)
    nbytes = shared(here, partition.states)
    each = whole / max(1, sum(each.elements for each in regime.trained))
    return Term(
        name="optimizer states",
        nbytes=nbytes,
        basis=Basis.DERIVED,
        formula=f"{optimizer.label}: {each:.3g} B a trained parameter{_part(here, whole)}"
        f"{_among(partition.states)}",
        source=optimizer.source,
        low=0 if optimizer.pageable else -1,
        high=nbytes if optimizer.pageable else -1,
    )


def _states_of(trained: Trained, optimizer: Optimizer, itemsize: int) -> int:
    """Bytes an optimizer keeps for all tensors of a group, undivided."""
    states = optimizer.of(trained.group.role).states
    return trained.group.count * sum(states(shape, itemsize) for shape in trained.shapes)


def _part(here: int, whole: int) -> str:
    """What of the whole model's is on this rank before data-parallel ranks share it."""
    return "" if here == whole else f", {here / max(1, whole):.1%} of them on this rank"


def _among(ranks: int) -> str:
    if ranks == 0:
        return ", all of them in the host's memory"
    return f", shared by {ranks} ranks" if ranks > 1 else ""
