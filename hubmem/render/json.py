"""Reports as JSON: one object for one report, a list for several."""

import json
from collections.abc import Sequence

from hubmem.report import Report


def render(reports: Sequence[Report]) -> str:
    """Indented JSON, non-ASCII as it is."""
    values = [report.to_dict() for report in reports]
    return json.dumps(values[0] if len(values) == 1 else values, indent=2, ensure_ascii=False) + "\n"
