"""What the Hub's API says of a model: its files, its commit and the Hub's own counts, read by type.

Source: https://huggingface.co/docs/hub/api
"""

from collections.abc import Mapping
from typing import Any

from hubmem.errors import UnreadableRepo
from hubmem.hub.source import FileEntry, Gate, Listing, Origin

# Of a model; more would not fit the columns of a table either.
_LARGEST_COUNT = 2**60


def parse_model_info(info: Mapping[str, Any], revision: str | None) -> Listing:
    """The listing in a `/api/models/{id}?blobs=true` answer.

    Raises:
        UnreadableRepo: the answer lacks what every Hub has sent for years.
    """
    repo, commit, siblings = info.get("id"), commit_of(info), info.get("siblings")
    try:
        files = dict(map(_file_entry, siblings)) if isinstance(siblings, list) else None
    except (KeyError, TypeError, AttributeError):
        files = None
    if not isinstance(repo, str) or commit is None or files is None:
        raise UnreadableRepo(
            "The Hub's answer about a repo lacks its id, its commit or its files.",
            hint="Is HF_ENDPOINT a Hub?",
        )
    return Listing(
        repo=repo,
        revision=revision,
        commit=commit,
        gated=gate_of(info),
        origin=Origin.HUB,
        files=files,
        published_counts=counts_of(info),
    )


def commit_of(info: Mapping[str, Any]) -> str | None:
    """The commit that the answer is about, where it tells."""
    commit = info.get("sha")
    return commit if isinstance(commit, str) else None


def gate_of(info: Mapping[str, Any]) -> Gate:
    """How access is granted; None where the repo is open."""
    gated = info.get("gated")
    return gated if gated in ("auto", "manual") else None


def counts_of(info: Mapping[str, Any]) -> dict[str, int]:
    """Elements by dtype as the Hub counts them, {} where it does not say."""
    described = info.get("safetensors")
    counts = described.get("parameters") if isinstance(described, Mapping) else None
    if not isinstance(counts, Mapping):
        return {}
    return {
        name: count for name, count in counts.items() if type(count) is int and 0 < count < _LARGEST_COUNT
    }


def _file_entry(sibling: Mapping[str, Any]) -> tuple[str, FileEntry]:
    large, blob = sibling.get("lfs"), sibling.get("blobId")
    content_id = f"sha256:{large['sha256']}" if large else f"git:{blob}" if blob else None
    path, nbytes = sibling["rfilename"], (large or sibling)["size"]
    if not isinstance(path, str) or type(nbytes) is not int:
        raise TypeError("a file's name or size")
    return path, FileEntry(nbytes=nbytes, content_id=content_id)
