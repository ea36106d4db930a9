"""One report in Markdown, for issues, pull requests and model cards."""

from collections.abc import Iterator

from tabulate import tabulate

from hubmem.fit.verdict import Answer
from hubmem.render import plan as plans
from hubmem.render.identity import architecture_parts, cost_line, files_label
from hubmem.render.matrix import legend, matrix, stored_label
from hubmem.render.text import PLAIN, escape
from hubmem.render.verdicts import advice_heading, host_line, machines_table, sentences
from hubmem.report import Report
from hubmem.units import format_binary, format_gib


def render(report: Report) -> str:
    """Headed sections: the model, its plan, its fit matrix, notes."""
    sections = [
        _model(report),
        _plan(report),
        _matrix(report),
        *_named(report),
        host_line(report.host),
        machines_table(report, "pipe"),
        _notes(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _model(report: Report) -> str:
    census, listing = report.census, report.snapshot.listing
    commit = f" @ `{listing.commit[:7]}`" if listing.commit else ""
    lines = [
        f"## {escape(listing.repo)}{commit}",
        "",
        (
            f"**{census.parameters:,} parameters** · {stored_label(report)} · {files_label(census)}"
            f" · {format_binary(census.stored_bytes)}"
        ),
    ]
    if report.architecture:
        lines += ["", escape(" · ".join(architecture_parts(report.architecture)))]
    return "\n".join([*lines, "", f"<sub>{cost_line(report)}</sub>"])


def _plan(report: Report) -> str:
    _, plan = plans.shown(report)
    rows = [
        [escape(term.name), escape(term.summary or term.formula), format_gib(term.nbytes), term.basis.value]
        for term in plan.terms
    ]
    rows.append([f"**{plans.total_label(report)}**", "", f"**{format_gib(plan.per_gpu_bytes)}**", ""])
    table = tabulate(
        rows,
        headers=["", "", "GiB", ""],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left", "left", "right", "left"),
    )
    return f"### {plans.title(report)}\n\n{table}"


def _matrix(report: Report) -> str:
    table = matrix(report, PLAIN, tablefmt="pipe", corner="GPU")
    return "\n\n".join(["### Fits?", table, *map(escape, legend(report))])


def _named(report: Report) -> Iterator[str]:
    """The verdict on each accelerator the user named, and a list of ways to yes."""
    for verdict in (verdict for verdict in report.verdicts if verdict.named):
        lines = [escape(sentence) for sentence in sentences(verdict)]
        if verdict.fit.answer is Answer.NO and not verdict.reason:
            ways = [f"- {escape(str(advice))}" for advice in verdict.advice]
            lines += ["", advice_heading(verdict), "", *ways]
        yield "\n".join(lines)


def _notes(report: Report) -> str:
    return "\n".join(f"> {escape(note)}" for note in report.notes)
