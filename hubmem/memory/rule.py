"""What a rule of thumb is: a formula of a document, the question it answers, and its worked examples.

Symbols: P parameters, b bytes of one, Q bits of one, B sequences, s tokens of each, L layers, h hidden size, a heads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload

# A rule speaks of one process on one device, whatever the workload is divided over.
_ALONE: Mapping[str, Any] = {
    "engine": "transformers",
    "tp": 1,
    "pp": 1,
    "ep": 1,
    "dp": 1,
    "cp": 1,
    "sequence_parallel": False,
    "zero": 0,
    "offload": "none",
    "gpu_layers": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """What a rule is given.

    Attributes:
        one_sample: bytes that one sequence's activations take.
    """

    P: float = 0
    b: float = 0
    B: int = 1
    s: int = 0
    L: int = 0
    h: int = 0
    a: int = 0
    one_sample: float = 0

    @property
    def Q(self) -> float:  # noqa: N802 - the documents' own symbol
        """Bits of a parameter."""
        return 8 * self.b


Formula = Callable[[Symbols], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a rule answers, and where a plan has the exact answer.

    Attributes:
        label: in a few words.
        changes: fields of the workload that the question settles.
        itemsize: bytes of a parameter; None for as the workload holds the weights.
        terms: the plan's terms it asks for, added up at the moment that holds most of them; none for all.
    """

    label: str
    changes: Mapping[str, Any]
    itemsize: int | None = None
    terms: tuple[str, ...] = ()

    def ask(self, workload: Workload) -> Workload:
        """The workload of the question."""
        return replace(workload, **{**_ALONE, **self.changes})

    def answer(self, plan: Plan) -> int:
        """The exact answer, in bytes."""
        if not self.terms:
            return plan.per_gpu_bytes
        return max(
            sum(term.nbytes for term in moment.terms if term.name in self.terms) for moment in plan.moments
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A worked example of a document.

    Attributes:
        printed: its figures as the document prints them: one, or the least and the most.
        unit: bytes of what they count in; a document's GB may be 10⁹ bytes or 2³⁰.
        remark: what is wrong with it, or with what is concluded from it; "" where nothing is.
    """

    case: str
    symbols: Symbols
    printed: tuple[str, ...]
    unit: int = 10**9
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of thumb.

    Attributes:
        name: by which a program knows it.
        formula: in its documents' symbols.
        least, most: the same in Python, in bytes; `most` is None where the rule gives one figure.
        leaves_out: what it does not count, or counts wrongly.
        sources: the documents that give it.
    """

    name: str
    formula: str
    question: Question
    least: Formula
    most: Formula | None = None
    leaves_out: str
    sources: tuple[str, ...]
    examples: tuple[Example, ...] = ()

    def nbytes(self, symbols: Symbols) -> tuple[float, ...]:
        """Its answer: one figure, or the least and the most."""
        formulas = (self.least,) if self.most is None else (self.least, self.most)
        return tuple(formula(symbols) for formula in formulas)

    def right(self, example: Example) -> tuple[str, ...]:
        """What the rule gives in an example, to as many decimals as the document prints."""
        return tuple(
            f"{nbytes / example.unit:.{len(printed.partition('.')[2])}f}"
            for nbytes, printed in zip(self.nbytes(example.symbols), example.printed, strict=True)
        )
