"""What is said of each accelerator the user named, of the machine beside it, and of machines to rent."""

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from hubmem.fit.hosting import Host, Offer
from hubmem.fit.matrix import Verdict
from hubmem.fit.splits import label_of
from hubmem.fit.verdict import Answer
from hubmem.render.matrix import division
from hubmem.report import Report
from hubmem.units import format_binary, format_gib, format_tokens

_WORDS = {Answer.FITS: "it fits", Answer.TIGHT: "it is tight", Answer.NO: "it does not fit"}
_MOST_OFFERS = 12


def sentences(verdict: Verdict) -> Iterator[str]:
    """The verdict on an accelerator, and what more of the workload it would hold."""
    split = label_of(verdict.workload)
    where = f"{verdict.gpus}× {verdict.gpu.name}{f' ({split})' if split else ''}"
    if verdict.reason:
        yield f"On {where} it does not run: {verdict.reason}"
        return
    fit = verdict.fit
    needs = f"{format_gib(fit.required)} of {format_gib(fit.usable)} GiB"
    if fit.answer is Answer.NO:
        yield f"On {where} it does not fit: {needs}, {format_binary(fit.short)} short."
    else:
        yield f"On {where} {_WORDS[fit.answer]}: {needs}, {format_gib(fit.at_most)} in the worst case."
        if limits := " · ".join(_limits(verdict)):
            yield f"Its limits: {limits}."
        yield from _pool(verdict)
    yield from verdict.cautions


def _pool(verdict: Verdict) -> Iterator[str]:
    """The blocks an engine fills the rest of its share with."""
    plan, context = verdict.plan, verdict.workload.context
    if plan.pool is None:
        return
    nbytes, each = plan.pool_bytes(verdict.gpu.memory_bytes), plan.pool.request_bytes(context)
    length = format_tokens(context)
    yield (
        f"Its pool of {format_gib(nbytes)} GiB holds {plan.pool.tokens_in(nbytes):,} tokens, or"
        f" {plan.pool.concurrency(nbytes, context):.2f} sequences of {length} with {format_gib(each)} GiB each."
    )


def _limits(verdict: Verdict) -> Iterator[str]:
    workload = verdict.workload
    if verdict.max_context:
        own = ", the model's own limit," if verdict.max_context == verdict.solver.max_context else ""
        yield f"{format_tokens(verdict.max_context)} tokens{own} at batch {workload.batch}"
    if verdict.users:
        yield f"{verdict.users:,} users at {format_tokens(workload.context)} tokens"
    elif verdict.max_batch:
        yield f"batch {verdict.max_batch:,} at {format_tokens(workload.context)} tokens"
    if speed := verdict.tokens_per_second_at_most:
        yield f"{_rounded(speed)} tokens/s, by memory bandwidth"


def _rounded(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"


def advice_heading(verdict: Verdict) -> str:
    """What stands above the lines of advice."""
    return "To make it fit, the cheapest first:" if verdict.advice else "No change makes it fit."


def host_line(host: Host) -> str:
    """Disk, download and RAM."""
    stays = f" and {format_binary(host.resident_bytes)} to run" if host.resident_bytes else ""
    return (
        f"Host: {format_binary(host.disk_bytes)} of disk, at least {_duration(host.download_seconds)} to download"
        f" at {host.bits_per_second / 1e9:g} Gbit/s; {format_binary(host.load_bytes)} of RAM to load{stays}."
    )


def _duration(seconds: float) -> str:
    """A time as people say it.

    >>> _duration(0.2), _duration(70), _duration(5400), _duration(200_000)
    ('1 s', '70 s', '1.5 h', '2.3 d')
    """
    for unit, name in ((86_400, "d"), (3_600, "h")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(1, round(seconds))} s"


OFFER_HEADINGS = ("Machines it fits", "GPUs", "of them", "GiB each", "host RAM", "verdict")


def offer_rows(offers: Sequence[Offer]) -> list[list[str]]:
    """Machine, its accelerators, how many are enough, the memory needed on each, its RAM, the verdict."""
    return [
        [
            offer.machine.name,
            f"{offer.machine.gpus}× {offer.machine.gpu}",
            division(offer.cell),
            format_gib(offer.cell.fit.required),
            f"{offer.machine.host_ram_gib:g} GiB" if offer.machine.host_ram_gib else "–",
            offer.cell.fit.answer.value,
        ]
        for offer in offers
    ]


def machines_table(report: Report, tablefmt: str = "plain") -> str:
    """The smallest machines that it fits, "" where nobody asked for them."""
    if report.offers is None:
        return ""
    if not report.offers:
        return "No known machine is enough."
    rows = offer_rows(report.offers[:_MOST_OFFERS])
    table = tabulate(rows, headers=list(OFFER_HEADINGS), tablefmt=tablefmt, disable_numparse=True)
    rest = len(report.offers) - len(rows)
    return f"{table}\n\nand {rest} larger ones" if rest else table
