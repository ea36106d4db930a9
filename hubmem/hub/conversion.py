"""An open pull request with which the Hub's bot offers pickled weights as safetensors: one request to find it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from hubmem.hub.source import Source

# The author and title that transformers looks for: `safetensors_conversion.py`, transformers 5.23.
_BOT = "SFconvertbot"
_TITLE = "Adding `safetensors` variant of this model"


def open_conversion(source: Source) -> str | None:
    """The ref of the pull request, such as `refs/pr/4`.

    Returns:
        None without one, for what is not on the Hub, and where the Hub cannot tell.
    """
    from hubmem.hub.remote import RemoteSource
    from hubmem.hub.transport import repo_path

    if not isinstance(source, RemoteSource):
        return None
    query = urlencode({"type": "pull_request", "status": "open", "author": _BOT})
    path = repo_path("api/models", source.listing().repo, "discussions")
    answer = source.ask(f"{path}?{query}")
    found = answer.get("discussions") if isinstance(answer, Mapping) else None
    numbers = [each["num"] for each in found if _is_conversion(each)] if isinstance(found, list) else []
    return f"refs/pr/{max(numbers)}" if numbers else None


def _is_conversion(discussion: Any) -> bool:
    """Whether it is the bot's, whatever the server made of the query."""
    if not isinstance(discussion, Mapping) or type(discussion.get("num")) is not int:
        return False
    author = discussion.get("author")
    return (
        discussion.get("title") == _TITLE
        and discussion.get("status") == "open"
        and bool(discussion.get("isPullRequest"))
        and isinstance(author, Mapping)
        and author.get("name") == _BOT
    )
