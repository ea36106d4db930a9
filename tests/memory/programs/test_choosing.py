"""What an indexer takes to choose the keys of sparse attention, against DeepSeek-V3.2's by hand."""

from dataclasses import replace

import pytest
from hubmem.memory.programs.block import Block
from hubmem.memory.programs.blocks import trace_layer
from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.tape import Arithmetic, Extent
from hubmem.models.mixers import LatentAttention

HEADS, DIM = 64, 128
CHOOSING = Block(
    computation=Computation(index_heads=HEADS),
    hidden=7168,
    mixer=LatentAttention(heads=128, latent_dim=512, rope_dim=64, key_dim=192, value_dim=128),
    part=None,
    index_dim=DIM,
)
TRAINS = Arithmetic(itemsize=2, trains=True, base_trains=True)


def _of_a_pair(block: Block, arithmetic: Arithmetic) -> int:
    """The most bytes that are alive for each pair of tokens."""
    return max(moment.each.get(Extent.PAIRS, 0) for moment in trace_layer(block, arithmetic).forward)


@pytest.mark.parametrize(
    ("batched", "nbytes"),
    [(False, 2 * 4 * HEADS), (True, 4 * HEADS + 4 * DIM)],
    ids=["scores and scaled scores", "scores and keys copied to each query"],
)
def test_every_head_scores_every_pair_in_float32(batched: bool, nbytes: int) -> None:
    assert _of_a_pair(CHOOSING, Arithmetic(itemsize=2, batched=batched)) == nbytes


def test_a_layer_that_uses_anothers_choice_scores_nothing() -> None:
    assert _of_a_pair(replace(CHOOSING, index_dim=0), Arithmetic(itemsize=2)) == 0


def test_no_score_is_kept_for_the_backward_pass() -> None:
    assert not any(s.extent is Extent.PAIRS for s in trace_layer(CHOOSING, TRAINS).kept)
