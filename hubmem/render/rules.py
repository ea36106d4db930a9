"""Rules of thumb beside the exact answers: `--rules`."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from hubmem.memory.rule import Example, Rule
from hubmem.memory.rules import Comparison
from hubmem.render.text import Page, plain, shorten
from hubmem.report import Report
from hubmem.units import GIB, format_gib

_GIB_WIDTH, _RATIO_WIDTH = 22, 15
_SYMBOLS = (
    "P: parameters, b: bytes of one, Q: bits of one, B: sequences, s: tokens of each, L: layers, h: hidden size, a:"
    " heads, α and β: coefficients of Korthikanti et al."
)
_UNITS = {10**6: "MB", 10**9: "GB", GIB: "GiB"}


def render(report: Report, page: Page) -> str:
    """Each question with its exact answer, and under it what the rules say and leave out."""
    workload = report.workload
    title = (
        f"Rules of thumb for {plain(report.snapshot.listing.repo)}, one device, batch {workload.batch:,},"
        f" {workload.context:,} tokens"
    )
    lines = [*page.paragraph(title), *page.paragraph(_SYMBOLS), _columns("", "GiB", "÷ exact", page)]
    comparisons = report.rules()
    for _, group in groupby(comparisons, key=lambda comparison: comparison.rule.question):
        lines += [*_question(list(group), page), ""]
    wrong = [line for comparison in comparisons for line in _wrong_examples(comparison.rule, page)]
    if wrong:
        lines += [page.paint("Where these documents' own examples err", "bold"), *wrong, ""]
    lines += [page.paint("Documents", "bold"), *_documents([each.rule for each in comparisons], page), ""]
    return "\n".join(lines)


def _question(comparisons: list[Comparison], page: Page) -> Iterator[str]:
    first = comparisons[0]
    exact = "–" if first.exact is None else format_gib(first.exact)
    yield page.paint(_columns(first.rule.question.label, exact, "exact", page), "bold")
    if first.unanswered:
        yield from page.paragraph(first.unanswered, first="  ", rest="  ")
    for each in comparisons:
        gib = " … ".join(map(format_gib, each.nbytes))
        ratios = " … ".join(f"{ratio:.2f}" for ratio in each.ratios) or "–"
        yield _columns(f"  {each.rule.formula}", gib, ratios, page)
        text = f"{each.rule.name}: leaves out {each.rule.leaves_out}"
        yield from page.paragraph(text, first="      ", rest="      ")


def _columns(text: str, gib: str, ratio: str, page: Page) -> str:
    room = page.width - _GIB_WIDTH - _RATIO_WIDTH
    return f"{shorten(text, room).ljust(room)}{gib.rjust(_GIB_WIDTH)}{ratio.rjust(_RATIO_WIDTH)}"


def _wrong_examples(rule: Rule, page: Page) -> Iterator[str]:
    for example in rule.examples:
        right = rule.right(example)
        if right == example.printed and not example.remark:
            continue
        figures = " to ".join(example.printed)
        by_rule = "" if right == example.printed else f", which is {' to '.join(right)}"
        remark = f"; {example.remark}" if example.remark else ""
        text = f"{rule.name}: {example.case}, says {figures} {_UNITS[example.unit]}{by_rule}{remark}."
        yield from page.paragraph(text, first="  ", rest="    ")


def _documents(rules: list[Rule], page: Page) -> Iterator[str]:
    """Each document with the rules it gives."""
    names: dict[str, list[str]] = defaultdict(list)
    for rule in rules:
        for source in rule.sources:
            names[source].append(rule.name)
    for source, given in names.items():
        yield from page.paragraph(source, first="  ", rest="    ")
        yield from page.wrap(given, indent="      ", between=", ")


def rules_list(report: Report) -> list[dict[str, Any]]:
    """The same as JSON values, one object a rule."""
    return [_rule(comparison) for comparison in report.rules()]


def _rule(comparison: Comparison) -> dict[str, Any]:
    rule = comparison.rule
    return {
        "name": rule.name,
        "formula": rule.formula,
        "question": rule.question.label,
        "bytes": list(comparison.nbytes),
        "exact_bytes": comparison.exact,
        "unanswered": comparison.unanswered or None,
        "ratios": [round(ratio, 4) for ratio in comparison.ratios],
        "leaves_out": rule.leaves_out,
        "sources": list(rule.sources),
        "examples": [_example(rule, example) for example in rule.examples],
    }


def _example(rule: Rule, example: Example) -> dict[str, Any]:
    return {
        "case": example.case,
        "printed": list(example.printed),
        "right": list(rule.right(example)),
        "unit": _UNITS[example.unit],
        "remark": example.remark or None,
    }
