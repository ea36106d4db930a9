"""What is held from the first moment to the last: the weights and buffers of one rank."""

from collections.abc import Callable

from hubmem import dtypes
from hubmem.dtypes import Dtype
from hubmem.memory.plan import Basis, Term
from hubmem.memory.programs.computation import Tables
from hubmem.memory.sharding import Rank
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.roles import Role

GroupBytes = Callable[[TensorGroup], int]


def compute_dtype(architecture: Architecture | None, workload: Workload, stored: str | None = None) -> Dtype:
    """The dtype activations have: that of the weights where they are held unquantized, else the config's.

    `stored` is the dtype most weights are stored in. It goes before the config's, because weights that are
    held as stored compute as stored; packed weights leave the config to say.
    """
    named = (workload.weight_dtype, stored, architecture.dtype if architecture else None)
    candidates = (dtypes.find(name) for name in named if name)
    wide = (dtype for dtype in candidates if dtype is not None and dtype.floating and dtype.bits >= 16)
    return next(wide, dtypes.of("BF16"))


def held_bytes(census: Census, workload: Workload) -> GroupBytes:
    """How many bytes the tensors of a group of that model take as the workload holds them."""
    if workload.weight_dtype is None:
        return _as_stored
    from hubmem.weights.precision import parse

    return parse(workload.weight_dtype).of(census).nbytes


def weights_terms(census: Census, workload: Workload, rank: Rank) -> tuple[Term, ...]:
    """The weights on one rank, and the saved buffers beside them where there are any."""
    size = held_bytes(census, workload)
    weights = rank.nbytes(size, lambda group: group.role is not Role.BUFFER)
    buffers = rank.nbytes(_as_stored, lambda group: group.role is Role.BUFFER)
    terms = [_weights_term(weights, census, workload, rank)]
    if buffers:
        terms.append(
            Term(
                name="buffers",
                nbytes=buffers,
                basis=Basis.MEASURED,
                formula=f"{census.buffers:,} saved elements that are not trained",
                source=_where_read(census),
            )
        )
    return tuple(terms)


def _weights_term(nbytes: int, census: Census, workload: Workload, rank: Rank) -> Term:
    share = "" if rank.whole else f", divided over {workload.devices} devices"
    if workload.weight_dtype is None:
        return Term(
            name="weights",
            nbytes=nbytes,
            basis=Basis.MEASURED if rank.whole else Basis.DERIVED,
            formula=f"{census.tensors:,} tensors as stored{share}",
            source=_where_read(census),
        )
    return Term(
        name="weights",
        nbytes=nbytes,
        basis=Basis.DERIVED,
        formula=f"{census.parameters:,} parameters held in {workload.weight_dtype}{share}",
        source=f"shapes from {_where_read(census)}; layout of {workload.weight_dtype}",
    )


def _as_stored(group: TensorGroup) -> int:
    return group.loaded_nbytes


def _where_read(census: Census) -> str:
    return f"{census.format} {census.basis}"


def tables_term(architecture: Architecture, tables: Tables, itemsize: int) -> tuple[Term, ...]:
    """What is computed for all positions when the model is made, and is in no file.

    Args:
        architecture: of the model.
        tables: what its code computes.
        itemsize: bytes of an element of its weights.
    """
    positions, layers = architecture.max_context or 0, len(architecture.layers)
    stacks, width = 1 + bool(architecture.encoder), architecture.hidden_size
    nbytes, formula = {
        Tables.NONE: (0, ""),
        Tables.MASK: (positions**2, f"{positions:,}² × 1 B"),
        Tables.MASK_EACH: (layers * positions**2, f"{layers} layers × {positions:,}² × 1 B"),
        Tables.SINES: (
            stacks * positions * width * itemsize,
            f"{stacks} × {positions:,} positions × {width:,} × {itemsize} B",
        ),
        Tables.SINES_EACH: (
            layers * positions * 64 * 4,
            f"{layers} layers × {positions:,} positions × 64 × 4 B",
        ),
    }[tables]
    if not nbytes:
        return ()
    source = f"transformers 5.23, {architecture.model_type}: {tables.value}"
    return (Term(name="tables", nbytes=nbytes, basis=Basis.DERIVED, formula=formula, source=source),)
