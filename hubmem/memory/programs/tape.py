"""The tensors of a piece of model code, in the order they come and go.

A tape is written by running the code's operators on values that have a size and no data. Two rules make it a
memory model: a tensor lives until nothing refers to it any more, and while gradients are wanted an operator
refers to what its derivative needs until its backward has run.

Sizes stay symbolic in the number of tokens, so one tape serves every batch and context.

Source: torch 2.13, derivatives.yaml (what each operator keeps), torch/csrc/autograd/engine.cpp and
input_buffer.cpp (when gradients are made, summed and freed).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum


class Extent(Enum):
    """What a tensor's size grows with."""

    ONCE = "1"
    TOKENS = "T"
    STREAM = "T/t"
    ROWS = "rows"
    SEQUENCES = "b"
    KEYS = "b·sₖ"
    POSITIONS = "s"
    CHUNKS = "b·⌈s/u⌉"
    CHUNKED = "b·⌈s/u⌉·u"
    PAIRS = "b·s²"
    SQUARE = "s²"
    SOURCE = "b·sₑ"
    CROSS = "b·s·sₑ"
    CROSS_SQUARE = "s·sₑ"


WEIGHT_GRADIENTS = "weight gradients"

Counts = Mapping[Extent, int]
"""How many of each extent there are: {TOKENS: b·s, PAIRS: b·s², …}."""


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """What the allocator hands out for one tensor and all views of it.

    Attributes:
        label: what it is, for people.
        symbol: the name of its width in formulas, such as `h` or `f`.
        width: elements for each unit of its extent.
        itemsize: bytes of an element.
        counted: False where another term of the plan holds it (weights, the KV cache).
    """

    label: str
    symbol: str
    width: int
    itemsize: int
    extent: Extent = Extent.TOKENS
    counted: bool = True

    @property
    def each(self) -> int:
        """Bytes for each unit of its extent."""
        return self.width * self.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor as the code sees it: a storage, or part of one.

    Attributes:
        needs_grad: whether its gradient is wanted.
        parameter: whether its gradient stays until the optimizer's step.
        summed: whether its gradient from elsewhere waits, to which this one is added in a new tensor.
    """

    storage: Storage
    width: int
    needs_grad: bool = False
    parameter: bool = False
    summed: bool = False

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.storage.itemsize


@dataclass(frozen=True, slots=True)
class Alive:
    """The tensors alive at one moment, and the operator that runs."""

    operator: str
    storages: tuple[Storage, ...]
    each: Mapping[Extent, int]

    def nbytes(self, counts: Counts) -> int:
        """Bytes, with so many tokens and pairs."""
        return sum(each * counts[extent] for extent, each in self.each.items())


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A finished tape.

    Attributes:
        kept: what the backward pass will need.
        forward, backward: the moments of each pass that may be its largest.
    """

    kept: tuple[Storage, ...]
    forward: tuple[Alive, ...]
    backward: tuple[Alive, ...]

    @property
    def differentiates(self) -> bool:
        """Whether its result has a gradient, and so a backward pass."""
        return bool(self.backward)

    def with_gradients_used(self) -> "Trace":
        """The same where the gradient of a weight is used and freed as soon as it is made."""
        return replace(
            self,
            backward=tuple(_alive(alive.operator, _one_gradient(alive.storages)) for alive in self.backward),
        )

    def largest_forward(self, counts: Counts) -> Alive:
        """The moment of the forward pass that is largest with so many tokens."""
        return max(self.forward, key=lambda alive: alive.nbytes(counts))

    def largest_backward(self, counts: Counts) -> Alive:
        """The moment of the backward pass that is largest with so many tokens."""
        return max(self.backward, key=lambda alive: alive.nbytes(counts))


