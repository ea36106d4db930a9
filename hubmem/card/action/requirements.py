"""What a job demands of a model: `fits: RTX-4090, dtype: int4` and the job fails unless it does."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hubmem.card.section import Part
from hubmem.errors import UsageError
from hubmem.fit.matrix import Verdict
from hubmem.fit.verdict import Answer
from hubmem.inspection import assess
from hubmem.request import Request
from hubmem.units import format_binary, parse_tokens

_EXAMPLE = "A requirement looks like `fits: RTX-4090, dtype: int4, context: 8k`."
_TEXTS = ("dtype", "kv_dtype", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One accelerator, or several of it, that a workload must fit.

    Attributes:
        text: as it was written.
    """

    text: str
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A model held against a requirement.

    Attributes:
        answer: `no` also where the workload cannot be planned for the model.
        reason: of a no.
    """

    model: str
    requirement: Requirement
    answer: Answer
    reason: str = ""


def parse_requirements(text: str) -> tuple[Requirement, ...]:
    """Requirements, one a line.

    >>> [requirement] = parse_requirements("fits: RTX-4090, dtype: int4, context: 8k")
    >>> requirement.request.targets[0].gpu.name, requirement.request.workload.weight_dtype
    ('RTX-4090', 'gptq-int4')

    Raises:
        UsageError: a line that cannot be read.
    """
    return tuple(_parse(line.strip()) for line in text.splitlines() if line.strip())


def judge(parts: Iterable[Part], requirements: Iterable[Requirement]) -> Iterator[Judgement]:
    """Hold every model against every requirement."""
    requirements = tuple(requirements)
    for part in parts:
        for requirement in requirements:
            yield _judge(part, requirement)


def _parse(line: str) -> Requirement:
    values: dict[str, str] = {}
    for pair in line.split(","):
        name, colon, value = pair.partition(":")
        if not colon or not value.strip():
            raise UsageError(f"{pair.strip()!r} is not a name and a value.", hint=_EXAMPLE)
        values[name.strip().replace("-", "_")] = value.strip()
    return Requirement(text=line, request=_request(values))


def _request(values: Mapping[str, str]) -> Request:
    unknown = set(values) - {"fits", "context", "batch", *_TEXTS}
    if unknown:
        raise UsageError(f"Unknown word {min(unknown)!r} in a requirement.", hint=_EXAMPLE)
    if "fits" not in values:
        raise UsageError("A requirement must say what the model fits.", hint=_EXAMPLE)
    counts = {name: parse_tokens(values[name]) for name in ("context", "batch") if name in values}
    texts = {name: values[name] for name in _TEXTS if name in values}
    return Request.of(gpus=[values["fits"]], **counts, **texts)  # type: ignore[arg-type]  # checked by it


def _judge(part: Part, requirement: Requirement) -> Judgement:
    model = part.subject.label
    try:
        [verdict] = assess(part.report.snapshot, requirement.request).verdicts
    except UsageError as error:
        return Judgement(model=model, requirement=requirement, answer=Answer.NO, reason=str(error))
    answer = verdict.fit.answer
    reason = _reason(verdict) if answer is Answer.NO else ""
    return Judgement(model=model, requirement=requirement, answer=answer, reason=reason)


def _reason(verdict: Verdict) -> str:
    short = f"{format_binary(verdict.fit.short)} short on {verdict.gpus}× {verdict.gpu.name}."
    ways = " · ".join(map(str, verdict.advice))
    return f"{short} Cheapest way to yes: {ways}." if ways else short
