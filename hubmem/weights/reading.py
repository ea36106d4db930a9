"""From a source to a census: read what is not stored already, in the fewest requests.

The only code of `weights/` that asks a source for anything; what comes back is decided by pure functions.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubmem import dtypes, json_text
from hubmem.errors import MalformedWeights, NoWeights
from hubmem.hub.source import FileEntry, HeadRequest, Listing, Origin, Source
from hubmem.weights import counting, one_call
from hubmem.weights.census import Census, dump_groups, fold_file, load_groups
from hubmem.weights.components import components, guide
from hubmem.weights.formats import FORMATS, Contents, Format
from hubmem.weights.index import Index, parse_index
from hubmem.weights.layout import EVERYTHING, Layout, Selection, choose
from hubmem.weights.quantization_config import read_quantization
from hubmem.weights.roles import Role

_Read = dict[str, Contents]

# The kinds of facts kept by content: the folded tensors and config of a weight file, the facts of an index.
_TENSORS, _CONFIG, _INDEX = "tensors", "config", "index"
_METADATA_BYTES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A component of a repo.

    Attributes:
        name: its folder, such as `text_encoder`, or "" for the root.
        kind: its class, such as `UNet2DConditionModel`, or "".
        census: its tensors, counted.
    """

    name: str
    kind: str
    census: Census


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All weights of a repo.

    Attributes:
        census: of all of them; counted where there are components.
        layout: where the first of them lie.
        parts: the components, where there are several; else empty.
    """

    census: Census
    layout: Layout
    parts: tuple[Part, ...] = ()


def largest(parts: Sequence[Part]) -> Part | None:
    """The part of a pipeline that decides what a device holds where it holds one at a time; None without a pipeline.

    Source: `enable_model_cpu_offload` of diffusers 0.36, which moves whole components.
    """
    named = [part for part in parts if part.name]
    is_pipeline = len(named) == len(parts)
    return max(named, key=lambda part: part.census.loaded_bytes, default=None) if is_pipeline else None


def read_weights(source: Source, selection: Selection = EVERYTHING) -> Weights:
    """Every tensor of a repo, with its components told apart.

    Raises:
        NoWeights: none that can be read.
        MalformedWeights: a file or the index breaks its format, or a named shard is missing.
        HubmemError: the source cannot be read.
    """
    paths = source.listing().files
    guide_name = guide(paths, selection)
    guide_text = source.text(guide_name) if guide_name else None
    if guide_name is None or guide_text is None:
        layout = choose(paths, selection)
        return Weights(census=read_census(source, layout), layout=layout)
    layouts = components(paths, guide_name, guide_text, selection)
    if len(layouts) == 1:
        return Weights(census=read_census(source, layouts[0]), layout=layouts[0])
    censuses = [
        _counted(source, layout, census)
        for layout, census in zip(layouts, _read_several(source, layouts), strict=True)
    ]
    parts = tuple(
        Part(name=layout.part, kind=layout.kind, census=census)
        for layout, census in zip(layouts, censuses, strict=True)
    )
    return Weights(census=joined(censuses), layout=layouts[0], parts=parts)


def read_census(source: Source, layout: Layout) -> Census:
    """Every tensor of one layout's files.

    Raises:
        MalformedWeights: a file or the index breaks its format, or a named shard is missing.
        HubmemError: the source cannot be read.
    """
    listing = source.listing()
    form = _format(layout)
    if layout.index is None:
        return _census(listing, layout, _files(source, listing, layout.files, form), None)
    if layout.format == "safetensors" and not _any_stored(source, listing):
        answer = _one_call(source, listing, layout.index)
        if answer:
            return _census(listing, layout, *answer)
    index = _index(source, listing, layout.index)
    return _census(listing, layout, _files(source, listing, tuple(index.tensors), form, index), index)


def joined(censuses: Sequence[Census]) -> Census:
    """Several censuses as one."""
    first = censuses[0]
    return Census(
        groups=tuple(group for census in censuses for group in census.groups),
        format=first.format,
        files=sum(census.files for census in censuses),
        basis=first.basis,
        notes=tuple(dict.fromkeys(note for census in censuses for note in census.notes)),
    )


def _read_several(source: Source, layouts: Sequence[Layout]) -> list[Census]:
    """The censuses of several layouts, all their files asked for at once."""
    listing = source.listing()
    indexes = [_index(source, listing, layout.index) if layout.index else None for layout in layouts]
    files = [
        tuple(index.tensors) if index else layout.files
        for layout, index in zip(layouts, indexes, strict=True)
    ]
    read: _Read = {}
    for name in dict.fromkeys(layout.format for layout in layouts):
        wanted = [
            path
            for layout, held in zip(layouts, files, strict=True)
            if layout.format == name
            for path in held
        ]
        read |= _files(source, listing, wanted, FORMATS[name])
    return [
        _census(listing, layout, {path: read[path] for path in held}, index)
        for layout, held, index in zip(layouts, files, indexes, strict=True)
    ]


def _counted(source: Source, layout: Layout, census: Census) -> Census:
    """The tensors of a component as it has them; its config is asked for only where something is packed."""
    quantization = None
    if any(not dtypes.of(group.dtype).floating and group.role is not Role.BUFFER for group in census.groups):
        path = posixpath.join(layout.folder, "config.json")
        text = source.text(path)
        quantization = read_quantization(json_text.parse(text, path, dict)) if text is not None else None
    return counting.count(census, quantization=quantization)


def _census(listing: Listing, layout: Layout, read: _Read, index: Index | None) -> Census:
    contents = read.values()
    return Census(
        groups=tuple(group for content in contents for group in content.groups),
        format=layout.format,
        files=listing.weight_files or len(read),
        basis="bundled" if listing.origin is Origin.BUNDLED else _format(layout).basis,
        config=next((content.config for content in contents if content.config), None),
        notes=(*layout.notes, *(_disagreements(layout.index, index, read) if layout.index and index else ())),
    )


def _disagreements(path: str, index: Index, read: _Read) -> Iterator[str]:
    """Where an index does not describe its shards: the shards are right, because they are what is loaded."""
    for shard, tensors in index.tensors.items():
        held = sum(group.count for group in read[shard].groups)
        if held != tensors:
            yield f"{path} names {tensors:,} tensors in {shard}, which holds {held:,}."
    stored = sum(group.nbytes for content in read.values() for group in content.groups)
    if index.total_bytes not in (None, stored):
        yield f"{path} claims {index.total_bytes:,} bytes in all; the tensors take {stored:,}."


def _format(layout: Layout) -> Format:
    form = FORMATS.get(layout.format)
    if form is None:
        raise NoWeights(f"The repo's weights are in a format that hubmem does not read: {layout.format}.")
    return form


def _index(source: Source, listing: Listing, path: str) -> Index:
    """The facts of an index, stored or read, with every shard it names at hand."""
    content = _content_id(listing, path)
    stored = source.contents.get(content, _INDEX) if source.contents and content else None
    if stored is not None:
        tensors, total = json.loads(stored)
        index = Index(tensors=tensors, name_characters={}, total_bytes=total)
    else:
        text = source.text(path)
        if text is None:
            raise MalformedWeights(path, "listed, but it cannot be read.")
        index = parse_index(text, path)
        _store_index(source, listing, path, index)
    missing = next((shard for shard in index.tensors if shard not in listing.files), None)
    if missing:
        raise MalformedWeights(path, f"it names {missing}, which the repo does not have.")
    return index


def _one_call(source: Source, listing: Listing, index: str) -> tuple[_Read, Index] | None:
    """All headers by the Hub's one call; None where it has none or speaks of another commit."""
    body = source.shard_headers(index)
    answer = one_call.parse(body, index) if body is not None else None
    if answer is None:
        return None
    read: _Read = {}
    for path, header in answer.headers.items():
        entry = listing.files.get(path)
        # However its writer spaces it, a header takes at most twice the characters it needs.
        if (
            entry is None
            or not 8 < entry.nbytes - header.data_nbytes <= _METADATA_BYTES + 2 * header.characters
        ):
            # The answer is bound to the branch, not to the listing's commit: read the files themselves.
            return None
        read[path] = Contents(groups=fold_file(header.tensors, path))
    counts = {path: len(header.tensors) for path, header in answer.headers.items()}
    facts = Index(tensors=counts, name_characters={}, total_bytes=answer.total_bytes)
    _store(source, listing, read)
    _store_index(source, listing, index, facts)
    return read, facts


