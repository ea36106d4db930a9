"""The report as JSON: schema `hubmem.report/1`.

Additions are free; a change of meaning bumps the schema.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hubmem.fit.advise import Advice
from hubmem.fit.hosting import Host, Offer
from hubmem.fit.matrix import Verdict, columns
from hubmem.fit.verdict import Cell, Fit
from hubmem.memory.cache import Cache
from hubmem.memory.engines.engine import engine_of
from hubmem.memory.plan import Plan, Term
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Dense, Experts
from hubmem.models.mixers import Attention, LatentAttention
from hubmem.weights.adapters import Adapter
from hubmem.weights.census import Census
from hubmem.weights.quantization import Quantization
from hubmem.weights.reading import Part, largest
from hubmem.weights.roles import Role

if TYPE_CHECKING:
    from hubmem.fit.alternatives import Alternative

SCHEMA = "hubmem.report/1"


def parameters_dict(census: Census, active: int) -> dict[str, Any]:
    """What was counted, and of it what a token goes through."""
    return {
        "total": census.parameters,
        "active": active,
        "stored": census.stored_elements,
        "buffers": census.buffers,
        "by_role": {role.value: count for role, count in census.by_role().items()},
        "by_dtype": census.by_dtype(),
        "basis": census.basis,
    }


def weights_dict(census: Census, quantization: Quantization | None) -> dict[str, Any]:
    """What the files hold."""
    return {
        "format": census.format,
        "files": census.files,
        "stored_bytes": census.stored_bytes,
        "quantization": quantization.summary() if quantization else None,
    }


def architecture_dict(architecture: Architecture) -> dict[str, Any]:
    """What the config says of the model."""
    attention, feed_forward = architecture.attention, architecture.feed_forward
    experts = feed_forward if isinstance(feed_forward, Experts) else None
    return {
        "model_type": architecture.model_type,
        "class": architecture.class_name,
        "layers": len(architecture.layers),
        "hidden_size": architecture.hidden_size,
        "intermediate_size": feed_forward.width if isinstance(feed_forward, Dense | Experts) else None,
        "heads": attention.heads if attention else None,
        "kv_heads": attention.kv_heads if isinstance(attention, Attention) else None,
        "head_dim": attention.key_dim if attention else None,
        "vocab_size": architecture.vocab_size,
        "max_context": architecture.max_context,
        "dtype": architecture.dtype,
        "experts": experts.count if experts else None,
        "experts_per_token": experts.active if experts else None,
        "tied_embeddings": architecture.tied_embeddings,
        "layer_kinds": architecture.layer_kinds,
        "encoder_layers": len(architecture.encoder),
        "latent_dim": attention.latent_dim if isinstance(attention, LatentAttention) else None,
    }


def adapter_dict(adapter: Adapter, census: Census) -> dict[str, Any]:
    """What changes the model, and how many parameters that takes."""
    return {
        "kind": adapter.kind,
        "base": adapter.base,
        "rank": adapter.rank,
        "targets": list(adapter.targets),
        "parameters": census.by_role().get(Role.ADAPTER, 0),
    }


def component_dict(part: Part) -> dict[str, Any]:
    """One model of a repo of several."""
    return {
        "name": part.name,
        "class": part.kind,
        "parameters": part.census.parameters,
        "stored_bytes": part.census.stored_bytes,
    }


def offload_dict(parts: Sequence[Part]) -> dict[str, Any] | None:
    """What a device holds that has one component at a time; None without a pipeline."""
    part = largest(parts)
    return {"component": part.name, "bytes": part.census.loaded_bytes} if part else None


def alternative_dict(
    alternative: "Alternative", format_name: str, verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """Another whole model of the repo, held against the same devices."""
    fits = zip(alternative.fits, verdicts, strict=True) if alternative.fits else ()
    return {
        "label": alternative.label,
        "file": alternative.file,
        "format": format_name,
        "stored_bytes": alternative.nbytes,
        "bits_per_weight": round(alternative.bits_per_weight, 3) if alternative.bits_per_weight else None,
        "plan": plan_dict(alternative.plan) if alternative.plan else None,
        "verdicts": [_fit(fit, verdict) for fit, verdict in fits],
    }


def _fit(fit: Fit, verdict: Verdict) -> dict[str, Any]:
    return {
        "gpu": verdict.gpu.name,
        "gpus": verdict.gpus,
        "required_bytes": fit.required,
        "usable_bytes": fit.usable,
        "verdict": fit.answer.value,
    }


def workload_dict(workload: Workload) -> dict[str, Any]:
    """What was asked of the model."""
    training = workload.train is not None
    return {
        "mode": workload.mode,
        "engine": workload.engine,
        "engine_version": engine_of(workload.engine, workload.engine_version).version,
        "settings": _settings(workload),
        "batch": workload.batch,
        "context": workload.context,
        "weight_dtype": workload.weight_dtype,
        "kv_dtype": workload.kv_dtype,
        "optimizer": workload.optimizer if training else None,
        "adapter": workload.train if workload.train in ("lora", "qlora") else None,
        "checkpointing": workload.checkpointing if training else None,
        "precision": workload.precision if training else None,
        "loss": workload.loss if training else None,
        "attention": workload.attention,
        "attention_kernels": workload.attention_kernels,
        "tp": workload.tp,
        "pp": workload.pp,
        "ep": workload.ep,
        "dp": workload.dp,
        "cp": workload.cp,
        "sequence_parallel": workload.sequence_parallel,
        "zero": workload.zero,
        "offload": workload.offload if training else None,
        "accumulation": workload.accumulation if training else None,
    }


def _settings(workload: Workload) -> dict[str, Any]:
    """What only some engines have."""
    engine = engine_of(workload.engine, workload.engine_version)
    return {name: getattr(workload, name) for name in sorted(engine.settings)}


def cache_dict(cache: Cache) -> dict[str, Any]:
    """What the sequences keep between steps."""
    return {"bytes": cache.nbytes, "bytes_per_token": cache.bytes_per_token, "policy": cache.policy.value}


def plan_dict(plan: Plan) -> dict[str, Any]:
    """The memory of a device, term by term."""
    return {
        "terms": [_term(term) for term in plan.terms],
        "moment": plan.deciding.name,
        "peaks": plan.peaks,
        "allocated_bytes": plan.allocated_bytes,
        "reserved_bytes": list(plan.reserved_bytes),
        "total_bytes": plan.total_bytes,
        "per_gpu_bytes": plan.per_gpu_bytes,
        "rank": plan.rank or None,
        "why": plan.why or None,
        "share": plan.share,
        "counted_bytes": plan.counted_bytes,
        "device_bytes": plan.device_bytes,
        "host": [_term(term) for term in plan.host],
    }


def _term(term: Term) -> dict[str, Any]:
    low, high = term.range
    return {
        "name": term.name,
        "bytes": term.nbytes,
        "basis": term.basis.value,
        "formula": term.formula,
        "source": term.source,
        "low": low,
        "high": high,
    }


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """Whether it fits one kind of device, and what would change that."""
    return {
        "gpu": verdict.gpu.name,
        "gpus": verdict.gpus,
        **_division(verdict.workload),
        "required_bytes": verdict.fit.required,
        "at_most_bytes": verdict.fit.at_most,
        "usable_bytes": verdict.fit.usable,
        "memory_bytes": verdict.gpu.memory_bytes,
        "verdict": verdict.fit.answer.value,
        "reason": verdict.reason or None,
        "cautions": list(verdict.cautions),
        "max_context": verdict.max_context,
        "max_batch": verdict.max_batch,
        "users": verdict.users,
        "pool": _pool(verdict),
        "largest_precision": verdict.largest_precision,
        "tokens_per_second_at_most": verdict.tokens_per_second_at_most,
        "advice": [str(advice) for advice in verdict.advice],
        "changes": [_change(advice) for advice in verdict.advice],
        "smallest": {
            name or "as_stored": _cell(cell)
            for name, cell in zip(columns(verdict.solver.workload), verdict.cells, strict=True)
        },
    }


def _pool(verdict: Verdict) -> dict[str, Any] | None:
    """What an engine that fills its share with blocks makes of the rest of it; None for others."""
    plan, workload = verdict.plan, verdict.workload
    if plan.pool is None:
        return None
    nbytes = plan.pool_bytes(verdict.gpu.memory_bytes)
    return {
        "bytes": nbytes,
        "tokens": plan.pool.tokens_in(max(0, nbytes)),
        "concurrency": round(plan.pool.concurrency(max(0, nbytes), workload.context), 2),
        "request_bytes": plan.pool.request_bytes(workload.context),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {"gpus": cell.gpus, "verdict": cell.fit.answer.value, **_division(cell.workload)}


def _division(workload: Workload) -> dict[str, int]:
    """How devices share a workload."""
    return {name: getattr(workload, name) for name in ("tp", "pp", "ep", "dp", "zero")}


def _change(advice: Advice) -> dict[str, Any]:
    change = advice.change
    return {
        "change": change.text,
        "repo": change.sibling,
        "gpu": change.gpu.name,
        "gpus": change.gpus,
        "verdict": advice.answer.value,
        "free_bytes": advice.free,
        "host_bytes": change.host_bytes,
        "workload": workload_dict(change.workload),
    }


def host_dict(host: Host) -> dict[str, Any]:
    """The machine beside the devices."""
    return {
        "disk_bytes": host.disk_bytes,
        "load_bytes": host.load_bytes,
        "resident_bytes": host.resident_bytes,
        "bits_per_second": host.bits_per_second,
        "download_seconds": round(host.download_seconds, 1),
    }


def machine_dict(offer: Offer) -> dict[str, Any]:
    """A rented machine that it fits."""
    return {
        "machine": offer.machine.name,
        "gpu": offer.machine.gpu,
        "gpus": offer.machine.gpus,
        "host_ram_gib": offer.machine.host_ram_gib,
        "uses": _cell(offer.cell),
    }
