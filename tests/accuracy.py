"""How near hubmem comes to everything it can be held against: `python -m tests.accuracy`.

Recomputes every truth set of `tests/truth` from files of this repository, without a network, and prints each set with
its source, its figures and every miss. `python -m tests.accuracy --write` puts the summary into the README.
"""

import argparse
import importlib
import math
import pkgutil
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import tests.truth
from tests.truth import Comparison
from tests.truth.goals import GOALS, Goal

README = Path(__file__).parents[1] / "README.md"
_MARKED = re.compile(r"(?<=<!-- accuracy -->\n).*(?=<!-- /accuracy -->)", re.DOTALL)
_HEADINGS = ("what", "rows", "median", "p95", "worst", "goal", "others say of their own")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The errors of one group of comparisons.

    Attributes:
        errors: absolute and relative, smallest first; without an answer there is none.
        unanswered: comparisons for which hubmem has no answer.
    """

    group: str
    errors: tuple[float, ...]
    unanswered: int

    @classmethod
    def of(cls, group: str, comparisons: Sequence[Comparison]) -> "Summary":
        """The summary of the comparisons of one group."""
        errors = [abs(each.error) for each in comparisons if each.error is not None]
        return cls(group=group, errors=tuple(sorted(errors)), unanswered=len(comparisons) - len(errors))

    @property
    def rows(self) -> int:
        """Comparisons, answered or not."""
        return len(self.errors) + self.unanswered

    @property
    def exact(self) -> int:
        """How many are right to the last digit of what was measured."""
        return sum(error == 0 for error in self.errors)

    @property
    def median(self) -> float:
        """Half of the errors are no larger."""
        return statistics.median(self.errors) if self.errors else math.nan

    @property
    def p95(self) -> float:
        """95 of 100 errors are no larger: the nearest rank.

        >>> Summary(group="", errors=tuple(n / 100 for n in range(1, 101)), unanswered=0).p95
        0.95
        """
        return self.errors[math.ceil(0.95 * len(self.errors)) - 1] if self.errors else math.nan

    @property
    def worst(self) -> float:
        """No error is larger."""
        return self.errors[-1] if self.errors else math.nan

    def meets(self, goal: Goal) -> bool:
        """Whether every figure that the goal names is reached."""
        limits = ((self.median, goal.median), (self.p95, goal.p95), (self.worst, goal.worst))
        return all(limit is None or figure <= limit for figure, limit in limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSet:
    """One module of `tests/truth` and what it yields.

    Attributes:
        source: the first paragraph of its docstring: where its figures come from.
        reasons: a pattern found in a comparison's `group: name` -> why it is a miss.
    """

    name: str
    source: str
    comparisons: tuple[Comparison, ...]
    reasons: dict[str, str]

    @classmethod
    def of(cls, module: ModuleType) -> "TruthSet":
        """The set of a module with `rows()`, and `REASONS` where misses are understood."""
        return cls(
            name=module.__name__.rpartition(".")[2],
            source=" ".join((module.__doc__ or "").split("\n\n")[0].split()),
            comparisons=tuple(module.rows()),
            reasons=getattr(module, "REASONS", {}),
        )

    @property
    def groups(self) -> dict[str, list[Comparison]]:
        """The comparisons by group, in order of first appearance."""
        groups: dict[str, list[Comparison]] = defaultdict(list)
        for each in self.comparisons:
            groups[each.group].append(each)
        return dict(groups)

    def reason(self, comparison: Comparison) -> str:
        """Why a comparison misses, where that is known."""
        told = f"{comparison.group}: {comparison.name}"
        return next((why for pattern, why in self.reasons.items() if re.search(pattern, told)), "not known")


def truth_sets() -> Iterator[TruthSet]:
    """Every truth set, in the order of their names."""
    for found in sorted(pkgutil.iter_modules(tests.truth.__path__), key=lambda module: module.name):
        module = importlib.import_module(f"tests.truth.{found.name}")
        if hasattr(module, "rows"):
            yield TruthSet.of(module)


def summary(sets: Sequence[TruthSet]) -> str:
    """All groups as one Markdown table, and under it every miss by its reason."""
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for each in sets:
        for group, comparisons in each.groups.items():
            groups[group] += comparisons
    order = [*GOALS, *groups].index
    rows = (_cells(Summary.of(group, groups[group]), _goal(group)) for group in sorted(groups, key=order))
    table = "".join(f"{_line(cells)}\n" for cells in (_HEADINGS, ["---"] * len(_HEADINGS), *rows))
    misses = sorted((miss for each in sets for miss in _misses(each)), key=lambda miss: order(miss[0]))
    missed = "".join(f"- {group}: {text}\n" for group, text in misses)
    return f"{table}\n<details><summary>Every miss</summary>\n\n{missed}\n</details>\n"


def report(sets: Iterable[TruthSet]) -> Iterator[str]:
    """Each set with its source, its figures and every miss, line by line."""
    for each in sets:
        yield f"## {each.name}\n\n{each.source}\n"
        for group, comparisons in each.groups.items():
            cells = _cells(Summary.of(group, comparisons), _goal(group))
            yield " · ".join(
                f"{heading} {cell}" for heading, cell in zip(_HEADINGS, cells, strict=True) if cell
            )
            for comparison in filter(_missed, comparisons):
                yield f"  miss: {_miss(comparison)}: {each.reason(comparison)}"
        yield ""


def _misses(truth: TruthSet) -> Iterator[tuple[str, str]]:
    """Each group with a reason of its misses, and all that miss for it."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in filter(_missed, truth.comparisons):
        names[each.group, truth.reason(each)].append(f"{each.name} ({_signed(each.error)})")
    for (group, reason), missed in names.items():
        yield group, f"{reason}. {' · '.join(missed)}"


