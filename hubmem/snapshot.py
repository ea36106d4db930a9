"""A model as it was found: its files, its config and its tensors; everything after it is pure."""

import posixpath
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hubmem import json_text
from hubmem.errors import GatedRepo, HubmemError, HubUnreachable, NotCached
from hubmem.hub import bundled
from hubmem.hub.conversion import open_conversion
from hubmem.hub.opening import IMAGE_SETTINGS, Opened, open_model, open_stored
from hubmem.hub.source import Cost, Listing, Source
from hubmem.models.config import Config, parse_config
from hubmem.units import format_count
from hubmem.weights.adapters import ADAPTER_CONFIG, Adapter, changes, parse_adapter
from hubmem.weights.census import Census
from hubmem.weights.layout import EVERYTHING, Layout, Selection
from hubmem.weights.quantization_config import SIDE_FILES
from hubmem.weights.reading import Part, Weights, joined, read_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was read of a model.

    Attributes:
        config: of `config.json` or of the weight files themselves, or None where neither has one.
        census: all tensors; with an adapter, those of its base and its own.
        parts: the components of a repo of several models, else empty.
        alternatives: other whole models in the same folder, of which one was picked.
        adapter: the changes to a base model that the repo holds, or None.
        seconds: from opening to the last byte read.
        quantization_file: the object in a file beside config.json that tells how weights are quantized, or None.
        image_settings: of its image processor, None where they were not asked for or cannot be read.
        stands_in: a sentence that says what stands in for the Hub's files and why; "" where nothing does.
    """

    listing: Listing
    config: Config | None
    census: Census
    cost: Cost
    seconds: float
    parts: tuple[Part, ...] = ()
    alternatives: tuple[Layout, ...] = ()
    adapter: Adapter | None = None
    quantization_file: Mapping[str, Any] | None = None
    image_settings: Config | None = None
    stands_in: str = ""
    notes: tuple[str, ...] = ()


def take_snapshot(opened: Opened, selection: Selection = EVERYTHING) -> Snapshot:
    """Read a repo or a folder; where the Hub cannot be read, what is stored or bundled stands in, and says so.

    Args:
        opened: the model.
        selection: which of its files are meant.

    Raises:
        HubmemError: it cannot be read, and nothing stands in.
    """
    if opened.source is None:
        assert opened.refusal is not None
        return _stand_in(opened.refusal, opened, selection)
    try:
        return _read(opened.source, opened, selection)
    except GatedRepo as error:
        return _stand_in(error, opened, selection, opened.source.listing())
    except NotCached as error:
        return _stand_in(error, opened, selection)
    except HubUnreachable as error:
        with suppress(HubmemError):
            stored = _read(open_stored(opened.repo, opened.access), opened, selection)
            return replace(stored, stands_in=f"{error} The answer is from what was stored before.")
        return _stand_in(error, opened, selection)


def with_conversion(snapshot: Snapshot, opened: Opened) -> Snapshot:
    """The snapshot of pickled weights with a note on the pull request that has them as safetensors, if one is open."""
    source = opened.source
    if source is None or snapshot.stands_in or snapshot.census.format != "torch":
        return snapshot
    ref = open_conversion(source)
    offer = f"{ref} is an open pull request with these weights as safetensors: hubmem {opened.repo}@{ref} reads it."
    return replace(snapshot, cost=source.cost, notes=(*snapshot.notes, *((offer,) if ref else ())))


def _read(source: Source, opened: Opened, selection: Selection) -> Snapshot:
    listing = source.listing()
    # Weights first: config.json is already under way while their headers are asked for.
    weights = read_weights(source, selection)
    # The modules of sentence-transformers follow a model at the root; the parts of a pipeline have a config each.
    config = _config(source, weights) if not weights.parts or not weights.parts[0].name else None
    quantization_file = _quantization_file(source, listing)
    image_settings = _image_settings(source) if opened.access.images else None
    snapshot = Snapshot(
        listing=listing,
        config=config,
        census=weights.census,
        # After everything is read, so that nothing is left out.
        cost=source.cost,
        seconds=time.monotonic() - opened.started,
        parts=weights.parts,
        alternatives=weights.layout.alternatives,
        quantization_file=quantization_file,
        image_settings=image_settings,
        notes=() if config or weights.parts else ("The repo has no config.json: the cache cannot be known.",),
    )
    text = source.text(ADAPTER_CONFIG) if ADAPTER_CONFIG in listing.files and config is None else None
    return _with_base(snapshot, parse_adapter(text), opened) if text is not None else snapshot


def _config(source: Source, weights: Weights) -> Config | None:
    """The config beside the weights, else the repo's, else the one in the weight files."""
    beside = posixpath.join(weights.layout.folder, "config.json")
    for path in dict.fromkeys((beside, "config.json")):
        text = source.text(path)
        if text is not None:
            return parse_config(text, path)
    return Config(weights.census.config) if weights.census.config else None


def _with_base(snapshot: Snapshot, adapter: Adapter, opened: Opened) -> Snapshot:
    """The adapter with the model it changes; alone, and with a note, where that cannot be read."""
    own = replace(snapshot, adapter=adapter, census=changes(snapshot.census), notes=())
    if adapter.base is None:
        return replace(own, notes=("The adapter names no base model: its own parameters alone are counted.",))
    access = replace(opened.access, revision=adapter.base_revision)
    try:
        base = take_snapshot(open_model(adapter.base, access))
    except HubmemError as error:
        return replace(own, notes=(f"The base model {adapter.base} is not counted: {error}",))
    return replace(
        own,
        config=base.config,
        census=joined([base.census, own.census]),
        cost=own.cost + base.cost,
        seconds=own.seconds + base.seconds,
        quantization_file=base.quantization_file,
        image_settings=base.image_settings,
        stands_in=base.stands_in,
        notes=base.notes,
    )


def _quantization_file(source: Source, listing: Listing) -> Mapping[str, Any] | None:
    path = next((name for name in SIDE_FILES if name in listing.files), "")
    text = source.text(path) if path else None
    return json_text.parse(text, path, dict) if text is not None else None


def _image_settings(source: Source) -> Config | None:
    """What transformers makes an image processor of: a part of the one file, or else the other.

    Source: transformers 5.23, models/auto/image_processing_auto.py, get_image_processor_config.
    """
    texts: dict[str, str] = {}
    for path in IMAGE_SETTINGS:
        # An earlier run without images did not store it.
        with suppress(NotCached):
            text = source.text(path)
            texts |= {path: text} if text is not None else {}
    for path, text in texts.items():
        whole = parse_config(text, path)
        settings = whole.child("image_processor") if path == IMAGE_SETTINGS[0] else whole
        if settings is not None:
            return settings
    return None


def _stand_in(
    error: HubmemError, opened: Opened, selection: Selection, listing: Listing | None = None
) -> Snapshot:
    """The bundled snapshot of a repo that cannot be read, beside what the Hub's public listing says of it.

    Raises:
        HubmemError: the same error; no snapshot is bundled, or of the repo's files others are picked.
    """
    may_stand_in = opened.access.bundled and selection == EVERYTHING
    source = bundled.find(listing.repo if listing else opened.repo) if may_stand_in else None
    if source is None:
        raise _with_public_counts(error, listing)
    snapshot = _read(source, opened, selection)
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
