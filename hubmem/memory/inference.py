"""The memory of running a model: which engine, and its plan for the fullest device."""

from hubmem.errors import UsageError
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.fullest import fullest
from hubmem.memory.images import with_images
from hubmem.memory.plan import Plan
from hubmem.memory.sharding import ranks
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census


def plan_inference(architecture: Architecture | None, census: Census, workload: Workload) -> Plan:
    """What running the workload takes on its fullest device.

    A model of unknown layers gets a plan of its weights alone, with a note that says so.

    Raises:
        UsageError: the workload contradicts itself or the model.
    """
    if workload.train:
        raise UsageError(f"A workload that trains ({workload.train}) has no plan for inference.")
    engine = engine_of(workload.engine, workload.engine_version)
    divided = engine.divided(with_images(architecture, workload))
    here = ranks(architecture, census, divided, engine.stage_bounds)
    return fullest((rank, engine.plan(rank)) for rank in here)
