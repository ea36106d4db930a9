"""What contradicts itself in a workload, told before any model is asked for."""

from collections.abc import Iterator
from dataclasses import MISSING, fields

from hubmem.errors import UsageError
from hubmem.memory.engines.engine import ENGINES, engine_of
from hubmem.memory.training import optimizers
from hubmem.memory.training.zero import check_offload
from hubmem.memory.workload import Workload

_DEFAULTS = {each.name: each.default for each in fields(Workload) if each.default is not MISSING}
_OPTIONS = {
    "cuda_graphs": "--enforce-eager",
    "micro_batch": "--ubatch-size",
    "flash_attention": "--no-flash-attention",
}
_OF_ENGINES = frozenset[str]().union(*(engine.settings for engine in ENGINES.values()))
_OF_TRAINING = ("loss", "accumulation", "zero", "offload")


def refuse_contradictions(workload: Workload) -> None:
    """Nothing, if no two things that are asked contradict each other.

    Raises:
        UsageError: they do, both named.
    """
    for message in (*_of_engine(workload), *_of_training(workload), *_of_ranks(workload)):
        raise UsageError(message)
    if workload.train:
        check_offload(workload, optimizers.parse(workload.optimizer))


def _of_engine(workload: Workload) -> Iterator[str]:
    engine = engine_of(workload.engine, workload.engine_version)
    if workload.train and engine.name != "transformers":
        yield f"--engine {engine.name} runs models; --train {workload.train} needs transformers."
    for name in sorted(_OF_ENGINES - engine.settings):
        if _is_asked(workload, name):
            others = ", ".join(other.name for other in ENGINES.values() if name in other.settings)
            yield f"{_said(workload, name)} is a setting of {others}; --engine is {engine.name}."
    if engine.splits_layers and workload.ep > 1:
        yield f"--ep {workload.ep} divides experts; {engine.name} puts whole layers on each device."
    if engine.name != "transformers" and workload.cp > 1:
        yield f"--cp {workload.cp} divides a sequence; that is not planned for --engine {engine.name}."


def _of_training(workload: Workload) -> Iterator[str]:
    if workload.train is None:
        for name in _OF_TRAINING:
            if _is_asked(workload, name):
                yield f"{_said(workload, name)} is about a step of training; nothing is trained without --train."


def _of_ranks(workload: Workload) -> Iterator[str]:
    if workload.sequence_parallel and workload.tp == 1:
        yield "--sequence-parallel shares tokens among tensor-parallel ranks, and --tp is 1."
    if workload.zero and workload.ep > workload.tp:
        yield (
            f"--zero {workload.zero} shares what data-parallel ranks hold alike, and with --ep {workload.ep} above"
            f" --tp {workload.tp} their experts differ: that is not planned."
        )


def _is_asked(workload: Workload, name: str) -> bool:
    return bool(getattr(workload, name) != _DEFAULTS[name])


def _said(workload: Workload, name: str) -> str:
    """The option as it was given: `--zero 3`, `--enforce-eager`."""
    value, option = getattr(workload, name), _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    return option if isinstance(value, bool) else f"{option} {value}"
