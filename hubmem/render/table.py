"""The report on one screen."""

from collections.abc import Iterator

from hubmem.fit.matrix import Verdict
from hubmem.fit.verdict import Answer
from hubmem.memory.plan import Term
from hubmem.render import plan as plans
from hubmem.render.bar import bar
from hubmem.render.identity import architecture_parts, cost_line, files_label
from hubmem.render.matrix import legend, matrix, stored_label
from hubmem.render.text import Page, plain, shorten
from hubmem.render.verdicts import advice_heading, host_line, machines_table, sentences
from hubmem.report import Report
from hubmem.units import format_binary, format_gib

_WIDEST_NAME = 25
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
    lines = [page.paint(first, "bold"), *rest]
    lines += page.wrap([stored_label(report), files_label(census), format_binary(census.stored_bytes)])
    if report.architecture:
        lines += page.wrap(list(architecture_parts(report.architecture)))
    return lines


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
    _, plan = plans.shown(report)
    width = min(max(len(term.name) for term in plan.terms), _WIDEST_NAME)
    total = _columns_of(f"  {plans.total_label(report)}", format_gib(plan.per_gpu_bytes), "", page)
    return [
        page.paint(_columns_of(plans.title(report), "GiB", "", page), "bold"),
        *(_term_line(term, width, page) for term in plan.terms),
        page.paint(total, "bold"),
        *bar(plan.terms, page),
        *page.paragraph(plans.fullest(plan), first="  ", rest="    "),
    ]


def _term_line(term: Term, width: int, page: Page) -> str:
    name = shorten(term.name, width).ljust(width)
    return _columns_of(
        f"  {name}  {term.summary or term.formula}",
        format_gib(term.nbytes),
        page.paint(term.basis.value, "dim"),
        page,
    )


def _columns_of(text: str, gib: str, basis: str, page: Page) -> str:
    """A line of the plan: what, how much, how it is known."""
    room = page.width - _GIB_WIDTH - _BASIS_WIDTH
    return f"{shorten(text, room).ljust(room)}{gib.rjust(_GIB_WIDTH)}  {basis}".rstrip()


def _matrix(report: Report, page: Page) -> list[str]:
    said = [line for sentence in legend(report) for line in page.paragraph(sentence, rest="  ")]
    return [*matrix(report, page).splitlines(), *(page.paint(line, "dim") for line in said)]


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
    return page.paragraph(host_line(report.host), rest="  ")


def _notes(report: Report, page: Page) -> list[str]:
    return [
        line for note in report.notes for line in page.paragraph(plain(note), first="note: ", rest="      ")
    ]
