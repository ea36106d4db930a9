"""One use of attention: what it is given, and the two products it is made of.

Symbols: q = heads·D, a heads. Scores have a·b·s² elements.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.operators import copy
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value
from hubmem.memory.workload import AttentionKernels

# The widest head the flash kernel takes (sdp_utils.cpp, check_head_dim_size_flash).
_WIDEST_FLASH_HEAD = 256


class Mask(Enum):
    """What tells attention which positions it may see."""

    NONE = "nothing: all before, or all"
    BOOLEAN = "a byte a pair, for padding or a window"
    ADDITIVE = "an element a pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One use of attention.

    Attributes:
        heads, kv_heads, key_dim, value_dim: its shape.
        pairs: what scores grow with.
        eager: whether scores are made by separate operators though a kernel could do it.
        kernels: those that could.
        causal: whether a token sees only those before it, where a bias of positions must say so.
        unaligned: whether keys are no multiple of eight.
        single: whether each sequence asks with one token alone.
        bias_in_order: whether a bias of positions need not be copied before the kernel takes it.
    """

    computation: Computation
    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    mask: Mask
    eager: bool
    kernels: AttentionKernels = "all"
    pairs: Extent = Extent.PAIRS
    unaligned: bool = False
    single: bool = False
    bias_in_order: bool = False
    causal: bool = False

    @property
    def grouped(self) -> bool:
        """Whether several query heads share a key."""
        return self.heads != self.kv_heads

    @property
    def even(self) -> bool:
        """Whether keys and values are equally wide and narrow enough for the flash kernel."""
        return self.key_dim == self.value_dim <= _WIDEST_FLASH_HEAD


class Given(NamedTuple):
    """What attention reads: queries, keys, values, and learned scores of distances that are added."""

    q: Value
    k: Value
    v: Value
    bias: Value | None = None


def dot(tape: Tape, call: Call, q: Value, k: Value) -> Value:
    """q·kᵀ keeps both. A key that several heads share is copied to each for as long as it runs."""
    q, k = _in_order(tape, call, q, call.key_dim), _in_order(tape, call, k, call.key_dim)
    storage = Storage("scores", "a", call.heads, max(q.itemsize, k.itemsize), call.pairs)
    return tape.run("q·kᵀ", (q, k), (storage,), saves=(q, k))[0]


def weighed(tape: Tape, call: Call, probabilities: Value, v: Value) -> Value:
    """Probabilities times values keeps both."""
    v = _in_order(tape, call, v, call.value_dim)
    saves = (probabilities, v)
    return tape.run("probabilities·v", (probabilities, v), (output_of(call, v),), saves=saves)[0]


def repeated(tape: Tape, call: Call, x: Value, label: str) -> Value:
    """Key or value heads copied to the query heads that share them; a single one is shared as a view."""
    width = x.width // call.kv_heads * call.heads
    if call.kv_heads == 1:
        return replace(x, width=width)
    storage = Storage(label, "q", width, x.itemsize, x.storage.extent)
    return tape.run("repeat", (x,), (storage,))[0]


def _in_order(tape: Tape, call: Call, x: Value, head_dim: int) -> Value:
    """As one matrix a head: copied where several sequences lie between, or several heads share it."""
    if not tape.arithmetic.batched:
        return x
    if x.width != call.heads * head_dim:
        x = repeated(tape, call, x, f"{x.storage.label} broadcast")
    is_view = x.width != x.storage.width
    return copy(tape, x, f"{x.storage.label} in order") if is_view else x


def output_of(call: Call, like: Value) -> Storage:
    """What comes out, as wide as the query heads' values."""
    return Storage("attention output", "q", call.heads * call.value_dim, like.itemsize)
