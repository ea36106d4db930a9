"""The plan of any workload: of running a model, or of a step of training it."""

from collections.abc import Callable
from functools import cache, partial

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
    from hubmem.memory.training.plan import plan_training

    return plan_training(architecture, census, workload)


def planner(architecture: Architecture | None, census: Census) -> Callable[[Workload], Plan]:
    """The plan of any workload for one model, each computed once."""
    return _Planner(architecture, census)


class _Planner:
    """A function that remembers; sent to another process, it begins anew there."""

    def __init__(self, architecture: Architecture | None, census: Census) -> None:
        self._model = architecture, census
        self._plan = cache(partial(plan_workload, architecture, census))

    def __call__(self, workload: Workload) -> Plan:
        return self._plan(workload)

    def __reduce__(self) -> tuple[type["_Planner"], tuple[Architecture | None, Census]]:
        return _Planner, self._model
