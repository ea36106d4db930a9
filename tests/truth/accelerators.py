"""Memory that drivers report (fixtures/gpus), beside the rules fitted to it, which stand in where nobody measured."""

import json
from collections.abc import Iterator
from importlib.resources import files

from tests.truth import Comparison


def rows() -> Iterator[Comparison]:
    """Each accelerator that was measured and whose class has a rule."""
    catalogue = json.loads((files("hubmem") / "data" / "gpus.json").read_text(encoding="utf-8"))
    measured = {gpu["name"]: gpu["memory_mib"] for gpu in catalogue["gpus"]}
    for rule in catalogue["reserve_rules"]:
        for name, error in rule["error_mib"].items():
            yield Comparison(
                name=f"{name}, {rule['rule']}",
                group="memory of accelerators by the rules fitted to them",
                unit="MiB",
                measured=measured[name],
                predicted=measured[name] + error,
            )
