"""What might turn a no into a yes: one function for each kind of change.

They stand in the order of cost to what the user wanted: first what costs only time, then precision, then the kind of
training, then how much goes in at once, then speed, then money.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from hubmem.errors import UsageError
from hubmem.fit.abilities import cannot_run, compiles, has_format
from hubmem.fit.gpus import Gpu, Target, catalogue, find
from hubmem.fit.hosting import Host, offers
from hubmem.fit.precisions import families, of_engine
from hubmem.fit.siblings import published_in
from hubmem.fit.splits import is_divided, label_of
from hubmem.fit.verdict import (
    Answer,
    Planner,
    Settle,
    as_asked,
    largest,
    largest_batch,
    longest_context,
    placed,
    room,
    smallest,
    weights_bytes,
)
from hubmem.hub.siblings import Sibling
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload
from hubmem.units import format_tokens
from hubmem.weights.precision import parse

# Contexts are advised in steps of this many tokens; one shorter than a step answers another question.
_ROUND_CONTEXT = 1024
# ZeRO over more devices than one machine has is bound by its network.
_ONE_MACHINE = (2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something to do, before it is known to help.

    Attributes:
        text: in a few words.
        workload, gpu, gpus: what is planned after it, and what that is held against.
        fields: of the workload that it sets, where it changes that alone.
        host_bytes: memory of the host that it takes instead.
        sibling: a published repo that has made the change already.
    """

    text: str
    workload: Workload
    gpu: Gpu
    gpus: int
    fields: Mapping[str, object] = field(default_factory=dict)
    host_bytes: int = 0
    sibling: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A workload that does not fit.

    Attributes:
        wanted: as it was asked, whatever the device.
        settle: what its engine makes of it on a device.
        asked: as it is divided over the devices.
        max_context: the model's limit; None for none, 0 where length costs nothing the plan could see.
        layers: of the decoder, 0 where they are not known.
        stored_dtype: what most weights are stored in.
        host: what a machine must have beside its accelerators; None where no machine is to be advised.
    """

    plan_for: Planner
    wanted: Workload
    asked: Workload
    gpu: Gpu
    gpus: int
    max_context: int | None
    layers: int = 0
    stored_dtype: str = ""
    host: Host | None = None
    siblings: tuple[Sibling, ...] = ()
    settle: Settle = as_asked

    def on(self, gpu: Gpu) -> Workload:
        """What was asked, on another accelerator."""
        return self.settle(self.wanted, gpu)

    @property
    def undivided(self) -> Workload:
        """What was asked, on this one."""
        return self.on(self.gpu)

    def changed(
        self, text: str, *, sibling: str | None = None, host_bytes: int = 0, **fields: object
    ) -> Change:
        """A change of the workload alone, on the same devices."""
        return Change(
            text=text,
            workload=replace(self.asked, **fields),  # type: ignore[arg-type]  # names of Workload's fields
            gpu=self.gpu,
            gpus=self.gpus,
            fields=fields,
            host_bytes=host_bytes,
            sibling=sibling,
        )


def is_yes(plan_for: Planner, change: Change) -> bool:
    """Whether the workload fits after it; no if the model or its training cannot have it."""
    try:
        return room(plan_for(change.workload), change.gpu) >= 0
    except UsageError:
        return False


def _fused_attention(question: Question) -> Iterator[Change]:
    """The same result without a matrix of scores."""
    if question.asked.attention == "eager":
        yield question.changed("SDPA attention", attention="sdpa")


def _recomputed_activations(question: Question) -> Iterator[Change]:
    """A third more compute for activations of one layer at a time."""
    if question.asked.train and question.asked.checkpointing == "none":
        yield question.changed("activation checkpointing", checkpointing="full")


def _accumulated_batches(question: Question) -> Iterator[Change]:
    """The same gradient in more passes."""
    asked = question.asked
    if asked.train and asked.batch > 1:
        accumulation = asked.accumulation * asked.batch
        yield question.changed(
            f"batches of 1, {accumulation} accumulated", batch=1, accumulation=accumulation
        )


def _narrower_states(question: Question) -> Iterator[Change]:
    if question.asked.train == "full" and question.asked.optimizer in ("adamw", "adamw-foreach"):
        yield question.changed("8-bit AdamW", optimizer="adamw-8bit")


def _narrower_cache(question: Question) -> Iterator[Change]:
    """Where the engine has one, and the GPU the units that read it."""
    cache = of_engine(question.asked.engine).cache
    if cache is None or question.asked.kv_dtype is not None or question.asked.train:
        return
    if not cache.unit or has_format(question.gpu, cache.unit) is not False:
        yield question.changed(cache.label, kv_dtype=cache.dtype)


def _narrower_weights(question: Question) -> Iterator[Change]:
    """From wide to narrow; of precisions alike one that somebody has published, else the engine's usual one."""
    if question.asked.weight_dtype is not None or question.asked.train:
        return
    no_fp8 = has_format(question.gpu, "fp8") is False
    for family in families(question.asked.engine, question.stored_dtype):
        names = sorted(family, key=lambda name: no_fp8 and name == "fp8")
        published = [(name, repo) for name in names if (repo := published_in(name, question.siblings))]
        name, sibling = published[0] if published else (names[0], None)
        change = question.changed(f"{parse(name).label} weights", weight_dtype=name, sibling=sibling)
        if weights_bytes(question.plan_for, change.workload) < weights_bytes(
            question.plan_for, question.asked
        ):
            yield change


