"""From a source to a census: read what is not stored already, in the fewest requests.

The only code of `weights/` that asks a source for anything; what comes back is decided by pure functions.
"""

import json
from collections.abc import Mapping, Sequence

from hubmem.errors import MalformedWeights
from hubmem.hub.source import FileEntry, HeadRequest, Listing, Origin, Source
from hubmem.weights import safetensors
from hubmem.weights.census import Basis, Census, TensorGroup, dump_groups, fold_file, load_groups
from hubmem.weights.layout import Layout, shard_path, shards_in

_Groups = dict[str, tuple[TensorGroup, ...]]

# The kinds of facts kept by content: the folded tensors of a weight file, the shard names of an index.
_TENSORS, _SHARDS = "tensors", "shards"
# 64 KiB covers 73 % of the headers of single-file repos in one read.
_FIRST_READ = 64 * 1024
# `:{"dtype":"BF16","shape":[16384,53248],"data_offsets":[17179869184,18924699648]},` and the name's quotes.
_ENTRY_BYTES = 90
_METADATA_BYTES = 128


def read_census(source: Source, layout: Layout) -> Census:
    """Every tensor of the layout's files.

    Raises:
        MalformedWeights: a header or the index breaks its format, or a named shard is missing.
        HubmemError: the source cannot be read.
    """
    listing = source.listing()
    read = (
        _sharded(source, listing, layout.index) if layout.index else _files(source, listing, layout.files, {})
    )
    basis: Basis = "bundled" if listing.origin is Origin.BUNDLED else "headers"
    return Census(
        groups=tuple(group for groups in read.values() for group in groups),
        format="safetensors",
        files=listing.weight_files or len(read),
        basis=basis,
        notes=layout.notes,
    )


def _sharded(source: Source, listing: Listing, index: str) -> _Groups:
    """One call for all headers where none is stored yet; else the index, and the changed shards alone."""
    if not _any_stored(source, listing):
        read = _one_call(source, listing, index)
        if read is not None:
            _store_shards(source, listing, index, tuple(read))
            return read
    shards = _stored_shards(source, listing, index)
    expected: Mapping[str, int] = {}
    if shards is None:
        text = source.text(index)
        if text is None:
            raise MalformedWeights(index, "listed, but it cannot be read.")
        shards = shards_in(text, index)
        expected = _expected_header_bytes(text, index)
        _store_shards(source, listing, index, shards)
    missing = [shard for shard in shards if shard not in listing.files]
    if missing:
        raise MalformedWeights(index, f"it names {missing[0]}, which the repo does not have.")
    return _files(source, listing, shards, expected)


def _one_call(source: Source, listing: Listing, index: str) -> _Groups | None:
    body = source.shard_headers(index)
    if body is None:
        return None
    answer = safetensors.load_header(body, index)
    headers = answer.get("headers")
    if not isinstance(headers, dict) or not headers:
        return None
    read: _Groups = {}
    for shard, header in headers.items():
        path = shard_path(index, shard)
        tensors, end = safetensors.read_tensors(header, path)
        entry = listing.files.get(path)
        if entry is None or not 8 < entry.nbytes - end <= _longest_header(header):
            # The answer is bound to the branch, not to the listing's commit: read the files themselves.
            return None
        read[path] = fold_file(tensors, path)
    _store(source, listing, read)
    return read


def _longest_header(header: Mapping[str, object]) -> int:
    """Bytes a header of these tensors takes at most, however its writer spaces it."""
    return _METADATA_BYTES + 2 * (
        len(str(header.get("__metadata__"))) + sum(map(len, header)) + _ENTRY_BYTES * len(header)
    )


def _files(source: Source, listing: Listing, paths: Sequence[str], expected: Mapping[str, int]) -> _Groups:
    stored = {path: groups for path in paths if (groups := _stored(source, listing, path)) is not None}
    wanted = [path for path in paths if path not in stored]
    heads = source.heads(
        [
            HeadRequest(path=path, first=expected.get(path, _FIRST_READ), needed=safetensors.bytes_needed)
            for path in wanted
        ]
    )
    read: _Groups = {}
    for path, head in zip(wanted, heads, strict=True):
        tensors = safetensors.parse_file(head, path=path, file_nbytes=listing.files[path].nbytes)
        read[path] = fold_file(tensors, path)
    _store(source, listing, read)
    return stored | read


def _expected_header_bytes(index_text: str, index: str) -> dict[str, int]:
    """How long each shard's header should be, from the names the index puts in it; rather more than less."""
    expected: dict[str, int] = {}
    for name, shard in json.loads(index_text)["weight_map"].items():
        path = shard_path(index, shard)
        expected[path] = expected.get(path, _METADATA_BYTES) + len(name) + _ENTRY_BYTES
    return expected


def _content_id(listing: Listing, path: str) -> str | None:
    return listing.files.get(path, FileEntry(nbytes=0)).content_id


def _stored(source: Source, listing: Listing, path: str) -> tuple[TensorGroup, ...] | None:
    content = _content_id(listing, path)
    stored = source.contents.get(content, _TENSORS) if source.contents and content else None
    return load_groups(stored, path) if stored is not None else None


def _any_stored(source: Source, listing: Listing) -> bool:
    paths = [path for path in listing.files if path.endswith(".safetensors")]
    contents = source.contents
    return contents is not None and any(
        contents.get(content, _TENSORS) is not None
        for path in paths
        if (content := _content_id(listing, path))
    )


def _store(source: Source, listing: Listing, read: Mapping[str, tuple[TensorGroup, ...]]) -> None:
    if source.contents is None:
        return
    with source.contents.batch():
        for path, groups in read.items():
            if content := _content_id(listing, path):
                source.contents.put(content, _TENSORS, dump_groups(groups))


def _stored_shards(source: Source, listing: Listing, index: str) -> tuple[str, ...] | None:
    content = _content_id(listing, index)
    stored = source.contents.get(content, _SHARDS) if source.contents and content else None
    return tuple(json.loads(stored)) if stored is not None else None


def _store_shards(source: Source, listing: Listing, index: str, shards: Sequence[str]) -> None:
    if source.contents is not None and (content := _content_id(listing, index)):
        source.contents.put(content, _SHARDS, json.dumps(list(shards)).encode())
