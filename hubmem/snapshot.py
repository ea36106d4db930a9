"""A model as it was found: its files, its config and its tensors; everything after it is pure."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hubmem.errors import GatedRepo, HubmemError, HubUnreachable, NotCached
from hubmem.hub import bundled
from hubmem.hub.opening import Opened, open_stored
from hubmem.hub.source import Cost, Listing, Source
from hubmem.models.config import Config, parse_config
from hubmem.units import format_count
from hubmem.weights import layout
from hubmem.weights.census import Census
from hubmem.weights.quantization_config import SIDE_FILES
from hubmem.weights.reading import read_census


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was read of a model.

    Attributes:
        config: of `config.json`, or None where the repo has none.
        seconds: from opening to the last byte read.
        quantization_file: the object in a file beside config.json that tells how weights are quantized, or None.
        stands_in: why this is not what the Hub has now, or "".
    """

    listing: Listing
    config: Config | None
    census: Census
    cost: Cost
    seconds: float
    quantization_file: Mapping[str, Any] | None = None
    stands_in: str = ""
    notes: tuple[str, ...] = ()


def take_snapshot(opened: Opened) -> Snapshot:
    """Read a repo or a folder; where the Hub cannot be read, what is stored or bundled stands in, and says so.

    Raises:
        HubmemError: it cannot be read, and nothing stands in.
    """
    source, access = opened.source, opened.access
    if source is None:
        assert opened.refusal is not None
        return _stand_in(opened.refusal, opened, None)
    try:
        return _read(source, opened)
    except GatedRepo as error:
        return _stand_in(error, opened, source.listing())
    except NotCached as error:
        return _stand_in(error, opened, None)
    except HubUnreachable as error:
        with suppress(HubmemError):
            stored = _read(open_stored(opened.repo, access), opened)
            return replace(stored, stands_in=f"{error} The answer is from what was stored before.")
        return _stand_in(error, opened, None)


def _read(source: Source, opened: Opened) -> Snapshot:
    listing = source.listing()
    # Weights first: config.json is already under way while their headers are asked for.
    census = read_census(source, layout.choose(listing.files))
    text = source.text("config.json")
    return Snapshot(
        listing=listing,
        config=parse_config(text) if text is not None else None,
        census=census,
        cost=source.cost,
        seconds=time.monotonic() - opened.started,
        quantization_file=_quantization_file(source, listing),
        notes=() if text is not None else ("The repo has no config.json: the cache cannot be known.",),
    )


def _quantization_file(source: Source, listing: Listing) -> Mapping[str, Any] | None:
    path = next((name for name in SIDE_FILES if name in listing.files), None)
    text = source.text(path) if path else None
    return parse_config(text).raw if text is not None else None


def _stand_in(error: HubmemError, opened: Opened, listing: Listing | None) -> Snapshot:
    """The bundled snapshot of a repo that cannot be read, beside what the Hub's public listing says of it."""
    source = bundled.find(listing.repo if listing else opened.repo) if opened.access.bundled else None
    if source is None:
        raise _with_public_counts(error, listing)
    snapshot = _read(source, opened)
    published = listing.published_counts if listing else {}
    return replace(
        snapshot,
        stands_in=f"{error} The answer is from the snapshot bundled with hubmem.",
        notes=(*snapshot.notes, *_count_disagreement(snapshot.census.by_dtype(), published)),
    )


def _with_public_counts(error: HubmemError, listing: Listing | None) -> HubmemError:
    """The same error; its hint tells what is public about a gated repo."""
    if listing and listing.published_counts:
        counts = ", ".join(f"{format_count(n)} {dtype}" for dtype, n in listing.published_counts.items())
        error.hint = f"{error.hint} The Hub's public count for it is {counts} elements.".strip()
    return error


def _count_disagreement(ours: Mapping[str, int], published: Mapping[str, int]) -> tuple[str, ...]:
    if not published or sum(ours.values()) == sum(published.values()):
        return ()
    return (
        f"The Hub counts {sum(published.values()):,} elements in this repo, the snapshot {sum(ours.values()):,}.",
    )
