"""Where in a model weights lie: its embedding, each of its layers, its end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hubmem.memory.sharding import Rank
from hubmem.models.architecture import Architecture
from hubmem.weights.census import TensorGroup
from hubmem.weights.roles import Role

EMBEDDING, VISION, END = "embedding", "vision", "end"


def by_place(rank: Rank, parts: Iterable[tuple[TensorGroup, int]]) -> Mapping[str, int]:
    """Bytes of groups on one rank by place: `embedding`, `encoder 3`, `decoder 7`, `end`, in that order.

    Weights that all layers share lie in the last, whose backward is the first to need them. Where images are seen,
    `vision 5` is a layer of their tower, and `vision` all else of it.
    """
    architecture = rank.architecture
    assert architecture is not None
    places: defaultdict[str, int] = defaultdict(int)
    for name in (EMBEDDING, *(f"encoder {n}" for n in range(len(architecture.encoder)))):
        places[name] = 0
    for group, undivided in parts:
        nbytes = rank.part(group, undivided)
        numbers = group.layers
        if rank.workload.images and group.role is Role.VISION:
            for place in _in_tower(architecture, numbers):
                places[place] += nbytes // len(numbers or (0,))
            continue
        if numbers is None:
            places[EMBEDDING if group.role is Role.EMBEDDING else END] += nbytes
            continue
        # A decoder's `encoder_attn` is its own.
        side = "encoder" if architecture.encoder and "encoder." in group.template else "decoder"
        here = [n - rank.stage.layers.start for n in numbers if side == "encoder" or n in rank.stage.layers]
        if shares_weights(rank):
            here = [len(architecture.layers) - 1]
        for number in here:
            places[f"{side} {number}"] += nbytes // len(here)
    return places


def _in_tower(architecture: Architecture, numbers: Sequence[int] | None) -> Sequence[str]:
    """The places of a group of the tower: its layers, if it has one in each of them."""
    body = architecture.tower.body if architecture.tower else None
    layers = len(body.layers) if body else 0
    if numbers is None or len(numbers) != layers:
        return [VISION] * len(numbers or (0,))
    return [f"{VISION} {number}" for number in numbers]


def shares_weights(rank: Rank) -> bool:
    """Whether all layers run with the weights of one (ALBERT)."""
    assert rank.architecture is not None
    numbers = {number for group in rank.census.groups for number in group.layers or ()}
    return numbers == {0} and len(rank.architecture.layers) > 1
