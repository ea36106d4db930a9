"""The report on one screen."""

from collections.abc import Iterator

from tabulate import tabulate

from hubmem.fit.matrix import Verdict, columns
from hubmem.fit.verdict import Answer, Cell
from hubmem.memory.engines import engine_of
from hubmem.memory.plan import Basis, Plan, Term
from hubmem.models.architecture import Architecture, Dense, Experts
from hubmem.models.mixers import Attention, LatentAttention
from hubmem.render.bar import bar
from hubmem.render.text import Page, plain, shorten
from hubmem.render.verdicts import (
    advice_heading,
    band_line,
    division,
    host_line,
    machines_table,
    sentences,
)
from hubmem.report import Report
from hubmem.units import format_decimal, format_gib, format_tokens
from hubmem.weights import precision

_COLOUR_OF = {Answer.FITS: "green", Answer.TIGHT: "yellow", Answer.NO: "red"}
_NAME_WIDTH = 16
_GIB_WIDTH = 10
_BASIS_WIDTH = 10
# Roles below this share are added up: a screen has few columns, the JSON has them all.
_SMALLEST_SHARE = 0.0005


def render(report: Report, page: Page) -> str:
    """The whole report."""
    blocks = [
        _identity(report, page),
        _parameters(report, page),
        _parts(report, page),
        _plan(report, page),
        _matrix(report, page),
        *_named(report, page),
        _host(report, page),
        _alternatives(report, page),
        machines_table(report).splitlines(),
        _notes(report, page),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _parts(report: Report, page: Page) -> list[str]:
    if not report.snapshot.parts and not report.snapshot.adapter:
        return []
    from hubmem.render import parts

    return parts.lines(report, page)


def _alternatives(report: Report, page: Page) -> list[str]:
    if not report.snapshot.alternatives:
        return []
    from hubmem.render import alternatives

    return alternatives.table(report, page)


def _identity(report: Report, page: Page) -> list[str]:
    listing, census = report.snapshot.listing, report.census
    commit = listing.commit[:7] if listing.commit else None
    left = " · ".join(filter(None, [plain(listing.repo), commit, "gated" if listing.gated else None]))
    first, *rest = page.spread(left, cost_line(report))
    files = f"{census.files} {census.format} file{'s' if census.files != 1 else ''}"
    lines = [page.paint(first, "bold"), *rest]
    lines += page.wrap([census.main_dtype, files, f"{format_gib(census.stored_bytes)} GiB"])
    if report.architecture:
        lines += page.wrap(list(architecture_parts(report.architecture)))
    return lines


def cost_line(report: Report) -> str:
    """Where the answer came from and what it cost."""
    cost = report.snapshot.cost
    parts = [report.snapshot.listing.origin.value]
    if cost.requests:
        parts += [
            f"{cost.requests} request{'s' if cost.requests != 1 else ''}",
            format_decimal(cost.bytes_received),
        ]
    return " · ".join([*parts, f"{report.snapshot.seconds:.1f} s"])


def architecture_parts(architecture: Architecture) -> Iterator[str]:
    """The architecture in a few words each."""
    yield plain(architecture.model_type)
    encoder = f"{len(architecture.encoder)} encoder + " if architecture.encoder else ""
    yield f"{encoder}{len(architecture.layers)} layers"
    yield f"hidden {architecture.hidden_size:,}"
    attention = architecture.attention
    if isinstance(attention, Attention):
        yield f"{attention.heads} heads / {attention.kv_heads} KV heads × {attention.key_dim}"
    if isinstance(attention, LatentAttention):
        yield f"{attention.heads} heads, latent {attention.latent_dim} + {attention.rope_dim}"
    feed_forward = architecture.feed_forward
    if isinstance(feed_forward, Dense):
        yield f"MLP {feed_forward.width:,}"
    if isinstance(feed_forward, Experts):
        yield f"{feed_forward.count} experts × {feed_forward.width:,}, {feed_forward.active} a token"
    kinds = architecture.layer_kinds
    if len(kinds) > 1:
        yield " + ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items())
    yield f"vocabulary {architecture.vocab_size:,}"
    if architecture.max_context:
        yield f"context {architecture.max_context:,}"
    if architecture.tied_embeddings:
        yield "tied embeddings"


def _parameters(report: Report, page: Page) -> list[str]:
    census = report.census
    total = census.parameters
    active = report.active_parameters
    heading = f"{total:,} parameters" + (f", {active:,} active a token" if active != total else "")
    shares = [
        f"{role.value.replace('_', ' ')} {count / total:.1%}"
        for role, count in census.by_role().items()
        if total and count / total >= _SMALLEST_SHARE
    ]
    lines = [page.paint(heading, "bold"), *page.wrap(shares, indent="  ", between="   ")]
    dtypes = census.by_dtype()
    if len(dtypes) > 1 or census.buffers or census.stored_elements != total:
        stored = ", ".join(f"{count:,} {dtype}" for dtype, count in dtypes.items())
        buffers = f"; {census.buffers:,} of them buffers" if census.buffers else ""
        lines += page.paragraph(f"stored elements: {stored}{buffers}", first="  ", rest="    ")
    return lines


def _plan(report: Report, page: Page) -> list[str]:
    workload, plan = report.workload, report.plan
    title = " · ".join(
        [
            workload.mode.capitalize(),
            engine_of(workload.engine, workload.engine_version).label,
            precision_label(workload.weight_dtype, report),
            f"batch {workload.batch:,}",
            f"{workload.context:,} tokens",
        ]
    )
    where = f"each of {plan.devices} devices" if plan.devices > 1 else "on one device"
    return [
        page.paint(_columns_of(title, "GiB", "", page), "bold"),
        *(_term_line(term, page) for term in plan.terms),
        page.paint(_columns_of(f"  total {where}", format_gib(plan.per_gpu_bytes), "", page), "bold"),
        *bar(plan.terms, page),
        *page.paragraph(_fullest(plan), first="  ", rest="    "),
    ]


def _fullest(plan: Plan) -> str:
    """Which rank the plan is about, and why; "" where all are alike."""
    return f"the fullest: {plan.rank} ({plan.why})" if plan.why else ""


def _term_line(term: Term, page: Page) -> str:
    name = shorten(term.name, _NAME_WIDTH).ljust(_NAME_WIDTH)
    return _columns_of(
        f"  {name}  {term.formula}", format_gib(term.nbytes), page.paint(term.basis.value, "dim"), page
    )


def _columns_of(text: str, gib: str, basis: str, page: Page) -> str:
    """A line of the plan: what, how much, how it is known."""
    room = page.width - _GIB_WIDTH - _BASIS_WIDTH
    return f"{shorten(text, room).ljust(room)}{gib.rjust(_GIB_WIDTH)}  {basis}".rstrip()


def _matrix(report: Report, page: Page) -> list[str]:
    headers = ["Fits?", "usable GiB", *(precision_label(name, report) for name in columns(report.workload))]
    rows = [_matrix_row(verdict, report, page) for verdict in report.verdicts]
    if report.cache is not None:
        headers.append("longest context")
    text = tabulate(
        rows,
        headers=headers,
        tablefmt="plain",
        disable_numparse=True,
        colalign=("left", "right", *["left"] * (len(headers) - 2)),
    )
    return text.splitlines()


def _matrix_row(verdict: Verdict, report: Report, page: Page) -> list[str]:
    row = [
        verdict.gpu.name,
        format_gib(verdict.fit.usable),
        *(cell_text(cell, page) for cell in verdict.cells),
    ]
    if report.cache is not None:
        longest = verdict.context_at_smallest
        row.append(format_tokens(longest) if longest else "–")
    return row


def cell_text(cell: Cell, page: Page) -> str:
    """The smallest number that does and how well, or `no`."""
    answer = cell.fit.answer
    if cell.gpus is None:
        return page.paint("no", "red")
    text = division(cell) + ("" if answer is Answer.FITS else f" {answer.value}")
    return page.paint(text, _COLOUR_OF[answer])


def precision_label(name: str | None, report: Report) -> str:
    """What a precision is called at the head of a column."""
    return report.census.main_dtype if name is None else precision.parse(name).label


def _named(report: Report, page: Page) -> Iterator[list[str]]:
    """A block for each accelerator the user named: the verdict, and one line a way to yes."""
    for verdict in (verdict for verdict in report.verdicts if verdict.named):
        lines = [line for sentence in sentences(verdict) for line in page.paragraph(sentence, rest="  ")]
        if verdict.fit.answer is Answer.NO and not verdict.reason:
            lines += [advice_heading(verdict), *_advice(verdict, page)]
        yield lines


def _advice(verdict: Verdict, page: Page) -> Iterator[str]:
    """A line a change, what it leads to in a second column where all lines are short enough."""
    pairs = [(advice.text, advice.outcome) for advice in verdict.advice]
    width = max((len(text) for text, _ in pairs), default=0)
    in_columns = all(2 + width + 2 + len(outcome) <= page.width for _, outcome in pairs)
    for text, outcome in pairs:
        line = f"{text.ljust(width)}  {outcome}" if in_columns else f"{text}: {outcome}"
        yield from page.paragraph(line, first="  ", rest="    ") if not in_columns else [f"  {line}"]


def _host(report: Report, page: Page) -> list[str]:
    lines = page.paragraph(host_line(report.host), rest="  ")
    return [*lines, *page.paragraph(band_line(report), rest="  ")]


def _notes(report: Report, page: Page) -> list[str]:
    return [
        line for note in report.notes for line in page.paragraph(plain(note), first="note: ", rest="      ")
    ]


def explain(report: Report, page: Page) -> str:
    """Every term with its formula, its numbers and its source; their sum is the total."""
    plan = report.plan
    device = f"the fullest device ({plan.rank})" if plan.rank else "the fullest device"
    lines = page.paragraph(f"At its peak ({plan.deciding.name}), {device} holds:")
    lines = [*(page.paint(line, "bold") for line in lines), ""]
    for term in report.plan.terms:
        lines += _explain_term(term, page)
    lines += [
        "",
        page.paint(
            f"total: {report.plan.per_gpu_bytes:,} bytes ({format_gib(report.plan.per_gpu_bytes)} GiB)",
            "bold",
        ),
    ]
    if plan.why:
        lines += page.paragraph(f"It holds most: {plan.why}.")
    if report.plan.host:
        lines += ["", page.paint("In the host's memory lie:", "bold"), ""]
        lines += [line for term in report.plan.host for line in _explain_term(term, page)]
    peaks = ", ".join(f"{phase} {format_gib(nbytes)} GiB" for phase, nbytes in report.plan.peaks.items())
    low, high = report.plan.reserved_bytes
    lines += page.paragraph(
        f"peaks: {peaks}; the allocator reserves {format_gib(low)} to {format_gib(high)} GiB."
    )
    lines += [
        line for note in report.plan.notes for line in page.paragraph(note, first="note: ", rest="      ")
    ]
    return "\n".join(lines) + "\n"


def _explain_term(term: Term, page: Page) -> Iterator[str]:
    gib = format_gib(term.nbytes)
    yield page.paint(f"{term.name}: {term.nbytes:,} bytes ({gib} GiB), {term.basis.value}", "bold")
    yield from page.paragraph(term.formula, first="  = ", rest="    ")
    yield from page.paragraph(term.source, first="  source: ", rest="    ")
    if term.basis is Basis.ASSUMED:
        low, high = term.range
        yield f"  range: {format_gib(low)} to {format_gib(high)} GiB"
