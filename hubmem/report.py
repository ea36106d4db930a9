"""The spine: open a source, count its weights, read its architecture, plan a workload, judge devices, report."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hubmem import contract, dtypes
from hubmem.fit.gpus import USUAL, parse_target
from hubmem.fit.matrix import Solver, Verdict
from hubmem.fit.verdict import Answer, Planner
from hubmem.hub.opening import Access, open_model
from hubmem.hub.source import Observer
from hubmem.memory.cache import bytes_per_token, cache_bytes
from hubmem.memory.inference import plan_inference
from hubmem.memory.plan import Plan
from hubmem.memory.workload import DEFAULT_CONTEXT, AttentionCode, Workload
from hubmem.models.architecture import Architecture, Experts
from hubmem.models.families import read_architecture
from hubmem.models.mixers import CachePolicy
from hubmem.snapshot import Snapshot, take_snapshot
from hubmem.units import format_tokens
from hubmem.weights import precision
from hubmem.weights.census import Census
from hubmem.weights.roles import Role


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
        architecture: None where the model type is not known; the cache is then None too.
        verdicts: for the devices the user named, or for the usual ones.
    """

    snapshot: Snapshot
    architecture: Architecture | None
    workload: Workload
    cache: Cache | None
    plan: Plan
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    @property
    def census(self) -> Census:
        """The tensors."""
        return self.snapshot.census

    @property
    def active_parameters(self) -> int:
        """Parameters one token goes through: of the routed experts, only those the router picks."""
        experts = self.architecture.feed_forward if self.architecture else None
        return active_parameters(self.census, experts if isinstance(experts, Experts) else None)

    @property
    def fits_all(self) -> bool:
        """Whether it fits every device, for `--check`."""
        return all(verdict.fit.answer is not Answer.NO for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values, schema `hubmem.report/1`."""
        return contract.report_dict(self)


def inspect(
    model: str | os.PathLike[str],
    *,
    gpus: Sequence[str] = (),
    context: int | None = None,
    batch: int = 1,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    cache_policy: str = CachePolicy.LOGICAL.value,
    encoder_context: int | None = None,
    attention: AttentionCode = "sdpa",
    revision: str | None = None,
    token: str | bool | None = None,
    offline: bool = False,
    bundled: bool = True,
    observer: Observer | None = None,
    warn: Callable[[str], None] | None = None,
) -> Report:
    """Say what a model takes and where it fits.

    Args:
        model: a repo id, `repo@revision`, or a folder.
        gpus: names such as `H100-80GB` or `2xA100-80GB`; none for the usual ones.
        context: tokens of a sequence; None for 8,192, or less where the model ends sooner.
        batch: sequences at once.
        dtype: precision to hold the weights in, by `hubmem.weights.precision`; None for as stored.
        kv_dtype: dtype of the cache; None for the model's.
        cache_policy: how the positions a window holds are counted, by `CachePolicy`.
        encoder_context: tokens of an encoder's input; None for the model's usual length.
        attention: which attention code computes the activations.
        revision: branch, tag, pull request ref or commit; None for the default branch.
        token: for the Hub; None for the one huggingface_hub finds, False for none.
        offline: make no request.
        bundled: whether a bundled snapshot may stand in where the Hub cannot be read.
        observer: hears of requests and progress.
        warn: hears of what does not stop the answer.

    Raises:
        HubmemError: see `hubmem.errors`; each has an exit code.
    """
    access = Access(
        revision=revision,
        token=token,
        offline=offline,
        bundled=bundled,
        observer=observer or Observer(),
        warn=warn or (lambda _: None),
    )
    return assess(
        take_snapshot(open_model(model, access)),
        gpus=gpus,
        context=context,
        batch=batch,
        dtype=dtype,
        kv_dtype=kv_dtype,
        cache_policy=cache_policy,
        encoder_context=encoder_context,
        attention=attention,
    )


def assess(
    snapshot: Snapshot,
    *,
    gpus: Sequence[str] = (),
    context: int | None = None,
    batch: int = 1,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    cache_policy: str = CachePolicy.LOGICAL.value,
    encoder_context: int | None = None,
    attention: AttentionCode = "sdpa",
) -> Report:
    """Plan a workload for a model that has been read, and judge devices; the arguments are those of `inspect`."""
    architecture = read_architecture(snapshot.config) if snapshot.config else None
    workload = Workload(
        batch=batch,
        context=_context(context, architecture),
        encoder_context=encoder_context,
        weight_dtype=precision.parse(dtype).name if dtype else None,
        kv_dtype=dtypes.parse(kv_dtype).name if kv_dtype else None,
        cache_policy=CachePolicy(cache_policy),
        attention=attention,
    )
    plan_for = planner(architecture, snapshot.census)
    solver = Solver(
        plan_for=plan_for,
        workload=workload,
        max_context=architecture.max_context if architecture else None,
        depends_on_length=architecture is not None,
    )
    return Report(
        snapshot=snapshot,
        architecture=architecture,
        workload=workload,
        cache=_cache(architecture, snapshot.census, workload),
        plan=plan_for(workload),
        verdicts=tuple(solver.judge(parse_target(name), named=bool(gpus)) for name in gpus or USUAL),
        notes=(
            *filter(None, [snapshot.stands_in]),
            *snapshot.notes,
            *snapshot.census.notes,
            *_model_notes(snapshot, architecture, context),
        ),
    )


def planner(architecture: Architecture | None, census: Census) -> Planner:
    """The plan of any workload for one model, each computed once."""

    @lru_cache(maxsize=None)
    def plan_for(workload: Workload) -> Plan:
        return plan_inference(architecture, census, workload)

    return plan_for


def _context(asked: int | None, architecture: Architecture | None) -> int:
    limit = architecture.max_context if architecture else None
    return asked or min(DEFAULT_CONTEXT, limit or DEFAULT_CONTEXT)


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


def _model_notes(snapshot: Snapshot, architecture: Architecture | None, context: int | None) -> Iterator[str]:
    if snapshot.config is not None and architecture is None:
        kind = snapshot.config.model_type or "none"
        yield f"Model type {kind!r} is not known: weights are exact, the cache is unknown and not counted."
    limit = architecture.max_context if architecture else None
    if context and limit and context > limit:
        yield f"{format_tokens(context)} tokens are more than the model's own {format_tokens(limit)}."


def active_parameters(census: Census, experts: Experts | None) -> int:
    """Logical parameters less those of the routed experts a token does not go through."""
    if experts is None or not experts.count:
        return census.parameters
    routed = census.by_role().get(Role.EXPERTS, 0)
    return census.parameters - routed * (experts.count - experts.active) // experts.count
