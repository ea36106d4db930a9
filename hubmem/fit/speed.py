"""How fast decoding can be at most: what must be read from memory for a token, and how fast memory is read.

A bound and no forecast: kernels, launches, communication and the host only make it slower.
"""

from dataclasses import dataclass
from fractions import Fraction

from hubmem.fit.gpus import Gpu
from hubmem.memory.cache import cache_bytes
from hubmem.memory.static import held_bytes
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Experts
from hubmem.weights.census import Census
from hubmem.weights.roles import Role

# A token of text reads one row of the embedding, and nothing of what sees, hears, or guesses ahead.
_UNREAD = frozenset({Role.EMBEDDING, Role.BUFFER, Role.VISION, Role.AUDIO, Role.DRAFT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A model, to be asked what a step of decoding reads of it."""

    architecture: Architecture
    census: Census

    def weights_bytes(self, workload: Workload) -> int:
        """Weights one token meets: of the routed experts only those it is sent to.

        The embedding counts where it is the output head too.
        """
        size = held_bytes(self.census, workload)
        has_head = any(group.role is Role.HEAD and not group.copy for group in self.census.groups)
        unread = _UNREAD if has_head else _UNREAD - {Role.EMBEDDING}
        return sum(
            int(size(group) * (self._active if group.role is Role.EXPERTS else 1))
            for group in self.census.groups
            if group.role not in unread
        )

    def step_bytes(self, workload: Workload) -> int:
        """Weights once, and the cache of every sequence, for one token of each."""
        cached = cache_bytes(self.architecture, workload, stored=self.census.main_dtype) or 0
        return self.weights_bytes(workload) + cached

    @property
    def _active(self) -> Fraction:
        experts = self.architecture.feed_forward
        return Fraction(experts.active, experts.count) if isinstance(experts, Experts) else Fraction(1)


def most_tokens_per_second(reading: Reading | None, workload: Workload, gpu: Gpu) -> float | None:
    """Batch × bandwidth of the devices that read at once ÷ bytes read in a step; None where one is not known.

    Ranks of tensor parallelism read at once; stages of a pipeline only where several sequences keep them busy.
    """
    generates = reading is not None and reading.architecture.generates
    if reading is None or not generates or gpu.bandwidth_gb_per_s is None or workload.gpu_layers is not None:
        return None
    readers = workload.devices if workload.batch > 1 else workload.tp
    return workload.batch * readers * gpu.bandwidth_gb_per_s * 1e9 / reading.step_bytes(workload)
