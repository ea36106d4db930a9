"""What hubmem says of one model and one workload."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubmem import contract
from hubmem.fit.bands import band_source
from hubmem.fit.hosting import Host, Offer
from hubmem.fit.matrix import Verdict
from hubmem.fit.verdict import Answer
from hubmem.memory.cache import Cache
from hubmem.memory.plan import Plan
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Experts
from hubmem.snapshot import Snapshot
from hubmem.weights import counting
from hubmem.weights.census import Census
from hubmem.weights.quantization import Quantization

if TYPE_CHECKING:
    from hubmem.fit.alternatives import Alternative
    from hubmem.memory.rules import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything hubmem says about one model and one workload.

    Attributes:
        census: the tensors, counted as the model has them.
        quantization: how the weights are packed, or None.
        architecture: None where the model type is not known; the cache is then None too.
        verdicts: for the devices the user named, or for the usual ones.
        host: what the machine beside them needs.
        offers: rented machines that it fits, smallest first; None where nobody asked for them.
    """

    snapshot: Snapshot
    census: Census
    quantization: Quantization | None
    architecture: Architecture | None
    workload: Workload
    cache: Cache | None
    plan: Plan
    verdicts: tuple[Verdict, ...]
    host: Host
    offers: tuple[Offer, ...] | None
    notes: tuple[str, ...]

    @property
    def active_parameters(self) -> int:
        """Parameters one token goes through: of the routed experts, only those the router picks."""
        experts = self.architecture.feed_forward if self.architecture else None
        if not isinstance(experts, Experts):
            return self.census.parameters
        return counting.active_parameters(self.census, experts.count, experts.active)

    @property
    def fits_all(self) -> bool:
        """Whether it fits every device, for `--check`."""
        return all(verdict.fit.answer is not Answer.NO for verdict in self.verdicts)

    def alternatives(self) -> "tuple[Alternative, ...]":
        """Other whole models in the repo, such as its GGUF files, and what each takes as it is stored."""
        if not self.snapshot.alternatives:
            return ()
        from hubmem.fit.alternatives import weigh

        comparable = () if self.workload.weight_dtype else self.verdicts
        return weigh(self.snapshot.alternatives, self.snapshot.listing.files, self.census, comparable)

    def rules(self) -> "tuple[Comparison, ...]":
        """Rules of thumb for this model and workload, each beside the exact answer to the same question."""
        from hubmem.memory.rules import compare

        bits = self.quantization.bits if self.quantization else None
        return compare(self.architecture, self.census, self.workload, bits)

    @property
    def wants_siblings(self) -> bool:
        """Whether a published quantized version would be advice: a no on a device the user named."""
        can_be_quantized = self.quantization is None and self.workload.weight_dtype is None
        refused = any(
            each.named and each.fit.answer is Answer.NO and not each.reason for each in self.verdicts
        )
        return refused and can_be_quantized and not self.workload.train

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values, schema `hubmem.report/1`."""
        snapshot, listing = self.snapshot, self.snapshot.listing
        return {
            "schema": contract.SCHEMA,
            "repo": listing.repo,
            "revision": listing.revision,
            "commit": listing.commit,
            "source": listing.origin.value,
            "gated": listing.gated or False,
            "architecture": contract.architecture_dict(self.architecture) if self.architecture else None,
            "parameters": contract.parameters_dict(self.census, self.active_parameters),
            "weights": contract.weights_dict(self.census, self.quantization),
            "workload": contract.workload_dict(self.workload),
            "cache": contract.cache_dict(self.cache) if self.cache else None,
            "plan": contract.plan_dict(self.plan),
            "verdicts": [contract.verdict_dict(verdict) for verdict in self.verdicts],
            "band": {"source": band_source(self.workload)},
            "host": contract.host_dict(self.host),
            "machines": None if self.offers is None else list(map(contract.machine_dict, self.offers)),
            "adapter": contract.adapter_dict(snapshot.adapter, self.census) if snapshot.adapter else None,
            "components": [contract.component_dict(part) for part in snapshot.parts],
            "component_offload": contract.offload_dict(snapshot.parts),
            "alternatives": [
                contract.alternative_dict(each, self.census.format, self.verdicts)
                for each in self.alternatives()
            ],
            "notes": list(self.notes),
            "cost": {
                "requests": snapshot.cost.requests,
                "bytes_received": snapshot.cost.bytes_received,
                "seconds": round(snapshot.seconds, 3),
            },
        }
