"""Whole layers on the GPU, the rest in the host's memory: nothing is lost on the way."""

import pytest
from hubmem.errors import UsageError
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload

from tests.memory.models import llama

LAYERS = 4
ARCHITECTURE, CENSUS = llama(
    layers=LAYERS, hidden=1024, heads=8, kv_heads=8, head_dim=128, mlp=4096, vocabulary=8192
)
LAYER = 2 * (4 * 1024 * 1024 + 3 * 1024 * 4096 + 2 * 1024)
EMBEDDING = 2 * 8192 * 1024
END = EMBEDDING + 2 * 1024
"""The head, as large as the embedding, and the last norm."""


def plan(gpu_layers: int | None, **workload) -> Plan:
    asked = Workload(context=256, gpu_layers=gpu_layers, **workload)
    return plan_inference(ARCHITECTURE, CENSUS, asked)


@pytest.mark.parametrize("kept", range(LAYERS + 1))
def test_what_is_not_on_the_gpu_is_on_the_host(kept):
    [on_host] = plan(kept).host

    assert plan(kept).of("weights").nbytes == EMBEDDING + kept * LAYER
    assert on_host.nbytes == (LAYERS - kept) * LAYER + END
    assert plan(kept).of("weights").nbytes + on_host.nbytes == plan(None).of("weights").nbytes


@pytest.mark.parametrize(("kept", "largest"), [(0, LAYER), (LAYERS - 1, LAYER), (LAYERS, END)])
def test_there_is_room_for_the_largest_part_of_the_hosts(kept, largest):
    """A layer here is larger than the head, until the head is all that is left."""
    assert LAYER > END
    assert plan(kept).of("weights on their turn").nbytes == largest


def test_keys_and_values_stay_on_the_gpu():
    assert plan(0).of("KV cache").nbytes == plan(None).of("KV cache").nbytes


def test_more_layers_than_there_are_are_all_of_them():
    assert plan(100) == plan(LAYERS)


@pytest.mark.parametrize("division", [{"tp": 2}, {"pp": 2}])
def test_a_model_divided_over_devices_is_not_offloaded_too(division):
    with pytest.raises(UsageError, match="--gpu-layers 2 needs a decoder"):
        plan(2, **division)


def test_layers_nobody_knows_cannot_be_placed():
    with pytest.raises(UsageError, match="whose layers are known"):
        plan_inference(None, CENSUS, Workload(gpu_layers=2))
