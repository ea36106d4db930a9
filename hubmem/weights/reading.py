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
from hubmem.hub.source import HeadRequest, Origin, Source
from hubmem.weights import counting, one_call
from hubmem.weights.census import Census, dump_groups, fold_file, load_groups
from hubmem.weights.components import components, list_file
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
    list_path = list_file(paths, selection)
    list_text = source.text(list_path) if list_path else None
    if list_path is None or list_text is None:
        layout = choose(paths, selection)
        return Weights(census=read_census(source, layout), layout=layout)
    layouts = components(paths, list_path, list_text, selection)
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
    form = _format(layout)
    if layout.index is None:
        return _census(source, layout, _files(source, layout.files, form), None)
    if layout.format == "safetensors" and not _any_stored(source):
        answer = _one_call(source, layout.index)
        if answer:
            return _census(source, layout, *answer)
    index = _index(source, layout.index)
    return _census(source, layout, _files(source, tuple(index.tensors), form, index), index)


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
    indexes = [_index(source, layout.index) if layout.index else None for layout in layouts]
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
        read |= _files(source, wanted, FORMATS[name])
    return [
        _census(source, layout, {path: read[path] for path in held}, index)
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


def _census(source: Source, layout: Layout, read: _Read, index: Index | None) -> Census:
    listing, contents = source.listing(), read.values()
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


def _index(source: Source, path: str) -> Index:
    """The facts of an index, stored or read, with every shard it names at hand."""
    stored = _fact(source, path, _INDEX)
    if stored is not None:
        tensors, total = json.loads(stored)
        index = Index(tensors=tensors, name_characters={}, total_bytes=total)
    else:
        text = source.text(path)
        if text is None:
            raise MalformedWeights(path, "listed, but it cannot be read.")
        index = parse_index(text, path)
        _store_index(source, path, index)
    missing = next((shard for shard in index.tensors if shard not in source.listing().files), None)
    if missing:
        raise MalformedWeights(path, f"it names {missing}, which the repo does not have.")
    return index


def _one_call(source: Source, index: str) -> tuple[_Read, Index] | None:
    """All headers by the Hub's one call; None where it has none or speaks of another commit."""
    body = source.shard_headers(index)
    answer = one_call.parse(body, index) if body is not None else None
    if answer is None:
        return None
    read: _Read = {}
    for path, header in answer.headers.items():
        entry = source.listing().files.get(path)
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
    _store(source, read)
    _store_index(source, index, facts)
    return read, facts


def _files(source: Source, paths: Sequence[str], form: Format, index: Index | None = None) -> _Read:
    """What the files hold, in their order: as it was stored, or read and then stored."""
    stored = {path: held for path in paths if (held := _stored(source, path, form)) is not None}
    wanted = [path for path in paths if path not in stored]
    heads = source.heads(
        [HeadRequest(path=path, first=_first_read(path, form, index), needed=form.needed) for path in wanted]
    )
    entries = source.listing().files
    read = {
        path: form.read(head, path, entries[path].nbytes) for path, head in zip(wanted, heads, strict=True)
    }
    _store(source, read)
    found = stored | read
    return {path: found[path] for path in paths}


def _first_read(path: str, form: Format, index: Index | None) -> int:
    """How long a shard's header should be, from the names the index puts in it; rather more than less."""
    if index is None or path not in index.name_characters or form.entry_bytes is None:
        return form.first_read
    return _METADATA_BYTES + index.name_characters[path] + form.entry_bytes * index.tensors[path]


def _content_id(source: Source, path: str) -> str | None:
    entry = source.listing().files.get(path)
    return entry.content_id if entry else None


def _fact(source: Source, path: str, kind: str) -> bytes | None:
    """A fact of some kind that was stored of a file's content, or None."""
    content = _content_id(source, path)
    return source.contents.get(content, kind) if source.contents and content else None


def _stored(source: Source, path: str, form: Format) -> Contents | None:
    groups = _fact(source, path, _TENSORS)
    if groups is None:
        return None
    config = _fact(source, path, _CONFIG) if form.has_config else None
    described: Mapping[str, Any] | None = json.loads(config) if config else None
    return Contents(groups=load_groups(groups, path), config=described)


def _any_stored(source: Source) -> bool:
    """Whether some shard was read before: one call for all headers would then read it again."""
    paths = (path for path in source.listing().files if path.endswith(".safetensors"))
    return any(_fact(source, path, _TENSORS) is not None for path in paths)


def _store(source: Source, read: _Read) -> None:
    if source.contents is None:
        return
    with source.contents.batch():
        for path, content in read.items():
            if key := _content_id(source, path):
                source.contents.put(key, _TENSORS, dump_groups(content.groups))
                if content.config:
                    source.contents.put(key, _CONFIG, json.dumps(content.config).encode())


def _store_index(source: Source, path: str, index: Index) -> None:
    if source.contents and (content := _content_id(source, path)):
        source.contents.put(content, _INDEX, json.dumps([index.tensors, index.total_bytes]).encode())
