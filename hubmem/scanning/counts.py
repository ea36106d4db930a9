"""A repo as the Hub's list counts it: parameters by dtype, a thousand repos a request, and no file read.

The counts tell the weights exactly, where they are not packed; they tell nothing of the cache, nor how the weights
would be split over devices.
"""

from collections.abc import Mapping
from typing import Any

from hubmem.dtypes import BY_NAME
from hubmem.hub.model_info import commit_of, counts_of, gate_of
from hubmem.hub.source import Cost, Listing, Origin
from hubmem.scanning.naming import as_text
from hubmem.scanning.skipped import Skipped
from hubmem.snapshot import Snapshot
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.roles import Role

FIELDS = ("safetensors", "config", "gated")
"""What a list must be asked for."""
_NOTE = "The Hub's own counts: no file was read, so cache and activations are unknown, and one device alone is judged."
_UNCOUNTED = "uncounted"


def counted(row: Mapping[str, Any]) -> Snapshot | Skipped:
    """The model in a row of the Hub's list, or why its counts do not tell its bytes."""
    repo, commit = as_text(row["id"]), commit_of(row)
    counts = counts_of(row)
    if not counts:
        return _uncounted(repo, commit, "The Hub's list does not count this repo's weights.")
    unknown = counts.keys() - BY_NAME.keys()
    if unknown or _is_quantized(row):
        what = f"dtype {min(unknown)}" if unknown else "quantized weights"
        return _uncounted(repo, commit, f"The Hub counts parameters; of {what} that does not tell the bytes.")
    return Snapshot(
        listing=Listing(
            repo=repo,
            revision=None,
            commit=commit,
            gated=gate_of(row),
            origin=Origin.HUB,
            files={},
            published_counts=counts,
        ),
        config=None,
        census=Census(
            groups=tuple(_group(dtype, count) for dtype, count in counts.items()),
            format="safetensors",
            files=0,
            basis="hub-api",
        ),
        cost=Cost(),
        seconds=0.0,
        notes=(_NOTE,),
    )


def _is_quantized(row: Mapping[str, Any]) -> bool:
    config = row.get("config")
    return isinstance(config, Mapping) and bool(config.get("quantization_config"))


def _group(dtype: str, count: int) -> TensorGroup:
    kind = BY_NAME[dtype]
    return TensorGroup(
        template=f"all tensors of {dtype}",
        dtype=dtype,
        shape=(count,),
        count=1,
        file="",
        role=Role.OTHER if kind.floating else Role.BUFFER,
        unpacked=(count,) if kind.floating else None,
        nbytes_each=kind.nbytes(count),
    )


def _uncounted(repo: str, commit: str | None, message: str) -> Skipped:
    return Skipped(
        repo=repo, reason=_UNCOUNTED, message=message, hint="Scan it without --counts.", commit=commit
    )
