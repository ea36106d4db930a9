"""One report in Markdown, for issues, pull requests and model cards."""

from collections.abc import Iterator

from tabulate import tabulate

from hubmem.fit.matrix import columns
from hubmem.fit.verdict import Answer
from hubmem.render.table import architecture_parts, cell_text, cost_line, precision_label
from hubmem.render.text import Page, plain
from hubmem.render.verdicts import advice_heading, band_line, host_line, machines_table, sentences
from hubmem.report import Report
from hubmem.units import format_gib, format_tokens

_PAGE = Page()


def render(report: Report) -> str:
    """Headed sections: the model, its plan, its fit matrix, notes."""
    sections = [
        _model(report),
        _plan(report),
        _matrix(report),
        *_named(report),
        host_line(report.host),
        band_line(report),
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
            f"**{census.parameters:,} parameters** · {census.main_dtype} · {census.files} {census.format} files"
            f" · {format_gib(census.stored_bytes)} GiB"
        ),
    ]
    if report.architecture:
        lines += ["", escape(" · ".join(architecture_parts(report.architecture)))]
    return "\n".join([*lines, "", f"<sub>{cost_line(report)}</sub>"])


def _plan(report: Report) -> str:
    workload = report.workload
    rows = [
        [escape(term.name), escape(term.formula), format_gib(term.nbytes), term.basis.value]
        for term in report.plan.terms
    ]
    rows.append(["**total**", "", f"**{format_gib(report.plan.per_gpu_bytes)}**", ""])
    table = tabulate(
        rows,
        headers=["", "", "GiB", ""],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left", "left", "right", "left"),
    )
    return f"### {workload.mode.capitalize()}: batch {workload.batch}, {workload.context:,} tokens\n\n{table}"


def _matrix(report: Report) -> str:
    headers = [
        "GPU",
        "usable GiB",
        *(precision_label(name, report) for name in columns(report.workload)),
        "longest context",
    ]
    rows = [
        [
            verdict.gpu.name,
            format_gib(verdict.fit.usable),
            *(cell_text(cell, _PAGE) for cell in verdict.cells),
            format_tokens(verdict.context_at_smallest) if verdict.context_at_smallest else "–",
        ]
        for verdict in report.verdicts
    ]
    return "### Fits?\n\n" + tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)


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


def escape(text: str) -> str:
    """Text from a repo, unable to be markup: a note must not become a link or a tag."""
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return plain(text)
