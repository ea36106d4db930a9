"""What turns a no into a yes: single changes, each verified by planning it, the least painful first.

The order is of cost to what the user wanted: first what costs only time, then precision, then length or kind of
training, then money. A new kind of change is one function in `_CHANGES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from hubmem.errors import UsageError
from hubmem.fit.gpus import Gpu, Target, catalogue
from hubmem.fit.verdict import Answer, Planner, hold, longest_context, smallest
from hubmem.memory.workload import Workload
from hubmem.units import format_gib, format_tokens

# Precisions in the order of what they cost in quality; published evaluations agree on it.
_PRECISIONS = (("fp8", "FP8 weights"), ("nf4", "4-bit weights (nf4)"))
# Contexts are advised in steps of this many tokens; one shorter than a step answers another question.
_ROUND_CONTEXT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One change and what it leads to.

    Attributes:
        change: what to do, in a few words.
        answer: the verdict after it.
        free: bytes left on the fullest device after it.
    """

    change: str
    answer: Answer
    free: int

    def __str__(self) -> str:
        """The change with its outcome."""
        return f"{self.change} ({self.answer.value}, {format_gib(self.free)} GiB free)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A workload that does not fit a device."""

    plan_for: Planner
    asked: Workload
    gpu: Gpu
    max_context: int | None


_Candidate = tuple[str, Workload, Gpu]
"""A change in a few words, the workload after it, and the device it is then held against."""


def changes_to_yes(
    plan_for: Planner, asked: Workload, gpu: Gpu, *, max_context: int | None
) -> tuple[Advice, ...]:
    """Single changes after which a workload that does not fit does, the cheapest first."""
    question = _Question(plan_for=plan_for, asked=asked, gpu=gpu, max_context=max_context)
    candidates = (candidate for change in _CHANGES for candidate in change(question))
    return tuple(advice for each in candidates if (advice := _verified(plan_for, *each)))


def _verified(plan_for: Planner, change: str, workload: Workload, gpu: Gpu) -> Advice | None:
    try:
        fit = hold(plan_for(workload), gpu)
    except UsageError:
        # A change the model or its training cannot have is no advice.
        return None
    if fit.answer is Answer.NO:
        return None
    return Advice(change=change, answer=fit.answer, free=fit.usable - fit.required)


def _recomputed_activations(question: _Question) -> Iterator[_Candidate]:
    """A third more compute for activations of one layer at a time."""
    if question.asked.train and question.asked.checkpointing == "none":
        yield "activation checkpointing", replace(question.asked, checkpointing="full"), question.gpu


def _narrower_cache(question: _Question) -> Iterator[_Candidate]:
    if question.asked.kv_dtype is None and not question.asked.train:
        yield "an FP8 cache", replace(question.asked, kv_dtype="F8_E4M3"), question.gpu


def _narrower_weights(question: _Question) -> Iterator[_Candidate]:
    if question.asked.weight_dtype is None and not question.asked.train:
        for dtype, label in _PRECISIONS:
            yield label, replace(question.asked, weight_dtype=dtype), question.gpu


def _shorter_context(question: _Question) -> Iterator[_Candidate]:
    longest = longest_context(question.plan_for, question.asked, question.gpu, question.max_context)
    if longest and longest >= _ROUND_CONTEXT:
        context = longest - longest % _ROUND_CONTEXT
        yield f"a context of {format_tokens(context)}", replace(question.asked, context=context), question.gpu


def _adapters_instead(question: _Question) -> Iterator[_Candidate]:
    if question.asked.train == "full":
        yield "LoRA instead of full fine-tuning", replace(question.asked, train="lora"), question.gpu
    if question.asked.train in ("full", "lora"):
        yield "QLoRA", replace(question.asked, train="qlora"), question.gpu


def _more_devices(question: _Question) -> Iterator[_Candidate]:
    gpu = question.gpu
    count = smallest(question.plan_for, question.asked, Target(gpu=gpu, count=None)).gpus
    if count:
        yield f"{count}× {gpu.name} (TP{count})", replace(question.asked, tp=count), gpu


def _bigger_device(question: _Question) -> Iterator[_Candidate]:
    """The accelerator of the same maker and kind with the least memory that is enough."""
    plan, gpu = question.plan_for(question.asked), question.gpu
    alike = [other for other in catalogue() if (other.vendor, other.kind) == (gpu.vendor, gpu.kind)]
    enough = (other for other in alike if hold(plan, other).answer is Answer.FITS)
    other = min(enough, key=lambda other: other.memory_bytes, default=None)
    if other:
        yield f"{question.asked.devices}× {other.name}", question.asked, other


_CHANGES: tuple[Callable[[_Question], Iterator[_Candidate]], ...] = (
    _recomputed_activations,
    _narrower_cache,
    _narrower_weights,
    _shorter_context,
    _adapters_instead,
    _more_devices,
    _bigger_device,
)