def _files(
    source: Source, listing: Listing, paths: Sequence[str], form: Format, index: Index | None = None
) -> _Read:
    stored = {path: held for path in paths if (held := _stored(source, listing, path, form)) is not None}
    wanted = [path for path in paths if path not in stored]
    heads = source.heads(
        [HeadRequest(path=path, first=_first_read(path, form, index), needed=form.needed) for path in wanted]
    )
    read = {
        path: form.read(head, path, listing.files[path].nbytes)
        for path, head in zip(wanted, heads, strict=True)
    }
    _store(source, listing, read)
    return {path: stored.get(path) or read[path] for path in paths}


def _first_read(path: str, form: Format, index: Index | None) -> int:
    """How long a shard's header should be, from the names the index puts in it; rather more than less."""
    if index is None or path not in index.name_characters or form.entry_bytes is None:
        return form.first_read
    return _METADATA_BYTES + index.name_characters[path] + form.entry_bytes * index.tensors[path]


def _content_id(listing: Listing, path: str) -> str | None:
    return listing.files.get(path, FileEntry(nbytes=0)).content_id


def _stored(source: Source, listing: Listing, path: str, form: Format) -> Contents | None:
    content = _content_id(listing, path)
    if source.contents is None or content is None:
        return None
    groups = source.contents.get(content, _TENSORS)
    config = source.contents.get(content, _CONFIG) if form.has_config else None
    described: Mapping[str, Any] | None = json.loads(config) if config else None
    return None if groups is None else Contents(groups=load_groups(groups, path), config=described)


def _any_stored(source: Source, listing: Listing) -> bool:
    """Whether some shard was read before: one call for all headers would then read it again."""
    paths = [path for path in listing.files if path.endswith(".safetensors")]
    contents = source.contents
    return contents is not None and any(
        contents.get(content, _TENSORS) is not None
        for path in paths
        if (content := _content_id(listing, path))
    )


def _store(source: Source, listing: Listing, read: _Read) -> None:
    if source.contents is None:
        return
    with source.contents.batch():
        for path, content in read.items():
            if key := _content_id(listing, path):
                source.contents.put(key, _TENSORS, dump_groups(content.groups))
                if content.config:
                    source.contents.put(key, _CONFIG, json.dumps(content.config).encode())


def _store_index(source: Source, listing: Listing, path: str, index: Index) -> None:
    if source.contents is not None and (content := _content_id(listing, path)):
        source.contents.put(content, _INDEX, json.dumps([index.tensors, index.total_bytes]).encode())