def _adapters_instead(question: Question) -> Iterator[Change]:
    if question.asked.train == "full":
        yield question.changed("LoRA instead of full fine-tuning", train="lora")
    if question.asked.train in ("full", "lora"):
        yield question.changed("QLoRA", train="qlora")


def _fewer_sequences(question: Question) -> Iterator[Change]:
    """As many as fit at once, at least one."""
    asked = question.asked
    if not asked.train and asked.batch > 1 and question.max_context != 0:
        batch = largest_batch(question.plan_for, asked, question.gpu) or 1
        yield question.changed(f"a batch of {batch:,}", batch=batch)


def _shorter_context(question: Question) -> Iterator[Change]:
    if question.max_context == 0:
        return
    longest = longest_context(question.plan_for, question.asked, question.gpu, question.max_context)
    if longest and longest >= _ROUND_CONTEXT:
        context = longest - longest % _ROUND_CONTEXT
        yield question.changed(f"a context of {format_tokens(context)}", context=context)


def _layers_on_the_host(question: Question) -> Iterator[Change]:
    """As many layers on the GPU as it holds, the rest in the host's memory: slow, but it runs."""
    asked, plan_for = question.asked, question.plan_for
    if asked.train or asked.gpu_layers is not None or not question.layers or asked.devices > 1:
        return

    def room_with(layers: int) -> int:
        return room(plan_for(replace(asked, gpu_layers=layers)), question.gpu)

    try:
        kept = largest(room_with, question.layers, least=0)
    except UsageError:
        # The engine has no such thing, or not for this model.
        return
    if kept is not None:
        option = f"-ngl {kept}" if asked.engine == "llama.cpp" else "device_map"
        host = plan_for(replace(asked, gpu_layers=kept)).host
        yield question.changed(
            f"{kept} of {question.layers} layers on the GPU ({option})",
            gpu_layers=kept,
            host_bytes=sum(term.nbytes for term in host),
        )


def _states_on_the_host(question: Question) -> Iterator[Change]:
    """ZeRO-Offload: optimizer states in the host's memory, then the weights too."""
    asked, plan_for = question.asked, question.plan_for
    if asked.train is None or asked.offload != "none":
        return
    for stage, offload, what in (
        (1, "optimizer", "optimizer states"),
        (3, "parameters", "weights and states"),
    ):
        zero = max(asked.zero, stage)
        text = f"{what} on the host (ZeRO-{zero})"
        change = question.changed(text, zero=zero, offload=offload)
        try:
            before, after = plan_for(replace(asked, zero=zero)), plan_for(change.workload)
        except UsageError:
            continue
        yield replace(change, host_bytes=question.gpus * _left(before, after))


