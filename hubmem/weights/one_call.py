"""The Hub's answer to one call for all headers of a sharded checkpoint.

{"index": {"metadata": …}, "headers": {"model-00001-of-00002.safetensors": {header}, …}}
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hubmem.weights.index import claimed_bytes, shard_path
from hubmem.weights.safetensors import Tensor, decode_json, read_tensors, read_usual

_BEGINNING, _MIDDLE, _END = '{"index":', ',"headers":{', "}}"
# Of the first shard, or of one after a comma; `canonical` says what a string and a header may hold.
_SHARD = re.compile(r'(?:(?<=\{)|,)"([^"\\\x00-\x1f]*)":(?=\{")')


class Header(NamedTuple):
    """The header of one shard.

    Attributes:
        data_nbytes: of its tensors, which follow the header in the file.
        characters: of its JSON without spaces.
    """

    tensors: list[Tensor]
    data_nbytes: int
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All headers of a checkpoint.

    Attributes:
        headers: by the shard's path in the repo.
        total_bytes: what the index claims all tensors take, or None.
    """

    headers: Mapping[str, Header]
    total_bytes: int | None


def parse(body: bytes, index: str) -> Answer | None:
    """The headers in an answer, or None where it has none.

    Args:
        body: the answer.
        index: path of the index that was asked about.

    Raises:
        MalformedWeights: a header breaks a rule of the format.
    """
    described, headers = _read_usual(body) or _read_any(body, index)
    if not headers:
        return None
    return Answer(
        headers={shard_path(index, shard): header for shard, header in headers.items()},
        total_bytes=claimed_bytes(described.get("metadata") if isinstance(described, dict) else None),
    )


def _read_usual(body: bytes) -> tuple[object, dict[str, Header]] | None:
    """What an answer without spaces says, each header in its usual form; None for any other."""
    try:
        text = body.decode()
        middle = text.index(_MIDDLE)
        described = decode_json(text[len(_BEGINNING) : middle])
    except (ValueError, RecursionError):
        return None
    headers: dict[str, Header] = {}
    at = middle + len(_MIDDLE)
    while shard := _SHARD.match(text, at):
        start, at = shard.end(), text.find(_END, shard.end()) + len(_END)
        read = read_usual(text, start, at)
        if read is None or shard[1] in headers:
            return None
        headers[shard[1]] = Header(*read, characters=at - start)
    whole = text.startswith(_BEGINNING) and text[at:] == _END
    return (described, headers) if whole else None


def _read_any(body: bytes, index: str) -> tuple[object, dict[str, Header]]:
    try:
        answer = decode_json(body.decode())
    except (ValueError, RecursionError):
        return None, {}
    headers = answer.get("headers") if isinstance(answer, dict) else None
    if not isinstance(headers, dict):
        return None, {}
    return answer.get("index"), {
        shard: Header(
            *read_tensors(header, shard_path(index, shard)),
            characters=len(json.dumps(header, separators=(",", ":"), ensure_ascii=False)),
        )
        for shard, header in headers.items()
    }
