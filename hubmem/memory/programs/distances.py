"""T5's attention: a learned score for each head and distance is added to what queries and keys make.

Every distance is sorted into a bucket, in 64-bit integers, and the bucket's scores are looked up.

Source: Raffel et al., arXiv 1910.10683, section 2.1; transformers 5.23, models/t5/modeling_t5.py and
models/umt5/modeling_umt5.py, _relative_position_bucket and compute_bias.
"""

from dataclasses import replace
from functools import lru_cache

from hubmem.memory.programs.block import Block
from hubmem.memory.programs.computation import DistanceBias
from hubmem.memory.programs.operators import FLOAT32, constant
from hubmem.memory.programs.tape import Arithmetic, Extent, Storage, Tape, Trace, Value
from hubmem.models.mixers import Attention

_INT64 = 8


def bias_of_distances(tape: Tape, block: Block) -> Value | None:
    """What a layer adds to its scores in a new tensor: made by the first for all, or by each for itself."""
    bias = block.computation.distance_bias
    if bias in (DistanceBias.NONE, DistanceBias.REPEATED):
        return None
    assert isinstance(block.mixer, Attention)
    if bias is DistanceBias.EACH:
        return _looked_up(tape, block.mixer.heads, names_ratio=True)
    arithmetic = tape.arithmetic
    shared = constant("bias of positions", "a", block.mixer.heads, arithmetic.itemsize, Extent.SQUARE)
    return replace(shared, needs_grad=arithmetic.base_trains)


def bias_across(tape: Tape, block: Block) -> Value | None:
    """Attention across to the encoder adds zeros, made once for all layers or by each for itself."""
    bias = block.computation.distance_bias
    if bias is DistanceBias.NONE:
        return None
    zeros = _zeros(tape, block)
    if bias is DistanceBias.SHARED:
        return Value(replace(zeros, counted=False), zeros.width)
    return tape.run("zeros", (), (zeros,))[0]


@lru_cache(maxsize=64)
def trace_shared_bias(block: Block, arithmetic: Arithmetic) -> Trace:
    """The first layer, where it makes the bias for all."""
    tape = Tape(arithmetic)
    assert isinstance(block.mixer, Attention)
    heads = block.mixer.heads
    width = heads * block.mixer.key_dim
    stream = Value(Storage("residual stream", "h", block.hidden, arithmetic.itemsize), block.hidden)
    inner = Value(Storage("norm", "h", block.hidden, arithmetic.itemsize), block.hidden)
    projected = (Value(Storage(name, "q", width, arithmetic.itemsize), width) for name in ("q", "k", "v"))
    with tape.holding(stream, inner, *projected):
        bias = _looked_up(tape, heads)
        if block.across:
            zeros = _zeros(tape, block)
            saves = () if block.eager else (Value(zeros, zeros.width),)
            # Attention keeps them for its queries, whether or not the bias is trained.
            tape.run("zeros", (replace(bias, needs_grad=arithmetic.trains),), (zeros,), saves=saves)
    return tape.finish(bias)


def _looked_up(tape: Tape, heads: int, *, names_ratio: bool = False) -> Value:
    """UMT5's code refers to the logarithms' ratio by a name until it has the buckets."""
    arithmetic = tape.arithmetic
    names = ("distances", "side", "magnitudes", "logarithms", "bound")
    scratch = [Storage(name, "1", 1, _INT64, Extent.SQUARE) for name in names]
    scratch.append(Storage("near", "1", 1, 1, Extent.SQUARE))
    if names_ratio:
        scratch.append(Storage("ratio of logarithms", "1", 1, FLOAT32, Extent.SQUARE))
    buckets = Storage("buckets of distances", "1", 1, _INT64, Extent.SQUARE)
    scores = Value(Storage("score of a bucket", "a", 0, 0, Extent.ONCE), 0, arithmetic.base_trains)
    (index,) = tape.run("buckets of distances", (), (buckets,), scratch=scratch)
    table = Storage("bias of positions", "a", heads, arithmetic.itemsize, Extent.SQUARE)
    return tape.run("look up", (index, scores), (table,), saves=(index,))[0]


def _zeros(tape: Tape, block: Block) -> Storage:
    assert block.across is not None
    itemsize = tape.arithmetic.linear_itemsize
    return Storage("bias of no positions", "a", block.across.heads, itemsize, Extent.CROSS_SQUARE)