def _left(before: Plan, after: Plan) -> int:
    """Bytes of the terms that a device no longer holds: what it holds all the time, by its largest moment."""
    still_there = _largest_terms(after)
    return sum(max(0, size - still_there.get(name, 0)) for name, size in _largest_terms(before).items())


def _largest_terms(plan: Plan) -> dict[str, int]:
    terms: dict[str, int] = {}
    for moment in plan.moments:
        for term in moment.terms:
            terms[term.name] = max(terms.get(term.name, 0), term.nbytes)
    return {name: nbytes for name, nbytes in terms.items() if not name.startswith("activations")}


def _more_devices(question: Question) -> Iterator[Change]:
    """The fewest devices of the same kind that do, and how they share the work."""
    if is_divided(question.wanted):
        return
    shared = next(_shared_states(question), None)
    if shared:
        yield shared
        return
    cell = smallest(question.plan_for, question.undivided, Target(gpu=question.gpu, count=None))
    if cell.gpus and cell.gpus > question.gpus:
        text = f"{cell.gpus}× {question.gpu.name} ({label_of(cell.workload)})"
        yield Change(text=text, workload=cell.workload, gpu=question.gpu, gpus=cell.gpus)


def _shared_states(question: Question) -> Iterator[Change]:
    """Training with its states shared: the fewest devices and then the lowest ZeRO stage, a batch on each."""
    if question.asked.train is None:
        return
    for count in (count for count in _ONE_MACHINE if count > question.gpus):
        for stage in (1, 2, 3):
            workload = replace(question.undivided, dp=count, zero=stage)
            text = f"{count}× {question.gpu.name} ({label_of(workload)})"
            change = Change(text=text, workload=workload, gpu=question.gpu, gpus=count)
            if is_yes(question.plan_for, change):
                yield change


def _bigger_device(question: Question) -> Iterator[Change]:
    """The accelerator of the same maker and kind, no poorer in formats, with the least memory that is enough."""
    gpu = question.gpu
    alike = (
        other
        for other in catalogue()
        if (other.vendor, other.kind) == (gpu.vendor, gpu.kind) and set(gpu.dtypes) <= set(other.dtypes)
    )
    runs = (other for other in alike if not cannot_run(question.asked, other))
    for other in sorted(runs, key=lambda other: other.memory_bytes):
        cell = placed(question.plan_for, question.on(other), Target(gpu=other, count=question.gpus))
        if cell and cell.fit.answer is Answer.FITS:
            text = f"{question.gpus}× {other.name}"
            yield Change(text=text, workload=cell.workload, gpu=other, gpus=question.gpus)
            return


def _rented_machine(question: Question) -> Iterator[Change]:
    """The smallest machine that clouds rent, whatever GPUs it has; one with a compiler of its own as it was asked of."""
    if question.host is None or is_divided(question.wanted):
        return
    try:
        found = offers(question.plan_for, question.on, question.host)
    except UsageError:
        return
    same = (offer for offer in found if compiles(find(offer.machine.gpu)) is compiles(question.gpu))
    for offer in islice(same, 1):
        gpu, cell = find(offer.machine.gpu), offer.cell
        share = f" {label_of(cell.workload)}".rstrip()
        text = f"{offer.machine.name} ({cell.gpus}× {gpu.name}{share})"
        yield Change(text=text, workload=cell.workload, gpu=gpu, gpus=cell.gpus or 1)


Kind = Callable[[Question], Iterator[Change]]

OF_THE_WORKLOAD: tuple[Kind, ...] = (
    _fused_attention,
    _recomputed_activations,
    _accumulated_batches,
    _narrower_states,
    _narrower_cache,
    _narrower_weights,
    _adapters_instead,
    _fewer_sequences,
    _shorter_context,
)
"""Changes that leave the machine as it is."""

OF_THE_MACHINE: tuple[Kind, ...] = (
    _layers_on_the_host,
    _states_on_the_host,
    _more_devices,
    _bigger_device,
    _rented_machine,
)
"""Changes that take more of it, or another one."""
