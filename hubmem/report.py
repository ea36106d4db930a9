"""The spine: open a source, count its weights, read its architecture, plan a workload, judge devices, report."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from hubmem import contract
from hubmem.fit.gpus import Gpu
from hubmem.fit.hosting import Host, Offer, offers
from hubmem.fit.matrix import Solver, Verdict
from hubmem.fit.speed import Reading
from hubmem.fit.verdict import Answer, Planner
from hubmem.hub.opening import Access, Opened, open_model
from hubmem.hub.siblings import Sibling, quantized_siblings
from hubmem.hub.source import Observer
from hubmem.memory.cache import bytes_per_token, cache_bytes
from hubmem.memory.engines import engine_of
from hubmem.memory.plan import Plan
from hubmem.memory.planning import plan_workload
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Experts
from hubmem.models.families import read_architecture
from hubmem.models.mixers import CachePolicy
from hubmem.models.structural import disagreements, read_headers
from hubmem.request import Request
from hubmem.snapshot import Snapshot, take_snapshot, with_conversion
from hubmem.units import format_binary, format_tokens
from hubmem.weights import counting
from hubmem.weights.census import Census
from hubmem.weights.layout import Selection
from hubmem.weights.quantization import Quantization
from hubmem.weights.quantization_config import read_quantization

if TYPE_CHECKING:
    from hubmem.fit.alternatives import Alternative
    from hubmem.memory.rules import Comparison

_NARROW_CACHE = "The config asks engines for an FP8 cache (kv_cache_scheme)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The KV cache and recurrent states of the workload.

    Attributes:
        nbytes: of all sequences.
        bytes_per_token: what one more token of one sequence costs at this context, all layers.
    """

    nbytes: int
    bytes_per_token: int
    policy: CachePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything hubmem says about one model and one workload.

    Attributes:
        census: the tensors, counted as the model has them.
        quantization: how the weights are packed, or None.
        architecture: None where the model type is not known; the cache is then None too.
        verdicts: for the devices the user named, or for the usual ones.
        host: what the machine beside them needs.
        offers: rented machines that it fits, smallest first; None where nobody asked for them.
    """

    snapshot: Snapshot
    census: Census
    quantization: Quantization | None
    architecture: Architecture | None
    workload: Workload
    cache: Cache | None
    plan: Plan
    verdicts: tuple[Verdict, ...]
    host: Host
    offers: tuple[Offer, ...] | None
    notes: tuple[str, ...]

    @property
    def active_parameters(self) -> int:
        """Parameters one token goes through: of the routed experts, only those the router picks."""
        experts = self.architecture.feed_forward if self.architecture else None
        if not isinstance(experts, Experts):
            return self.census.parameters
        return counting.active_parameters(self.census, experts.count, experts.active)

    @property
    def fits_all(self) -> bool:
        """Whether it fits every device, for `--check`."""
        return all(verdict.fit.answer is not Answer.NO for verdict in self.verdicts)

    def alternatives(self) -> "tuple[Alternative, ...]":
        """Other whole models in the repo, such as its GGUF files, and what each takes as it is stored."""
        if not self.snapshot.alternatives:
            return ()
        from hubmem.fit.alternatives import weigh

        comparable = () if self.workload.weight_dtype else self.verdicts
        return weigh(self.snapshot.alternatives, self.snapshot.listing.files, self.census, comparable)

    def rules(self) -> "tuple[Comparison, ...]":
        """Rules of thumb for this model and workload, each beside the exact answer to the same question."""
        from hubmem.memory.rules import compare

        bits = self.quantization.bits if self.quantization else None
        return compare(self.architecture, self.census, self.workload, bits)

    @property
    def wants_siblings(self) -> bool:
        """Whether a published quantized version would be advice: a no on a device the user named."""
        can_be_quantized = self.quantization is None and self.workload.weight_dtype is None
        refused = any(
            each.named and each.fit.answer is Answer.NO and not each.reason for each in self.verdicts
        )
        return refused and can_be_quantized and not self.workload.train

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values, schema `hubmem.report/1`."""
        return contract.report_dict(self)


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
        observer: hears of requests and progress.
        warn: hears of what does not stop the answer.
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
    return assess(replace(snapshot, cost=source.cost), request, found) if found else report


