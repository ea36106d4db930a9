"""The text of a card's memory section.

It depends on nothing but the model, the settings and hubmem itself: no times and no costs, so that it changes
only when what it says does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tabulate import tabulate

from hubmem.card.badge import badge_of
from hubmem.card.settings import Settings
from hubmem.card.subject import Subject
from hubmem.errors import UsageError
from hubmem.fit.precisions import PRECISIONS
from hubmem.fit.verdict import Planner
from hubmem.hub.source import Origin
from hubmem.memory.planning import planner
from hubmem.memory.training.plan import plan_training
from hubmem.memory.workload import DEFAULT_CONTEXT, Checkpointing, Training, Workload
from hubmem.models.architecture import Architecture
from hubmem.render.identity import files_label
from hubmem.render.matrix import TRAINING_LABELS, legend, matrix, precision_label, stored_label
from hubmem.render.text import PLAIN, escape
from hubmem.report import Report
from hubmem.units import format_binary, format_gib
from hubmem.version import __version__

TITLE = "## Memory"
# The one line that may differ between two sections that say the same.
_PROVENANCE = "<sub>Computed by hubmem "
# A chat with a document, and a long document.
_CONTEXTS = (DEFAULT_CONTEXT, 4 * DEFAULT_CONTEXT)
_TRAININGS: tuple[Training, ...] = ("lora", "qlora", "full")
# How people fine-tune on few devices: examples of a page or two, activations computed again rather than kept.
_TRAINING_CONTEXT = 2048
_CHECKPOINTING: Checkpointing = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One model of a section.

    Attributes:
        report: for the first of the contexts.
    """

    subject: Subject
    report: Report


def contexts_for(settings: Settings, architecture: Architecture | None) -> tuple[int, ...]:
    """The lengths a section shows: what was asked, or two usual ones within the model's own limit."""
    limit = architecture.max_context if architecture else None
    return settings.context or tuple(dict.fromkeys(min(each, limit or each) for each in _CONTEXTS))


def section_text(parts: Sequence[Part], settings: Settings) -> str:
    """The section, without its markers."""
    blocks = [TITLE]
    for part in parts:
        if len(parts) > 1:
            blocks.append(f"### {_name(part)}")
        blocks += _model(part, settings)
    return "\n\n".join(blocks)


def says_the_same(old: str, new: str) -> bool:
    """Whether two sections differ in nothing but the version and the commit they were computed from.

    A card that lies in the repo it is about makes a new commit each time it is written: if that alone made
    its section stale, it would never be up to date.
    """
    return _facts(old) == _facts(new)


def _facts(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(_PROVENANCE)]


def _model(part: Part, settings: Settings) -> Iterator[str]:
    report = part.report
    yield badge_of(report).to_markdown()
    yield _size(report)
    if part.subject.relation:
        yield f"Figures are of the base model {_name(part)}, {part.subject.relation}."
    yield _memory(report, settings)
    yield from _fine_tuning(report, settings)
    yield _matrix(report)
    yield f"<sub>{' '.join(legend(report))}</sub>"
    yield from _notes(report)
    yield _provenance(part)


def _name(part: Part) -> str:
    return escape(part.subject.name) or "this model"


def _size(report: Report) -> str:
    census = report.census
    active = report.active_parameters
    parts = [
        f"**{census.parameters:,} parameters**",
        f"{active:,} active a token" if active != census.parameters else "",
        f"stored as {stored_label(report)}",
        f"{format_binary(census.stored_bytes)} in {files_label(census)}",
    ]
    return " · ".join(filter(None, parts))


def _memory(report: Report, settings: Settings) -> str:
    """Rows of workloads, columns of precisions, GiB on one device."""
    plan_for = planner(report.architecture, report.census)
    rows = [
        [f"inference, {context:,} tokens", *_inference(report, plan_for, context)]
        for context in contexts_for(settings, report.architecture)
    ]
    headers = ["GiB on one device", *(precision_label(name, report) for name in PRECISIONS)]
    return _table(headers, rows, ["left", *["right"] * len(PRECISIONS)])


def _inference(report: Report, plan_for: Planner, context: int) -> list[str]:
    workloads = (replace(report.workload, context=context, weight_dtype=name) for name in PRECISIONS)
    return [format_gib(plan_for(workload).per_gpu_bytes) for workload in workloads]


def _fine_tuning(report: Report, settings: Settings) -> Iterator[str]:
    """A row of the kinds of fine-tuning; nothing for a model that has a plan for none of them."""
    if report.architecture is None:
        return
    limit = report.architecture.max_context or _TRAINING_CONTEXT
    workload = replace(report.workload, context=min(_TRAINING_CONTEXT, limit), checkpointing=_CHECKPOINTING)
    kinds = settings.train or _TRAININGS
    cells = [_trained(report, replace(workload, train=kind)) for kind in kinds]
    if any(cells):
        headers = ["GiB on one device", *(TRAINING_LABELS[kind] for kind in kinds)]
        row = [f"fine-tuning, {workload.context:,} tokens", *(cell or "–" for cell in cells)]
        yield _table(headers, [row], ["left", *["right"] * len(kinds)])
        yield (
            f"<sub>Fine-tuning in {workload.precision} with {workload.optimizer}, gradient checkpointing and "
            f"adapters of rank {workload.rank} on the {workload.lora_targets} layers.</sub>"
        )


def _trained(report: Report, workload: Workload) -> str:
    """The memory of a step of training, "" for a model that cannot be trained so, such as a quantized one."""
    try:
        plan = plan_training(report.architecture, report.census, workload)
    except UsageError:
        return ""
    return format_gib(plan.per_gpu_bytes)


def _matrix(report: Report) -> str:
    return matrix(report, PLAIN, tablefmt="pipe", corner=f"GPU, {report.workload.context:,} tokens")


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], alignment: Sequence[str]) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=alignment)


def _notes(report: Report) -> Iterator[str]:
    for note in report.notes:
        if note != report.snapshot.stands_in:
            yield f"> {escape(note)}"


def _provenance(part: Part) -> str:
    return f"{_PROVENANCE}{__version__} from {_origin(part)}.</sub>"


def _origin(part: Part) -> str:
    if part.subject.beside:
        return "the weight files beside this card"
    listing = part.report.snapshot.listing
    link = f"[{escape(listing.repo)}](https://huggingface.co/{listing.repo})"
    if listing.origin is Origin.BUNDLED or listing.commit is None:
        return f"the snapshot of {link} that ships with it"
    address = f"https://huggingface.co/{listing.repo}/tree/{listing.commit}"
    return f"the weight headers of {link} at [{listing.commit[:7]}]({address})"
