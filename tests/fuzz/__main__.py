"""`python -m tests.fuzz [PARSER …] [--minutes N] [--seed N] [--keep FOLDER]`; exits 1 where something was found."""

import argparse
import resource
import sys
import time
from pathlib import Path

from tests.fuzz.campaign import Outcome, run
from tests.fuzz.targets import TARGETS

# A parser that wants more than this ends in MemoryError, which is a finding, and not in a full machine.
_MOST_ADDRESS_SPACE = 4 * 2**30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help="all by default")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each parser")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--keep", type=Path, help="a folder for the inputs that should not have done what they did"
    )
    asked = parser.parse_args()
    if unknown := set(asked.parsers) - set(TARGETS):
        parser.error(f"no parser {', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}")
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESS_SPACE, _MOST_ADDRESS_SPACE))
    outcomes = []
    for name in asked.parsers or TARGETS:
        outcome = run(TARGETS[name], seconds=60 * asked.minutes, seed=asked.seed)
        print(told(outcome, asked.seed), flush=True)
        if asked.keep:
            _keep(outcome, asked.keep)
        outcomes.append(outcome)
    return int(any(outcome.findings for outcome in outcomes))


def told(outcome: Outcome, seed: int) -> str:
    refused = ", ".join(f"{count:,} {kind}" for kind, count in outcome.refused.most_common())
    counts = f"{outcome.tried:,} inputs, {outcome.answered:,} answered; {refused or '0 refused'}"
    costs = f"slowest {outcome.slowest:.2f} s; {outcome.growth / 2**20:.0f} MiB of growth"
    found = f"{len(outcome.findings)} findings"
    lines = [f"{outcome.target} (seed {seed}): {counts}; {outcome.pool:,} parents; {costs}; {found}"]
    lines += [f"  {each.where}: {each.what} ({len(each.data):,} bytes)" for each in outcome.findings.values()]
    return "\n".join(lines)


def _keep(outcome: Outcome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, found in enumerate(outcome.findings.values()):
        (folder / f"{outcome.target}-{number}").write_bytes(found.data)


if __name__ == "__main__":
    sys.exit(main())
