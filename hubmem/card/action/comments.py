"""One comment on a pull request, written again instead of repeated.

Source: https://docs.github.com/rest/issues/comments
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hubmem.card.action.runner import shorten

_SECONDS = 20
_PAGE = 100
# GitHub accepts 65,536 characters.
_LARGEST_BODY = 65_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comments:
    """The comments of one pull request.

    Attributes:
        api: address of GitHub's API.
        repository: `owner/name`.
        number: of the pull request.
    """

    api: str
    repository: str
    number: int
    token: str

    def keep(self, key: str, body: str, *, create: bool) -> str:
        """Write a comment anew, or create it.

        Args:
            key: tells this comment from others of the same Action.
            body: Markdown.
            create: whether to create it where there is none yet.

        Returns:
            Why that was not possible, or "".
        """
        marker = f"<!-- hubmem:comment {key} -->"
        content = {"body": shorten(f"{marker}\n{body}", _LARGEST_BODY)}
        issues = f"/repos/{self.repository}/issues"
        try:
            found = next(
                (each["id"] for each in self._all() if (each["body"] or "").startswith(marker)), None
            )
            if found is not None:
                self._call("PATCH", f"{issues}/comments/{found}", content)
            elif create:
                self._call("POST", f"{issues}/{self.number}/comments", content)
        except HTTPError as error:
            error.close()
            return f"GitHub answered {error.code} to {error.url}."
        except (URLError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"GitHub could not be asked: {error}."
        return ""

    def _all(self) -> Iterator[Mapping[str, Any]]:
        page = 1
        while True:
            query = f"?per_page={_PAGE}&page={page}"
            comments = self._call("GET", f"/repos/{self.repository}/issues/{self.number}/comments{query}")
            yield from comments
            if len(comments) < _PAGE:
                return
            page += 1

    def _call(self, method: str, path: str, content: Mapping[str, str] | None = None) -> Any:
        request = Request(  # noqa: S310 - the address is the runner's word for GitHub's API
            f"{self.api}{path}",
            data=json.dumps(content).encode() if content else None,
            method=method,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "hubmem",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            return json.load(answer)