@dataclass(frozen=True, slots=True)
class _Step:
    operator: str
    reads: tuple[Value, ...]
    writes: tuple[Value, ...] = ()
    saves: tuple[Storage, ...] = ()
    passes: tuple[Value, ...] = ()
    ready: tuple[Storage, ...] = ()
    scratch: tuple[Storage, ...] = ()
    backward_scratch: tuple[Storage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """LoRA.

    Attributes:
        rank: r.
        itemsize: bytes of an element of A and B.
        targets: the last part of the names of the layers adapted; empty for all.
        drops: whether elements of their input are dropped.
        dora: whether magnitude and direction of each output's weights are apart (DoRA).
    """

    rank: int
    itemsize: int
    targets: frozenset[str]
    drops: bool = False
    dora: bool = False

    def adapt(self, name: str) -> bool:
        """Whether a layer has adapters."""
        return not self.targets or name in self.targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """The dtypes a model runs in, and what of it is trained.

    Attributes:
        itemsize: bytes of a weight's element.
        autocast: whether matrices are multiplied in bf16 whatever the dtype of the weights is.
        trains: whether there is a backward pass.
        base_trains: whether the model's own weights are trained.
        adapters: LoRA beside frozen weights.
        quantized: whether weights are packed in 4 bits and made whole at each use.
        shared: whether matrices are those of a layer before, which has cast them already (ALBERT).
        summed: whether their gradients are added to those of a layer after, which wait.
        batched: whether there is more than one sequence: some reshapes copy only then.
    """

    itemsize: int
    autocast: bool = False
    trains: bool = False
    base_trains: bool = False
    adapters: Adapters | None = None
    quantized: bool = False
    shared: bool = False
    summed: bool = False
    batched: bool = False

    @property
    def linear_itemsize(self) -> int:
        """Bytes of an element of what a linear layer makes; one in 4 bits casts it back to its input's dtype."""
        return 2 if self.autocast and not self.quantized else self.itemsize


@dataclass(slots=True)
class Tape:
    """Operators in the order they run, in one arithmetic."""

    arithmetic: Arithmetic
    _steps: list[_Step] = field(default_factory=list)

    def run(
        self,
        operator: str,
        reads: Sequence[Value],
        writes: Sequence[Storage],
        *,
        saves: Iterable[Value] = (),
        passes: Sequence[Value] = (),
        ready: Sequence[Storage] = (),
        scratch: Sequence[Storage] = (),
        backward_scratch: Sequence[Storage] = (),
    ) -> tuple[Value, ...]:
        """Run an operator.

        Args:
            operator: its name, for people.
            reads: its inputs.
            writes: what it allocates for its outputs.
            saves: inputs and outputs its derivative needs. An output is named by a value of its storage.
            passes: inputs whose gradient is the output's gradient itself, not a new tensor.
            ready: gradients of its inputs, one of each that wants one, where it makes them at once.
            scratch: what it allocates and frees inside.
            backward_scratch: what its derivative allocates and frees inside.
        """
        needs_grad = self.arithmetic.trains and any(value.needs_grad for value in reads)
        values = tuple(Value(storage, storage.width, needs_grad) for storage in writes)
        self._steps.append(
            _Step(
                operator,
                tuple(reads),
                values,
                tuple(dict.fromkeys([*(value.storage for value in saves), *ready])) if needs_grad else (),
                tuple(passes),
                tuple(ready) if needs_grad else (),
                tuple(scratch),
                tuple(backward_scratch),
            )
        )
        return values

    def view(self, value: Value, *widths: int) -> tuple[Value, ...]:
        """Parts of a tensor, which share its storage. Their gradients are put together in one new tensor."""
        parts = tuple(Value(value.storage, width, value.needs_grad) for width in widths)
        self._steps.append(_Step("split", (value,), parts))
        return parts

    @contextmanager
    def holding(self, *values: Value) -> Iterator[list[Value]]:
        """Variables of a function: what is in the list lives until the block ends, used or not."""
        held = list(values)
        yield held
        self._steps.append(_Step("", tuple(held)))

    def finish(self, result: Value) -> Trace:
        """What is alive when, given what the code returns."""
        kept = dict.fromkeys(storage for step in self._steps for storage in step.saves if storage.counted)
        return Trace(
            kept=tuple(kept),
            forward=_largest(self._forward(result)),
            backward=_largest(self._backward(result)) if result.needs_grad else (),
        )

    def _forward(self, result: Value) -> Iterator[Alive]:
        last_read = {value.storage: at for at, step in enumerate(self._steps) for value in step.reads}
        kept = {storage for step in self._steps for storage in step.saves} | {result.storage}
        alive = dict.fromkeys(self._inputs())
        for at, step in enumerate(self._steps):
            alive.update(dict.fromkeys([*(value.storage for value in step.writes), *step.ready]))
            yield _alive(step.operator, (*alive, *step.scratch))
            for storage in [s for s in alive if last_read.get(s, 0) <= at and s not in kept]:
                del alive[storage]

    def _inputs(self) -> list[Storage]:
        written = {value.storage for step in self._steps for value in step.writes}
        reads = (value.storage for step in self._steps for value in step.reads)
        return [storage for storage in dict.fromkeys(reads) if storage not in written]

    def _backward(self, result: Value) -> Iterator[Alive]:
        gradients = _Gradients(result, (storage for step in self._steps for storage in step.saves))
        for step in reversed(self._steps):
            yield from gradients.through(step)


class _Gradients:
    """Gradients on their way down a tape, with the references that keep tensors alive."""

    def __init__(self, result: Value, saved: Iterable[Storage]) -> None:
        self._references: Counter[Storage] = Counter(saved)
        self._of: dict[Value, Storage] = {}
        self._accumulate(result, _gradient(result))

    def through(self, step: _Step) -> Iterator[Alive]:
        """Run the backward of one operator."""
        arriving = [self._of.pop(value) for value in step.writes if value in self._of]
        if not arriving:
            return
        targets = [value for value in step.reads if value.needs_grad]
        made = list(step.ready) or [
            arriving[0] if value in step.passes and _alike(value, step.writes[0]) else _gradient(value)
            for value in targets
        ]
        self._references.update(made)
        yield self._alive(f"{step.operator}, backward", step.backward_scratch)
        for storage in (*arriving, *step.saves):
            self._release(storage)
        for value, gradient in zip(targets, made, strict=True):
            yield from self._sum(step, value, gradient)

    def _sum(self, step: _Step, value: Value, gradient: Storage) -> Iterator[Alive]:
        """The first gradient is taken as it is; a later one is added in place unless the first is shared."""
        first = self._of.get(value)
        if first is None and not value.summed:
            self._of[value] = gradient
            return
        if first is None or self._references[first] > 1:
            total = _gradient(value)
            self._references[total] += 1
            yield self._alive(f"{step.operator}, sum of gradients", ())
            if first:
                self._of[value] = total
                self._release(first)
            else:
                # It takes the place of the one that waited.
                self._release(total)
        self._release(gradient)

    def _accumulate(self, value: Value, gradient: Storage) -> None:
        self._references[gradient] += 1
        self._of[value] = gradient

    def _release(self, storage: Storage) -> None:
        self._references[storage] -= 1
        if not self._references[storage]:
            del self._references[storage]

    def _alive(self, operator: str, scratch: Iterable[Storage]) -> Alive:
        return _alive(operator, (*self._references, *scratch))


def _gradient(value: Value) -> Storage:
    label = WEIGHT_GRADIENTS if value.parameter else f"gradient of {value.storage.label}"
    storage = value.storage
    return Storage(label, storage.symbol, value.width, storage.itemsize, storage.extent)


def _alike(value: Value, other: Value) -> bool:
    return value.itemsize == other.itemsize and value.width == other.width


def _alive(operator: str, storages: Iterable[Storage]) -> Alive:
    counted = tuple(storage for storage in storages if storage.counted)
    return Alive(operator, counted, _each(counted))


def _one_gradient(storages: Sequence[Storage]) -> Iterator[Storage]:
    """Of the gradients of weights the largest."""
    gradients = [storage for storage in storages if storage.label == WEIGHT_GRADIENTS]
    yield from (storage for storage in storages if storage not in gradients)
    yield from sorted(gradients, key=lambda storage: storage.each)[-1:]


def _each(storages: Iterable[Storage]) -> Mapping[Extent, int]:
    each: Counter[Extent] = Counter()
    for storage in storages:
        each[storage.extent] += storage.each
    return dict(each)


def _largest(moments: Iterable[Alive]) -> tuple[Alive, ...]:
    """The moments that no other is at least as large as, whatever the counts."""
    largest: list[Alive] = []
    for moment in moments:
        if any(_at_least(other, moment) for other in largest):
            continue
        largest = [other for other in largest if not _at_least(moment, other)]
        largest.append(moment)
    return tuple(largest)


def _at_least(one: Alive, other: Alive) -> bool:
    return all(one.each.get(extent, 0) >= each for extent, each in other.each.items())
