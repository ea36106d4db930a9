"""The spine: open a source, count its weights, read its architecture, plan a workload, judge devices, report."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hubmem.fit.gpus import Gpu
from hubmem.fit.hosting import Host, offers
from hubmem.fit.matrix import Solver
from hubmem.fit.speed import Reading
from hubmem.hub.opening import Access, Opened, open_model
from hubmem.hub.siblings import Sibling, quantized_siblings
from hubmem.hub.source import Observer
from hubmem.memory.cache import bytes_per_token, cache_of
from hubmem.memory.device import on_device
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.images import check_images, with_images
from hubmem.memory.planning import planner
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.models.structural import architecture_by_shapes, disagreements
from hubmem.report import Report
from hubmem.request import Request
from hubmem.snapshot import Snapshot, take_snapshot, with_conversion
from hubmem.units import format_binary, format_tokens
from hubmem.weights import counting
from hubmem.weights.census import Census
from hubmem.weights.layout import Selection
from hubmem.weights.quantization import Quantization
from hubmem.weights.quantization_config import read_quantization

_NARROW_CACHE = "The config asks engines for an FP8 cache (kv_cache_scheme)."


def inspect(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    offline: bool = False,
    bundled: bool = True,
    variant: str | None = None,
    subfolder: str | None = None,
    file: str | None = None,
    siblings: bool = True,
    observer: Observer | None = None,
    warn: Callable[[str], None] | None = None,
    **request: Any,
) -> Report:
    """Say what a model takes and where it fits.

    Args:
        model: a repo id, `repo@revision`, or a folder.
        revision: branch, tag, pull request ref or commit; None for the default branch.
        token: for the Hub; None for the one huggingface_hub finds, False for none.
        offline: make no request.
        bundled: whether a bundled snapshot may stand in where the Hub cannot be read.
        variant: such as `fp16`, for files like `model.fp16.safetensors`.
        subfolder: the folder of the repo to look in.
        file: one weight file of several that are whole models, such as a GGUF file.
        siblings: whether to ask the Hub for quantized versions of a model that does not fit a GPU named.
        observer: told of requests and progress.
        warn: called with what is wrong, but does not stop the answer.
        request: `gpus`, `context`, `dtype`, `kv_dtype`, `cache_policy` as `Request.of` takes them, and any other
            field of `hubmem.memory.workload.Workload`: `batch`, `train`, `tp` …

    Raises:
        HubmemError: see `hubmem.errors`; each has an exit code.
    """
    asked = Request.of(**request)
    access = Access(
        revision=revision,
        token=token,
        offline=offline,
        bundled=bundled,
        observer=observer or Observer(),
        warn=warn or (lambda _: None),
        images=asked.workload.images > 0,
    )
    selection = Selection(variant=variant, subfolder=subfolder, file=file)
    opened = open_model(model, access)
    return answered(opened, take_snapshot(opened, selection), asked, siblings=siblings)


def answered(opened: Opened, snapshot: Snapshot, request: Request, *, siblings: bool = True) -> Report:
    """Assess what was read; where the answer is no, ask the Hub once for siblings to name in the advice.

    Of pickled weights, ask it once whether a pull request has them as safetensors.
    """
    snapshot = with_conversion(snapshot, opened)
    report = assess(snapshot, request)
    source = opened.source
    if not siblings or source is None or snapshot.stands_in or snapshot.adapter or not report.wants_siblings:
        return report
    found = quantized_siblings(source)
    snapshot = replace(snapshot, cost=source.cost)
    return assess(snapshot, request, found) if found else replace(report, snapshot=snapshot)


def assess(snapshot: Snapshot, request: Request, siblings: Sequence[Sibling] = ()) -> Report:
    """Plan a workload for a model that has been read, and judge devices: a pure function of what was read.

    Args:
        snapshot: of the model.
        request: what is asked of it.
        siblings: quantized versions of it on the Hub, to be named in advice.
    """
    config = snapshot.config
    architecture = read_architecture(config, snapshot.image_settings) if config else None
    quantization = read_quantization(config.raw if config else None, snapshot.quantization_file)
    census = snapshot.census if snapshot.parts else _counted(snapshot.census, quantization, architecture)
    workload = _with_cache_dtype(request.workload_for(architecture), quantization)
    check_images(architecture, workload)
    workload = with_images(architecture, workload)
    plan_for, settle = planner(architecture, census), partial(_settled, config)
    host = Host.of(census, request.bits_per_second)
    solver = Solver(
        plan_for=plan_for,
        workload=workload,
        settle=settle,
        max_context=architecture.max_context if architecture else None,
        depends_on_length=architecture is not None,
        layers=len(architecture.layers) if architecture else 0,
        stored_dtype=census.main_dtype,
        reading=Reading(architecture=architecture, census=census) if architecture else None,
        siblings=tuple(siblings),
        host=host,
    )
    verdicts = tuple(solver.judge(target, named=request.named) for target in request.targets)
    here = settle(workload, request.targets[0].gpu) if request.named else workload
    plan = plan_for(here)
    if request.named:
        plan = on_device(plan, request.targets[0].gpu.device)
    host = replace(host, resident_bytes=sum(term.nbytes for term in plan.host))
    return Report(
        snapshot=snapshot,
        census=census,
        quantization=quantization,
        architecture=architecture,
        workload=here,
        cache=cache_of(architecture, here, stored=census.main_dtype),
        plan=plan,
        verdicts=verdicts,
        host=host,
        offers=offers(plan_for, partial(settle, workload), host) if request.cloud else None,
        notes=(
            *_reading_notes(snapshot, census, quantization),
            *(() if here.kv_dtype == request.workload.kv_dtype else (_NARROW_CACHE,)),
            *_model_notes(config, census, architecture, here),
            *plan.notes,
        ),
    )


def _counted(census: Census, quantization: Quantization | None, architecture: Architecture | None) -> Census:
    return counting.count(
        census,
        quantization=quantization,
        tied_embeddings=architecture.tied_embeddings if architecture else False,
        layers=len(architecture.layers) if architecture else None,
    )


def _settled(config: Config | None, workload: Workload, gpu: Gpu) -> Workload:
    """The workload with what its engine decides by the device it finds."""
    engine = engine_of(workload.engine, workload.engine_version)
    return engine.settle(workload, gpu.device, config)


def _with_cache_dtype(workload: Workload, quantization: Quantization | None) -> Workload:
    """The workload with the cache the config asks engines for; weights in FP8 alone do not mean one."""
    if workload.kv_dtype or quantization is None or quantization.cache_bits != 8:
        return workload
    return replace(workload, kv_dtype="F8_E4M3")


def _reading_notes(snapshot: Snapshot, census: Census, quantization: Quantization | None) -> Iterator[str]:
    if snapshot.stands_in:
        yield snapshot.stands_in
    yield from snapshot.notes
    yield from census.notes
    if quantization:
        yield from quantization.notes


def _model_notes(
    config: Config | None, census: Census, architecture: Architecture | None, workload: Workload
) -> Iterator[str]:
    if architecture is None:
        if config is not None:
            yield from _unknown_type(config.model_type, census)
        return
    yield from disagreements(architecture, census)
    if architecture.max_context and workload.context > architecture.max_context:
        limit = format_tokens(architecture.max_context)
        yield f"{format_tokens(workload.context)} tokens are more than the model's own {limit}."


def _unknown_type(model_type: str, census: Census) -> Iterator[str]:
    """What is said of a model type nobody here knows: never that it is like another."""
    yield f"Model type {model_type or 'none'!r} is not known: weights are exact, the cache is unknown and not counted."
    shapes = architecture_by_shapes(model_type, census)
    if shapes:
        a_token = bytes_per_token(shapes, Workload(), stored=census.main_dtype)
        yield (
            f"Derived from headers: their shapes show {len(shapes.layers)} layers that would keep"
            f" {format_binary(a_token)} a token."
        )
