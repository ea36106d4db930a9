"""Recurrent layers in plain operators, against what is known of them by hand."""

from dataclasses import replace

import pytest
from hubmem.memory.programs.block import Block, Caching
from hubmem.memory.programs.blocks import trace_layer
from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.scans import Recurrence
from hubmem.memory.programs.tape import Arithmetic, Extent

# Qwen3-Next: 16 keys and 32 values of 128 each, in chunks of 64.
DELTA = Recurrence(
    kind="gated_delta_net", projected=12288, inner=4096, heads=32, state=128, convolved=8192, chunk=64
)
# Mamba-2 of 130M parameters: 24 heads of 64, one group of 128 states, in chunks of 256.
MAMBA2 = Recurrence(kind="mamba2", projected=3352, inner=1536, heads=24, state=128, convolved=1792, chunk=256)
TRAINS = Arithmetic(itemsize=2, trains=True, base_trains=True)
RUNS = Arithmetic(itemsize=2)


def _block(mixer: Recurrence, caching: Caching = Caching.NONE) -> Block:
    return Block(computation=Computation(), hidden=2048, mixer=mixer, part=None, caching=caching)


def _kept(mixer: Recurrence, label: str) -> int:
    """Bytes of what is kept under a label, for each unit of its extent."""
    return sum(s.each for s in trace_layer(_block(mixer), TRAINS).kept if s.label == label)


def test_the_decay_between_the_pairs_of_a_chunk_is_kept_in_float32() -> None:
    assert _kept(DELTA, "decay") == 32 * 64 * 4
    assert _kept(MAMBA2, "decay") == 24 * 256 * 4


def test_every_chunk_of_a_delta_rule_keeps_its_state() -> None:
    assert _kept(DELTA, "states") == 4096 * 128 * 4


@pytest.mark.parametrize("mixer", [DELTA, MAMBA2], ids=["delta", "mamba2"])
def test_a_scan_grows_with_whole_chunks(mixer: Recurrence) -> None:
    moments = trace_layer(_block(mixer), RUNS).forward
    assert any(Extent.CHUNKED in moment.each for moment in moments)


@pytest.mark.parametrize(("mixer", "nbytes"), [(DELTA, 12), (MAMBA2, 16)], ids=["delta", "mamba2"])
def test_one_more_token_makes_a_few_tensors_of_the_states_size(mixer: Recurrence, nbytes: int) -> None:
    moments = trace_layer(_block(mixer, Caching.GROWING), RUNS).forward
    largest = max(moment.each.get(Extent.SEQUENCES, 0) for moment in moments)
    assert largest == nbytes * mixer.inner * mixer.state
    assert not any(Extent.CHUNKED in moment.each for moment in moments)


def test_a_scan_of_unknown_operators_keeps_what_its_kernel_reads() -> None:
    unknown = replace(MAMBA2, kind="")
    assert trace_layer(_block(unknown), TRAINS).kept
    assert not any(s.extent is Extent.CHUNKED for s in trace_layer(_block(unknown), TRAINS).kept)
