"""What PyTorch's caching allocator adds to tensors that are made one after another and kept.

Source: PyTorch 2.8, c10/cuda/CUDACachingAllocator.cpp (get_allocation_size, should_split) and
c10/core/AllocatorConfig.h; `torch.cuda.memory_allocated` counts whole blocks.
"""

import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable

from hubmem import templates
from hubmem.memory.sharding import Rank
from hubmem.units import MIB, round_up
from hubmem.weights.census import TensorGroup

# kSmallSize: what is no larger lies in a pool of its own, whose blocks are cut to the tensor.
_SMALL = MIB
# kLargeBuffer: what is asked of the driver for a tensor below kMinLargeAlloc; several share it.
_SHARED_SEGMENT, _OWN_SEGMENT_FROM = 20 * MIB, 10 * MIB
# kRoundLarge: what a segment for one tensor is filled up to.
_SEGMENT_MULTIPLE = 2 * MIB
_BLOCK_MULTIPLE = 512

# Matrices that engines keep as one, because they multiply the same input.
_FUSED = (
    (re.compile(r"\.(q|k|v)_proj\."), ".qkv_proj."),
    (re.compile(r"\.(gate_proj|up_proj|w1|w3)\."), ".gate_up_proj."),
)


def block_bytes(sizes: Iterable[int], *, uncut_from: int | None = None) -> int:
    """Bytes of the blocks that hold tensors of these sizes, made in this order and kept.

    The end of a segment is cut off and used for later tensors if it is larger than 1 MiB; else the tensor keeps it.

    Args:
        sizes: of the tensors.
        uncut_from: bytes from which a tensor keeps its segment whole (`max_split_size`); None for no tensor.

    >>> block_bytes([135 * MIB]) // MIB, block_bytes([24 * MIB + MIB // 2]) / MIB
    (136, 24.5)
    >>> block_bytes([24 * MIB + MIB // 2], uncut_from=20 * MIB) // MIB
    26
    """
    free: list[int] = []
    total = 0
    for size in sizes:
        block = needed = round_up(size, _BLOCK_MULTIPLE)
        if uncut_from is not None and needed >= uncut_from:
            block = _segment(needed)
        elif needed > _SMALL:
            place = bisect_left(free, needed)
            block = free.pop(place) if place < len(free) else _segment(needed)
            if block - needed > _SMALL:
                insort(free, block - needed)
                block = needed
        total += block
    return total


def kept_sizes(rank: Rank, size: Callable[[TensorGroup], int]) -> list[int]:
    """Bytes of each tensor on a rank, in the order of its layers, as engines join them.

    Queries, keys and values are one tensor, a gate and its up projection another, and so are all experts' of a layer.

    Args:
        rank: whose.
        size: of each group, undivided.
    """
    sizes: defaultdict[tuple[int, str], int] = defaultdict(int)
    for group in rank.census.across_files:
        here = rank.part(group, size(group))
        layers = _layers_here(rank, group)
        for layer in layers if here else ():
            sizes[layer, _joined(group.template)] += here // len(layers)
    # Python's sort keeps the census' order within a layer.
    return [nbytes for _, nbytes in sorted(sizes.items(), key=lambda item: item[0][0])]


def _layers_here(rank: Rank, group: TensorGroup) -> list[int]:
    """The layers of a group on the rank's stage; -1 for what belongs to none."""
    return [layer for layer in group.layers or () if rank.stage.runs(layer)] or [-1]


def _joined(template: str) -> str:
    """What tensors of one layer have in common that are kept as one.

    >>> _joined("model.layers.{0..3}.mlp.experts.{0..7}.w1.weight")
    'model.layers.{}.mlp.experts.{}.gate_up_proj.weight'
    """
    name = templates.pattern(template)
    for several, one in _FUSED:
        name = several.sub(one, name)
    return name


def _segment(needed: int) -> int:
    return _SHARED_SEGMENT if needed < _OWN_SEGMENT_FROM else round_up(needed, _SEGMENT_MULTIPLE)
