"""Reports as text: every format is a view of the same record."""

from collections.abc import Sequence

from hubmem.errors import UsageError
from hubmem.render import compare, json, markdown, plan, table
from hubmem.render.text import Page
from hubmem.report import Report


def render(
    reports: Sequence[Report], output_format: str, page: Page, *, explain: bool = False, rules: bool = False
) -> str:
    """One report or several in one of the formats `table`, `json`, `markdown`, `csv`.

    Raises:
        UsageError: rules of thumb in a format that has no place for them.
    """
    if output_format == "json":
        return json.render(reports, rules=rules)
    if rules and output_format != "table":
        raise UsageError(f"--rules has no {output_format} format.", hint="Ask for --format table or json.")
    if rules:
        from hubmem.render import rules as rules_of_thumb

        return "\n".join(rules_of_thumb.render(report, page) for report in reports)
    if output_format == "csv":
        return compare.render_csv(reports)
    if output_format == "markdown":
        return markdown.render(reports[0]) if len(reports) == 1 else compare.render_markdown(reports)
    if explain:
        return "\n".join(plan.explain(report, page) for report in reports)
    return table.render(reports[0], page) if len(reports) == 1 else compare.render(reports, page)
