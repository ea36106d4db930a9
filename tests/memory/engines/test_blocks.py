"""Blocks of PyTorch's caching allocator, and the tensors an engine puts into them."""

import pytest
from hubmem.memory.engines.blocks import block_bytes, kept_sizes
from hubmem.memory.sharding import ranks
from hubmem.memory.workload import Workload
from hubmem.units import MIB
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.models import llama, published


@pytest.mark.parametrize(
    ("sizes", "nbytes"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([1], 512, id="a multiple of 512 bytes"),
        pytest.param([36 * MIB], 36 * MIB, id="a segment of its own that is full"),
        pytest.param([35 * MIB], 36 * MIB, id="an end of 1 MiB is too small to be of use"),
        pytest.param([35 * MIB - 512], 35 * MIB - 512, id="a larger one is cut off"),
        pytest.param([9 * MIB, 9 * MIB], 18 * MIB, id="two in a segment of 20 MiB, its end left"),
        pytest.param([9 * MIB, 10 * MIB], 20 * MIB, id="the second takes the end"),
        pytest.param([11 * MIB - MIB // 2, 3 * MIB // 2], 12 * MIB, id="an end of another's is used first"),
        pytest.param(
            [10 * MIB, 19 * MIB // 2], 39 * MIB // 2, id="from 10 MiB on no end of a shared segment"
        ),
        pytest.param([37 * MIB // 2, MIB], 39 * MIB // 2, id="up to 1 MiB no end of another's"),
    ],
)
def test_a_tensor_has_the_block_that_the_allocator_gives_it(sizes: list[int], nbytes: int) -> None:
    assert block_bytes(sizes) == nbytes


@pytest.mark.parametrize(
    ("sizes", "nbytes"),
    [
        pytest.param([21 * MIB], 22 * MIB, id="its segment whole"),
        pytest.param([41 * MIB // 2, MIB * 3 // 2], 22 * MIB + MIB * 3 // 2, id="whose end nobody else gets"),
        pytest.param([19 * MIB], 20 * MIB, id="an end too small to cut off"),
        pytest.param([9 * MIB, 19 * MIB // 2], 37 * MIB // 2, id="a smaller one's end is cut off"),
    ],
)
def test_a_tensor_of_20_mib_keeps_its_segment_where_none_is_cut_from_there(
    sizes: list[int], nbytes: int
) -> None:
    assert block_bytes(sizes, uncut_from=20 * MIB) == nbytes


@given(st.lists(st.integers(1, 64 * MIB), max_size=40))
def test_blocks_hold_their_tensors_and_waste_no_more_than_1_mib_each(sizes: list[int]) -> None:
    assert 0 <= block_bytes(sizes) - sum(sizes) <= len(sizes) * (MIB + 512)


@pytest.mark.parametrize(("tp", "pp"), [(1, 1), (2, 1), (1, 3), (4, 2)])
def test_the_tensors_of_a_rank_are_its_weights(tp: int, pp: int) -> None:
    architecture, census = llama()
    for rank in ranks(architecture, census, Workload(tp=tp, pp=pp)):
        sizes = kept_sizes(rank, lambda group: group.nbytes)

        assert sum(sizes) == pytest.approx(
            rank.nbytes(lambda group: group.nbytes), abs=len(census.groups) * 80
        )
        assert 0 not in sizes


def test_tensors_of_a_stage_come_layer_by_layer_after_those_outside() -> None:
    architecture, census = llama(
        layers=4, hidden=64, heads=4, kv_heads=2, head_dim=16, mlp=128, vocabulary=128
    )
    first, last = (
        kept_sizes(rank, lambda group: group.parameters)
        for rank in ranks(architecture, census, Workload(pp=2))
    )
    layer = [(64 + 2 * 32) * 64, 64 * 64, 2 * 128 * 64, 64 * 128, 64, 64]
    assert first == [128 * 64, *layer, *layer]
    assert last == [64, 128 * 64, *layer, *layer]


def test_matrices_of_one_input_are_one_tensor_and_all_experts_of_a_layer_two() -> None:
    """Qwen3-30B-A3B: 128 experts of 768 × 2,048, gate and up projection together, in 48 layers."""
    (rank,) = ranks(*published("Qwen/Qwen3-30B-A3B"), Workload())
    sizes = kept_sizes(rank, lambda group: group.nbytes)

    assert sizes.count(128 * 2 * 768 * 2048 * 2) == 48
    assert sizes.count(128 * 768 * 2048 * 2) == 48
    assert sizes.count((32 + 2 * 4) * 128 * 2048 * 2) == 48
