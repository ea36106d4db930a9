"""What a process holds outside the allocator, by the generation of its device."""

import pytest
from hubmem.fit.gpus import find
from hubmem.memory.device import on_device
from hubmem.memory.inference import plan_inference
from hubmem.memory.workload import Workload
from hubmem.units import MIB

from tests.memory.models import llama


@pytest.mark.parametrize(
    ("gpu", "context_mib", "workspace_mib"),
    [
        ("RTX-3090", 400, 8.125),
        ("RTX-4090", 451, 8.125),
        ("A100-80GB", 424, 8.125),
        # Nobody has published one without more beside it: as on the nearest generation that is known.
        ("H100-80GB", 451, 32),
        ("RTX-5090", 451, 8.125),
        ("T4", 451, 8.125),
    ],
)
def test_the_context_is_as_it_was_seen_on_that_generation(
    gpu: str, context_mib: int, workspace_mib: float
) -> None:
    plan = on_device(plan_inference(*llama(), Workload()), find(gpu).device)
    context, workspace = plan.overheads
    assert (context.nbytes, workspace.nbytes) == (context_mib * MIB, workspace_mib * MIB)
    assert context.range[0] < context.nbytes < context.range[1]
    assert workspace.range == (workspace.nbytes, workspace.nbytes)


@pytest.mark.parametrize("engine", ["transformers", "vllm", "sglang", "llama.cpp"])
def test_a_device_nobody_knows_changes_nothing(engine: str) -> None:
    plan = plan_inference(*llama(), Workload(engine=engine))
    assert on_device(plan, find("MI300X").device) == plan
