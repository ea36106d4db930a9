"""A layer as its program takes it."""

from dataclasses import dataclass
from enum import Enum

from hubmem.memory.programs.attention import Mask
from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.scans import Recurrence
from hubmem.memory.programs.tape import Extent
from hubmem.memory.workload import AttentionKernels
from hubmem.models.architecture import FeedForward
from hubmem.models.mixers import Attention, LatentAttention


class Caching(Enum):
    """What becomes of keys and values."""

    NONE = "used once"
    FILLING = "copied into an empty cache"
    GROWING = "joined to those in the cache, which are copied to make room"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A layer with all its memory depends on.

    Attributes:
        mixer: its attention; `across` another one, over an encoder's output.
        beside: a recurrence that runs over the same input.
        mask: what attention is given; `across` never has padding of its own.
        index_dim: size of the keys by which an indexer chooses what attention sees, 0 without one.
        eager: whether attention scores are made by separate operators though a kernel could do it.
        unaligned: pairs of tokens whose keys are no multiple of eight.
        kernels: those that could.
    """

    computation: Computation
    hidden: int
    mixer: Attention | LatentAttention | Recurrence
    part: FeedForward
    across: Attention | None = None
    beside: Recurrence | None = None
    index_dim: int = 0
    mask: Mask = Mask.NONE
    eager: bool = False
    kernels: AttentionKernels = "all"
    caching: Caching = Caching.NONE
    unaligned: frozenset[Extent] = frozenset()