def _goal(group: str) -> Goal:
    return GOALS.get(group, Goal())


def _missed(comparison: Comparison) -> bool:
    return comparison.error is None or abs(comparison.error) > _goal(comparison.group).tolerance


def _cells(found: Summary, goal: Goal) -> list[str]:
    rows = f"{found.rows:,}"
    if found.unanswered:
        rows += f", {found.unanswered} without an answer"
    if found.worst > found.median == 0:
        rows += f", {found.exact:,} exact"
    verdict = f"{goal}: {'met' if found.meets(goal) else '**missed**'}" if str(goal) else ""
    figures = [_percent(figure) for figure in (found.median, found.p95, found.worst)]
    return [found.group, rows, *figures, verdict, goal.others]


def _percent(error: float) -> str:
    """An error for a table.

    >>> _percent(0.0), _percent(0.000004), _percent(0.0123), _percent(1.5), _percent(math.inf)
    ('0', '<0.01 %', '1.23 %', '150 %', '∞')
    """
    if error == 0 or not math.isfinite(error):
        return "0" if error == 0 else "∞" if error > 0 else "–"
    if error < 0.0001:
        return "<0.01 %"
    return f"{error:.2%}".replace("%", " %") if error < 0.1 else f"{error:.0%}".replace("%", " %")


def _signed(error: float | None) -> str:
    """One error in a list.

    >>> _signed(-0.0123), _signed(0.00001), _signed(None)
    ('-1.2 %', '+<0.1 %', 'no answer')
    """
    if error is None or not math.isfinite(error):
        return "no answer" if error is None else "nothing was measured"
    if abs(error) < 0.001:
        return f"{'-' if error < 0 else '+'}<0.1 %"
    return f"{error:+.1%}".replace("%", " %")


def _miss(comparison: Comparison) -> str:
    said = "no answer" if comparison.predicted is None else f"{comparison.predicted:,.6g}"
    error = "" if comparison.error is None else f" ({comparison.error:+.2%})"
    return f"{comparison.name}: {said} for {comparison.measured:,.6g} {comparison.unit}{error}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def written(readme: str) -> str:
    """The table between the README's markers."""
    return str(_MARKED.findall(readme)[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Recompute every truth set and report every miss.")
    parser.add_argument("--write", action="store_true", help="put the summary into the README")
    arguments = parser.parse_args()
    everything = list(truth_sets())
    for line in report(everything):
        print(line)
    table = summary(everything)
    print(table)
    if arguments.write:
        text = README.read_text(encoding="utf-8")
        README.write_text(_MARKED.sub(lambda _: table, text), encoding="utf-8")
