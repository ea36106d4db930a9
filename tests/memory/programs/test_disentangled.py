"""DeBERTa's attention, by what it keeps beside plain attention."""

from dataclasses import replace

from hubmem.memory.programs.block import Block
from hubmem.memory.programs.blocks import trace_layer
from hubmem.memory.programs.computation import Computation, Norm, Scores
from hubmem.memory.programs.tape import Arithmetic, Extent
from hubmem.models.architecture import Dense
from hubmem.models.mixers import Attention

H, A, P = 768, 12, 512
DEBERTA = Block(
    computation=Computation(
        norm=Norm.LAYER, fused_kernels=False, scores=Scores.DISENTANGLED, relative_positions=P
    ),
    hidden=H,
    mixer=Attention(heads=A, kv_heads=A, key_dim=64, value_dim=64),
    part=Dense(width=3072, gated=False),
    eager=True,
)


def _kept(block: Block, extent: Extent) -> int:
    arithmetic = Arithmetic(itemsize=2, trains=True, base_trains=True)
    return sum(storage.each for storage in trace_layer(block, arithmetic).kept if storage.extent is extent)


def test_two_tables_of_positions_are_kept_for_each_sequence() -> None:
    assert _kept(DEBERTA, Extent.SEQUENCES) == 2 * P * H * 2


def test_each_token_keeps_its_products_with_every_position_twice() -> None:
    fewer = replace(DEBERTA.computation, relative_positions=P - 1)
    less = _kept(replace(DEBERTA, computation=fewer), Extent.TOKENS)
    assert _kept(DEBERTA, Extent.TOKENS) - less == 2 * A * 2


def test_two_64_bit_distances_are_kept_for_each_pair_whatever_the_batch() -> None:
    assert _kept(DEBERTA, Extent.SQUARE) == 2 * 8


def test_scores_keep_their_softmax_and_which_pairs_are_hidden() -> None:
    assert _kept(DEBERTA, Extent.PAIRS) == 2 * A + 1
