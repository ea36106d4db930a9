"""Reports as JSON: one object for one report, a list for several."""

import json
from collections.abc import Sequence
from typing import Any

from hubmem.report import Report


def render(reports: Sequence[Report], *, rules: bool = False) -> str:
    """Indented JSON, non-ASCII as it is; on demand with the rules of thumb beside the report."""
    values = [{**report.to_dict(), **(_rules(report) if rules else {})} for report in reports]
    return json.dumps(values[0] if len(values) == 1 else values, indent=2, ensure_ascii=False) + "\n"


def _rules(report: Report) -> dict[str, Any]:
    from hubmem.render.rules import rules_list

    return {"rules": rules_list(report)}
