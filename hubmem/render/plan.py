"""The memory plan in words: which one is shown, what it is called, and each of its terms explained."""

from collections.abc import Iterator

from hubmem.fit.splits import label_of
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.plan import Basis, Plan, Term
from hubmem.memory.workload import Workload
from hubmem.render.matrix import TRAINING_LABELS, precision_label
from hubmem.render.text import Page
from hubmem.report import Report
from hubmem.units import format_gib


def shown(report: Report) -> tuple[Workload, Plan]:
    """The workload as it is divided over the GPUs, where one kind of them was named; else as it was asked."""
    named = [verdict for verdict in report.verdicts if verdict.named]
    if len(named) != 1:
        return report.workload, report.plan
    return named[0].workload, named[0].plan


def title(report: Report) -> str:
    """What is planned: mode, engine, precision, sizes."""
    workload, _ = shown(report)
    engine = engine_of(workload.engine, workload.engine_version).label
    if workload.train:
        what = [f"{TRAINING_LABELS[workload.train]} training", engine, workload.precision, workload.optimizer]
    else:
        what = ["Inference", engine, precision_label(workload.weight_dtype, report)]
    return " · ".join([*what, f"batch {workload.batch:,}", f"{workload.context:,} tokens"])


def total_label(report: Report) -> str:
    """What the sum of the terms is: on how many devices, and how they share the work."""
    workload, plan = shown(report)
    if plan.devices == 1:
        return "total on one device"
    return f"total on each of {plan.devices} devices ({label_of(workload)})"


def fullest(plan: Plan) -> str:
    """Which rank the plan is about, and why; "" where all are alike."""
    return f"the fullest: {plan.rank} ({plan.why})" if plan.why else ""


def explain(report: Report, page: Page) -> str:
    """Every term with its formula, its numbers and its source; their sum is the total."""
    _, plan = shown(report)
    lines = [page.paint(line, "bold") for line in page.paragraph(title(report))]
    device = f"the fullest device ({plan.rank})" if plan.rank else "the device"
    lines += [*page.paragraph(f"At its peak ({plan.deciding.name}), {device} holds:"), ""]
    for term in plan.terms:
        lines += _term(term, page)
    total = f"total: {plan.per_gpu_bytes:,} bytes ({format_gib(plan.per_gpu_bytes)} GiB)"
    lines += ["", page.paint(total, "bold")]
    if plan.why:
        lines += page.paragraph(f"It holds most: {plan.why}.")
    if plan.host:
        lines += ["", page.paint("In the host's memory lie:", "bold"), ""]
        lines += [line for term in plan.host for line in _term(term, page)]
    peaks = ", ".join(f"{phase} {format_gib(nbytes)} GiB" for phase, nbytes in plan.peaks.items())
    low, high = plan.reserved_bytes
    lines += page.paragraph(
        f"peaks: {peaks}; the allocator reserves {format_gib(low)} to {format_gib(high)} GiB."
    )
    lines += [line for note in plan.notes for line in page.paragraph(note, first="note: ", rest="      ")]
    return "\n".join(lines) + "\n"


def _term(term: Term, page: Page) -> Iterator[str]:
    gib = format_gib(term.nbytes)
    yield page.paint(f"{term.name}: {term.nbytes:,} bytes ({gib} GiB), {term.basis.value}", "bold")
    if term.summary:
        yield from page.paragraph(term.summary, first="  ", rest="  ")
    yield from page.paragraph(term.formula, first="  = ", rest="    ")
    if term.symbols:
        yield from page.paragraph(term.symbols, first="    ", rest="    ")
    yield from page.paragraph(term.source, first="  source: ", rest="    ")
    if term.basis is Basis.ASSUMED:
        low, high = term.range
        yield f"  range: {format_gib(low)} to {format_gib(high)} GiB"
