"""A memory plan: what is held at each moment of the work, term by term, each with where it comes from.

The peak is the largest moment, never a sum over moments: activations go while gradients come. Tables, JSON
and `--explain` are views of the same terms.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from hubmem.memory.engine_cache import CachePool


class Basis(str, Enum):
    """How a number is known."""

    MEASURED = "measured"
    """Read from the files themselves."""
    DERIVED = "derived"
    """Computed by a formula from what was read."""
    ASSUMED = "assumed"
    """Taken from a named policy, with a range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """So many bytes, and why.

    Attributes:
        name: what holds them, such as `weights` or `KV cache`.
        formula: in the symbols of its source, with this case's numbers put in.
        source: paper, documentation or code with its version, or the files they were read from.
        summary: the formula in plain words, where its symbols do not speak for themselves; or "".
        symbols: what they stand for, or "".
        low, high: the range of an assumed term; equal to `nbytes` for others.
    """

    name: str
    nbytes: int
    basis: Basis
    formula: str
    source: str
    summary: str = ""
    symbols: str = ""
    low: int = -1
    high: int = -1

    @property
    def range(self) -> tuple[int, int]:
        """Least and most it may be."""
        return (self.low, self.high) if self.low >= 0 else (self.nbytes, self.nbytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Everything a device's allocator holds at one moment.

    Attributes:
        phase: the key of `plan.peaks` it counts towards: prefill, decode, forward, backward, step; serving,
            where an engine sets aside at start-up all it will ever need.
        name: what is happening, such as `loss` or `attention of one layer`.
    """

    phase: str
    name: str
    terms: tuple[Term, ...]

    @property
    def nbytes(self) -> int:
        """All of them."""
        return sum(term.nbytes for term in self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The memory of one workload on its fullest device.

    Attributes:
        moments: at least one; those of one phase may come in any order.
        overheads: held outside the framework's allocator all the time (driver context, workspaces).
        reserved_ratio: least and most an allocator reserves, as multiples of what is allocated at the peak.
        devices: how many devices hold about as much.
        rank: which of several ranks it is about, "" for one device alone.
        why: what it holds more of than the emptiest rank, "" where all are alike.
        share: of a device's memory, the part an engine allows itself (vLLM's `gpu_memory_utilization`).
        beside_share: names of overheads that an engine does not count in that part.
        before_share: those of them that are there first: an engine takes its part of what they leave.
        pool: what an engine fills the rest of its share with, whatever the workload needs of it; None where it
            takes memory as it goes.
        host: what lies in the host's memory, and in no sum here.
        notes: what the plan leaves out or assumes.
    """

    moments: tuple[Moment, ...]
    overheads: tuple[Term, ...]
    reserved_ratio: tuple[float, float]
    devices: int = 1
    rank: str = ""
    why: str = ""
    share: float = 1.0
    beside_share: frozenset[str] = frozenset()
    before_share: frozenset[str] = frozenset()
    pool: CachePool | None = None
    host: tuple[Term, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def deciding(self) -> Moment:
        """The moment that needs most."""
        return max(self.moments, key=lambda moment: moment.nbytes)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the deciding moment and the overheads: their sum is `per_gpu_bytes`."""
        return (*self.deciding.terms, *self.overheads)

    @property
    def peaks(self) -> dict[str, int]:
        """The largest moment of each phase, allocated bytes."""
        peaks: dict[str, int] = {}
        for moment in self.moments:
            peaks[moment.phase] = max(peaks.get(moment.phase, 0), moment.nbytes)
        return peaks

    @property
    def allocated_bytes(self) -> int:
        """What `torch.cuda.max_memory_allocated` would say on the fullest device."""
        return self.deciding.nbytes

    @property
    def reserved_bytes(self) -> tuple[int, int]:
        """Least and most that `torch.cuda.max_memory_reserved` would say."""
        low, high = self.reserved_ratio
        return int(self.allocated_bytes * low), int(self.allocated_bytes * high)

    @property
    def per_gpu_bytes(self) -> int:
        """What the fullest device holds, overheads included."""
        return self.allocated_bytes + sum(term.nbytes for term in self.overheads)

    @property
    def counted_bytes(self) -> int:
        """What has to fit `usable_bytes`: all the fullest device holds, less what an engine does not count."""
        return self.per_gpu_bytes - self._overhead_bytes(self.beside_share)

    def share_bytes(self, memory_bytes: int) -> int:
        """Of a device's memory, what an engine allows itself."""
        return int(self.share * (memory_bytes - self._overhead_bytes(self.before_share)))

    def usable_bytes(self, memory_bytes: int) -> int:
        """Of a device's memory, what this plan may count on: its share, and what lies beside that has room."""
        return min(self.share_bytes(memory_bytes), memory_bytes - self._overhead_bytes(self.beside_share))

    def pool_bytes(self, memory_bytes: int) -> int:
        """What is left for the cache on such a device; negative where the model does not fit."""
        cache = self.of("KV cache")
        return self.usable_bytes(memory_bytes) - self.counted_bytes + (cache.nbytes if cache else 0)

    @property
    def device_bytes(self) -> int:
        """Memory of the smallest device it can run on."""
        first = self._overhead_bytes(self.before_share)
        return max(self.per_gpu_bytes, first + math.ceil(self.counted_bytes / self.share))

    @property
    def total_bytes(self) -> int:
        """What all devices hold, were each as full as the fullest."""
        return self.per_gpu_bytes * self.devices

    def of(self, name: str) -> Term | None:
        """The term of that name at the deciding moment or among the overheads, or None."""
        return next(self._named(name), None)

    def _overhead_bytes(self, names: frozenset[str]) -> int:
        return sum(term.nbytes for term in self.overheads if term.name in names)

    def _named(self, name: str) -> Iterator[Term]:
        return (term for term in self.terms if term.name == name)
