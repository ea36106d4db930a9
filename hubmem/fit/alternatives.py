"""Other whole models in a repo, such as its GGUF files: what each takes, by the length of its files.

Files of one model in several quantizations have the same vocabulary and the same table of tensors in front of
them, megabytes in each. So one header is read, and what the tensors of the others weigh is the length of their
files, which the listing has, less the length of that header: to within a few hundred bytes, for no request.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from hubmem.fit.matrix import Verdict
from hubmem.fit.verdict import Fit, hold
from hubmem.hub.source import FileEntry
from hubmem.memory.plan import Basis, Plan, Term
from hubmem.weights.census import Census
from hubmem.weights.layout import Layout, model_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A model that was not picked.

    Attributes:
        label: what tells it from the others, such as `Q4_K_M`.
        file: the first of its files, for `--file`.
        nbytes: of its tensors; of its files where it is another model, of which nothing more is known.
        bits_per_weight: of the parameters that the picked model has; None for another model.
        plan: of the workload on the first accelerator; None for another model, or without a verdict to compare with.
        fits: the same on each accelerator of the report, in the report's order.
    """

    label: str
    file: str
    nbytes: int
    bits_per_weight: float | None
    plan: Plan | None
    fits: tuple[Fit, ...]


def weigh(
    layouts: Sequence[Layout], files: Mapping[str, FileEntry], picked: Census, verdicts: Sequence[Verdict]
) -> tuple[Alternative, ...]:
    """What each of the other models takes.

    Args:
        layouts: of the others.
        files: of the repo.
        picked: the tensors of the model that was read, counted.
        verdicts: on it, each of a workload that holds the weights as stored; none where it holds them otherwise.
    """
    own = list(picked.by_file())
    header_nbytes = sum(files[path].nbytes for path in own) - picked.stored_bytes
    name = model_name(own[0])
    return tuple(
        _same_model(layout, _length(layout, files) - header_nbytes, picked, verdicts)
        if model_name(layout.first) == name
        else _another_model(layout, _length(layout, files))
        for layout in layouts
    )


def _length(layout: Layout, files: Mapping[str, FileEntry]) -> int:
    return sum(files[path].nbytes for path in layout.files)


def _same_model(layout: Layout, nbytes: int, picked: Census, verdicts: Sequence[Verdict]) -> Alternative:
    ratio = Fraction(nbytes, picked.stored_bytes)
    plans = [_with_weights(verdict.plan, ratio, layout.first) for verdict in verdicts]
    return Alternative(
        label=layout.part,
        file=layout.first,
        nbytes=nbytes,
        bits_per_weight=8 * nbytes / picked.parameters if picked.parameters else None,
        plan=plans[0] if plans else None,
        fits=tuple(hold(plan, verdict.gpu) for plan, verdict in zip(plans, verdicts, strict=True)),
    )


def _another_model(layout: Layout, nbytes: int) -> Alternative:
    return Alternative(
        label=layout.part, file=layout.first, nbytes=nbytes, bits_per_weight=None, plan=None, fits=()
    )


def _with_weights(plan: Plan, ratio: Fraction, file: str) -> Plan:
    """The plan with the weights of another file, which are held all the time."""
    return replace(
        plan,
        moments=tuple(
            replace(moment, terms=tuple(_scaled(moment.terms, ratio, file))) for moment in plan.moments
        ),
        host=tuple(_scaled(plan.host, ratio, file)),
    )


def _scaled(terms: Sequence[Term], ratio: Fraction, file: str) -> Iterator[Term]:
    for term in terms:
        if term.name == "weights":
            yield Term(
                name=term.name,
                nbytes=math.ceil(term.nbytes * ratio),
                basis=Basis.DERIVED,
                formula="length of the file less that of the header",
                source=f"{file} in the listing of the repo",
            )
        else:
            yield term
