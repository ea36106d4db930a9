"""Quantized versions of a model that others have published: one request for the Hub's list of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from hubmem.hub.source import Source

_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """A repo that names the model as what it quantizes.

    Attributes:
        words: its tags and the words of its name, lower-case: among them how it is quantized.
    """

    repo: str
    words: frozenset[str]


def quantized_siblings(source: Source) -> tuple[Sibling, ...]:
    """The most downloaded quantized versions of a repo.

    None for what is not on the Hub, and where the Hub cannot tell.

    Source: https://huggingface.co/docs/hub/model-cards#specifying-a-base-model
    """
    from hubmem.hub.remote import RemoteSource

    if not isinstance(source, RemoteSource):
        return ()
    base = f"base_model:quantized:{source.listing().repo}"
    query = {"filter": base, "sort": "downloads", "limit": _MOST, "expand": "tags"}
    rows = source.ask(f"/api/models?{urlencode(query)}")
    return tuple(map(_sibling, filter(_is_named, rows))) if isinstance(rows, list) else ()


def _is_named(row: Any) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("id"), str)


def _sibling(row: Mapping[str, Any]) -> Sibling:
    tags = row.get("tags")
    tags = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    name = row["id"].rpartition("/")[2].replace("-", " ").replace("_", " ").replace(".", " ")
    return Sibling(repo=row["id"], words=frozenset(" ".join([*tags, name]).lower().split()))