def assess(snapshot: Snapshot, request: Request, siblings: Sequence[Sibling] = ()) -> Report:
    """Plan a workload for a model that has been read, and judge devices: a pure function of what was read.

    Args:
        snapshot: of the model.
        request: what is asked of it.
        siblings: quantized versions of it on the Hub, to be named in advice.
    """
    architecture = read_architecture(snapshot.config) if snapshot.config else None
    quantization = read_quantization(
        snapshot.config.raw if snapshot.config else None, snapshot.quantization_file
    )
    census = snapshot.census if snapshot.parts else _counted(snapshot.census, quantization, architecture)
    workload = _with_cache_dtype(request.workload_for(architecture), quantization)
    plan_for = planner(architecture, census)
    host = _host(snapshot, census, request.bits_per_second)
    solver = Solver(
        plan_for=plan_for,
        workload=workload,
        max_context=architecture.max_context if architecture else None,
        depends_on_length=architecture is not None,
        layers=len(architecture.layers) if architecture else 0,
        stored_dtype=census.main_dtype,
        reading=Reading(architecture=architecture, census=census) if architecture else None,
        siblings=tuple(siblings),
        host=host,
    )
    settled = [_on_device(workload, target.gpu) for target in request.targets]
    verdicts = tuple(
        replace(solver, workload=each).judge(target, named=request.named)
        for target, each in zip(request.targets, settled, strict=True)
    )
    if request.named:
        workload = settled[0]
    plan = plan_for(workload)
    host = replace(host, resident_bytes=sum(term.nbytes for term in plan.host))
    return Report(
        snapshot=snapshot,
        census=census,
        quantization=quantization,
        architecture=architecture,
        workload=workload,
        cache=_cache(architecture, census, workload),
        plan=plan,
        verdicts=verdicts,
        host=host,
        offers=offers(plan_for, workload, host) if request.cloud else None,
        notes=(
            *filter(None, [snapshot.stands_in]),
            *snapshot.notes,
            *census.notes,
            *(quantization.notes if quantization else ()),
            *(() if workload.kv_dtype == request.workload.kv_dtype else (_NARROW_CACHE,)),
            *_model_notes(snapshot, census, architecture, workload),
        ),
    )


def _counted(census: Census, quantization: Quantization | None, architecture: Architecture | None) -> Census:
    return counting.count(
        census,
        quantization=quantization,
        tied_embeddings=architecture.tied_embeddings if architecture else False,
        layers=len(architecture.layers) if architecture else None,
    )


def _on_device(workload: Workload, gpu: Gpu) -> Workload:
    """The workload with what its engine decides by the device it finds."""
    engine = engine_of(workload.engine, workload.engine_version)
    return engine.settle(workload, gpu.memory_bytes, a100="a100" in gpu.title.lower())


def _with_cache_dtype(workload: Workload, quantization: Quantization | None) -> Workload:
    """The workload with the cache the config asks engines for; weights in FP8 alone do not mean one."""
    if workload.kv_dtype or quantization is None or quantization.cache_bits != 8:
        return workload
    return replace(workload, kv_dtype="F8_E4M3")


def planner(architecture: Architecture | None, census: Census) -> Planner:
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


def _host(snapshot: Snapshot, census: Census, bits_per_second: int) -> Host:
    """The machine's side before a plan is made: files as they lie on disk, and the largest, else their mean."""
    suffix = ".bin" if census.basis == "pickle" else f".{census.format}"
    sizes = [entry.nbytes for path, entry in snapshot.listing.files.items() if path.endswith(suffix)]
    # A bundled snapshot lists files without their lengths.
    all_known = len(sizes) == census.files and min(sizes, default=0) > 0
    return Host(
        disk_bytes=census.stored_bytes,
        load_bytes=max(sizes) if all_known else -(-census.stored_bytes // max(1, census.files)),
        bits_per_second=bits_per_second,
    )


def _cache(architecture: Architecture | None, census: Census, workload: Workload) -> Cache | None:
    stored = census.main_dtype
    nbytes = cache_bytes(architecture, workload, stored=stored)
    if architecture is None or nbytes is None:
        return None
    return Cache(
        nbytes=nbytes,
        bytes_per_token=bytes_per_token(architecture, workload, stored=stored),
        policy=workload.cache_policy,
    )


def _model_notes(
    snapshot: Snapshot, census: Census, architecture: Architecture | None, workload: Workload
) -> Iterator[str]:
    if architecture is None and snapshot.config is not None:
        yield from _unknown_type(snapshot.config.model_type, census)
    if architecture is None:
        return
    yield from disagreements(architecture, census)
    if architecture.max_context and workload.context > architecture.max_context:
        limit = format_tokens(architecture.max_context)
        yield f"{format_tokens(workload.context)} tokens are more than the model's own {limit}."


def _unknown_type(model_type: str, census: Census) -> Iterator[str]:
    """What is said of a model type nobody here knows: never that it is like another."""
    yield f"Model type {model_type or 'none'!r} is not known: weights are exact, the cache is unknown and not counted."
    shapes = read_headers(model_type, census)
    if shapes:
        a_token = bytes_per_token(shapes, Workload(), stored=census.main_dtype)
        yield (
            f"Derived from headers: their shapes show {len(shapes.layers)} layers that would keep"
            f" {format_binary(a_token)} a token."
        )
