"""What every row of the table of engines keeps to."""

import pytest
from hubmem.memory.engines.engine import ENGINES, Engine
from hubmem.memory.inference import plan_inference
from hubmem.memory.sharding import stages
from hubmem.memory.workload import Workload
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.models import llama


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@given(layers=st.integers(1, 200), pp=st.integers(1, 64))
def test_stages_have_every_layer_once_and_about_as_many_each(engine: Engine, layers: int, pp: int) -> None:
    workload = Workload(pp=min(pp, layers))
    found = stages(engine.stage_bounds(layers, workload))
    assert [number for stage in found for number in stage.layers] == list(range(layers))
    assert (found[0].first, found[-1].last, len(found)) == (True, True, workload.pp)
    sizes = [len(stage.layers) for stage in found]
    # In llama.cpp the output takes the place of a layer.
    assert max(sizes) - min(sizes) <= (2 if engine.name == "llama.cpp" else 1)


@pytest.mark.parametrize(
    ("engine", "fullest"),
    [
        ("vllm", "stage 3 of 4, layers 7–10"),
        ("sglang", "stage 4 of 4, layers 10–13 and the head"),
        # The output takes the place of a layer of the last.
        ("llama.cpp", "stage 3 of 4, layers 8–11"),
    ],
)
def test_the_fullest_stage_is_one_that_an_engine_gives_more_layers(engine: str, fullest: str) -> None:
    small_ends = llama(layers=14, hidden=512, heads=8, kv_heads=4, head_dim=64, mlp=4096, vocabulary=1000)
    plan = plan_inference(*small_ends, Workload(engine=engine, pp=4))
    assert plan.rank == fullest
