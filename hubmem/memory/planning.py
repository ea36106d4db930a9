"""The plan of any workload: of running a model, or of a step of training it."""

from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.weights.census import Census


def plan_workload(architecture: Architecture | None, census: Census, workload: Workload) -> Plan:
    """What the workload takes on its fullest device.

    Raises:
        UsageError: the workload contradicts itself or the model.
    """
    if not workload.train:
        return plan_inference(architecture, census, workload)
    # A tenth of what an answer imports, which one about inference does not need.
    from hubmem.memory.training import plan_training

    return plan_training(architecture, census, workload)
