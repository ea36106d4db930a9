"""T5's scores of distances, by what a layer keeps that makes them itself, and by whom they are made."""

from dataclasses import replace

from hubmem.memory.programs.block import Block
from hubmem.memory.programs.blocks import trace_layer
from hubmem.memory.programs.computation import Computation, DistanceBias, Norm
from hubmem.memory.programs.distances import trace_shared_bias
from hubmem.memory.programs.tape import Arithmetic, Extent
from hubmem.models.architecture import Dense
from hubmem.models.mixers import Attention

A = 6
ATTENTION = Attention(heads=A, kv_heads=A, key_dim=64, value_dim=64)
ENCODER = Block(
    computation=Computation(norm=Norm.RMS_T5, distance_bias=DistanceBias.EACH),
    hidden=512,
    mixer=ATTENTION,
    part=Dense(width=1024, gated=True),
)
DECODER = replace(ENCODER, across=replace(ATTENTION, source="cross"))
TRAINING = Arithmetic(itemsize=2, trains=True, base_trains=True)
BUCKET = 8


def _kept(block: Block, extent: Extent) -> int:
    return sum(s.each for s in trace_layer(block, TRAINING).kept if s.extent is extent)


def _shared(block: Block) -> Block:
    return replace(block, computation=replace(block.computation, distance_bias=DistanceBias.SHARED))


def test_each_layer_keeps_its_own_buckets_and_the_scores_it_looked_up() -> None:
    assert _kept(ENCODER, Extent.SQUARE) == BUCKET + 2 * A


def test_a_shared_bias_leaves_its_buckets_with_the_first_layer() -> None:
    assert _kept(_shared(ENCODER), Extent.SQUARE) == 2 * A
    first = trace_shared_bias(_shared(ENCODER), TRAINING)
    assert sum(storage.each for storage in first.kept) == BUCKET


def test_a_decoder_keeps_which_positions_are_before_each() -> None:
    assert _kept(DECODER, Extent.SQUARE) - _kept(ENCODER, Extent.SQUARE) == 1


def test_zeros_for_attention_across_are_kept_by_the_layer_that_makes_them() -> None:
    assert _kept(DECODER, Extent.CROSS_SQUARE) == 2 * A
    assert _kept(_shared(DECODER), Extent.CROSS_SQUARE) == 0
    first = trace_shared_bias(_shared(DECODER), TRAINING)
    assert sum(s.each for s in first.kept if s.extent is Extent.CROSS_SQUARE) == 2 * A


def test_rows_that_are_no_multiple_of_eight_are_copied_while_the_bias_is_still_there() -> None:
    def largest(block: Block) -> int:
        forward = trace_layer(block, Arithmetic(itemsize=2)).forward
        return max(each.each.get(Extent.SQUARE, 0) for each in forward if "efficient" in each.operator)

    aligned = replace(_shared(ENCODER), part=None)
    unaligned = replace(aligned, unaligned=frozenset({Extent.PAIRS}))
    assert largest(unaligned) == largest(aligned) + 2 * A
