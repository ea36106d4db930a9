"""Which of a model's ranks holds most, and what makes it so."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from hubmem.memory.plan import Plan
from hubmem.memory.sharding import Rank
from hubmem.units import format_binary


def fullest(plans: Iterable[tuple[Rank, Plan]]) -> Plan:
    """The plan that needs most, with whose it is and what it has more of than the emptiest."""
    ranked = sorted(plans, key=lambda each: each[1].per_gpu_bytes)
    (emptiest, least), (rank, most) = ranked[0], ranked[-1]
    if most.devices == 1:
        return most
    return replace(most, rank=_name(rank), why=_difference(most, least, _name(emptiest)))


def _name(rank: Rank) -> str:
    """A pipeline's stage by its layers; the ranks of one stage are alike."""
    stage, count = rank.stage, rank.workload.pp
    if count == 1:
        return f"any of {rank.workload.devices} alike"
    held = [f"layers {stage.layers.start}–{stage.layers[-1]}"] if stage.layers else []
    held += [end for end, here in (("the embedding", stage.first), ("the head", stage.last)) if here]
    return f"stage {stage.index + 1} of {count}, {' and '.join(held)}"


def _difference(most: Plan, least: Plan, other: str) -> str:
    """The term by which one is larger than another: `weights 12.3 GiB against 11.1 GiB`; "" where they are equal."""
    sizes, others = _sizes(most), _sizes(least)
    name = max(sizes, key=lambda name: sizes[name] - others[name])
    if sizes[name] <= others[name]:
        return ""
    return f"{name} {format_binary(sizes[name])} against {format_binary(others[name])} on {other}"


def _sizes(plan: Plan) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for term in plan.terms:
        sizes[term.name] += term.nbytes
    return sizes
