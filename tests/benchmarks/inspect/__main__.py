"""`python -m tests.benchmarks.inspect`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.inspect import __doc__ as about
from tests.benchmarks.inspect.cases import cases
from tests.benchmarks.inspect.hub import serving
from tests.benchmarks.inspect.measuring import Case, measure
from tests.benchmarks.inspect.programs import has_hf_mem
from tests.benchmarks.inspect.table import as_json, as_markdown


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a Markdown table."""
    asked = _parser().parse_args(arguments)
    peers = asked.peers if has_hf_mem(asked.peers) else None
    if peers is None:
        print(f"{asked.peers} has no hf-mem: nothing is compared with it.", file=sys.stderr)
    chosen = [case for case in cases(peers) if _is_chosen(case, asked.case)]
    results = []
    with serving(sorted({case.repo for case in chosen})) as hub:
        for case in chosen:
            print(f"{case.name} …", file=sys.stderr)
            results.append((case, measure(case, hub, asked.rounds)))
    print(as_markdown(results, asked.rounds))
    if asked.json:
        asked.json.write_text(json.dumps(as_json(results, asked.rounds), indent=1) + "\n", encoding="utf-8")
    return 0


def _is_chosen(case: Case, wanted: Sequence[str] | None) -> bool:
    return not wanted or any(text.lower() in case.name.lower() for text in wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.inspect",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7, help="measured runs of each program")
    parser.add_argument("--case", action="append", metavar="TEXT", help="only cases with this in their name")
    parser.add_argument(
        "--peers", default=sys.executable, metavar="PYTHON", help="an interpreter that has hf-mem"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
