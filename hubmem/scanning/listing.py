"""The Hub's own lists of models, a page at a time: which there are, at which commit, with which files.

A page costs one request and tells of up to 1,000 repos what would cost a request each: that a repo has not
changed since it was read, or that it holds no weights.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any
from urllib.parse import urlencode, urlsplit

from hubmem.errors import NoWeights, UnreadableRepo
from hubmem.hub.model_info import commit_of
from hubmem.hub.transport import Answer, Transport
from hubmem.scanning import counts
from hubmem.scanning.naming import as_text
from hubmem.scanning.skipped import Skipped, skipped
from hubmem.snapshot import Snapshot
from hubmem.weights import layout

# The Hub's orders by huggingface_hub's names for them, which are those of its Python API.
SORTS: Mapping[str, str] = {
    "trending_score": "trendingScore",
    "downloads": "downloads",
    "likes": "likes",
    "last_modified": "lastModified",
    "created_at": "createdAt",
}
PAGE_SIZE = 1000
# A thousand repos with the names of their files.
_LARGEST_PAGE = 256 * 2**20
_TRIES = 3
_OWNERS_OF_SEVERAL = (
    "SELECT owner, sum(stored) FROM named WHERE owner <> '' GROUP BY owner HAVING sum(stored) > 1"
)
_NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which of the Hub's models are meant; an empty one means all.

    Attributes:
        filters: tags that all of them have.
        sort: one of `SORTS`.
        limit: at most so many.
    """

    author: str | None = None
    search: str | None = None
    filters: tuple[str, ...] = ()
    sort: str | None = None
    limit: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether it leaves any models out."""
        return bool(self.author or self.search or self.filters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A repo to be answered for, and what is known of it beforehand.

    Attributes:
        commit: the head of its default branch, or None where no list has told.
        known: what takes the place of reading it: the list's own counts, or why it need not be read.
    """

    repo: str
    commit: str | None = None
    known: Snapshot | Skipped | None = None


def listed(transport: Transport, search: Search, *, by_counts: bool = False) -> Iterator[Candidate]:
    """The models a search finds, in the Hub's order.

    Args:
        transport: to the Hub.
        search: which models.
        by_counts: whether the list's own counts are to take the place of reading each repo.

    Raises:
        HubmemError: a page cannot be read.
    """
    fields = ("sha", "siblings", *(counts.FIELDS if by_counts else ()))
    rows = chain.from_iterable(_pages(transport, search, fields))
    return (_candidate(row, by_counts=by_counts) for row in islice(rows, search.limit))


def with_heads(
    repos: Iterable[str], transport: Transport, is_stored: Callable[[str], bool]
) -> Iterator[Candidate]:
    """The same repos with the commits they are at now, as far as few requests can tell.

    An owner's list is read where several of his repos are stored, and no further than reading them one by one
    would cost. What no list has told is asked of the repo itself, later.
    """
    with closing(sqlite3.connect("")) as spool:  # a file of its own, which goes with the connection
        spool.execute("CREATE TABLE named (position INTEGER PRIMARY KEY, repo UNIQUE, owner, stored, head)")
        spool.executemany(
            "INSERT OR IGNORE INTO named (repo, owner, stored) VALUES (?, ?, ?)",
            ((repo, _owner(repo), is_stored(repo)) for repo in repos),
        )
        for owner, most_pages in spool.execute(_OWNERS_OF_SEVERAL).fetchall():
            for page in islice(_pages(transport, Search(author=owner), ("sha",)), most_pages):
                heads = [(commit_of(row), as_text(row["id"])) for row in page]
                spool.executemany("UPDATE named SET head = ? WHERE repo = ?", heads)
        for repo, head in spool.execute("SELECT repo, head FROM named ORDER BY position"):
            yield Candidate(repo=repo, commit=head)


def _owner(repo: str) -> str:
    """Whose list shows the commit that a name stands for; "" for none.

    >>> _owner("org/name"), _owner("org/name@refs/pr/4"), _owner("./folder")
    ('org', '', '')
    """
    owner, slash, _ = repo.partition("/")
    return owner if slash and "@" not in repo and not repo.startswith((".", "/", "~")) else ""


def _pages(transport: Transport, search: Search, fields: Sequence[str]) -> Iterator[list[Mapping[str, Any]]]:
    path: str | None = "/api/models?" + urlencode(_query(search, fields), doseq=True)
    while path:
        page, path = _page(transport, path)
        yield page


def _query(search: Search, fields: Sequence[str]) -> dict[str, Any]:
    asked = {
        "author": search.author,
        "search": search.search,
        "filter": search.filters,
        "sort": SORTS[search.sort] if search.sort else None,
        "limit": min(search.limit or PAGE_SIZE, PAGE_SIZE),
        "expand": fields,
    }
    return {name: value for name, value in asked.items() if value}


def _page(transport: Transport, path: str) -> tuple[list[Mapping[str, Any]], str | None]:
    """One page, and where the next one is."""
    for _ in range(_TRIES):
        answer = transport.get(path, most=_LARGEST_PAGE)
        rows = _rows(answer)
        if rows is not None:
            return rows, _next_path(answer)
    raise UnreadableRepo("The Hub's list of models is not JSON.", hint="Is HF_ENDPOINT a Hub?")


def _rows(answer: Answer) -> list[Mapping[str, Any]] | None:
    try:
        page = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(page, list) and all(
        isinstance(row, dict) and isinstance(row.get("id"), str) for row in page
    )
    return page if is_list else None


def _next_path(answer: Answer) -> str | None:
    """The path of the next page; a mirror may name the Hub's own host, which was not asked."""
    link = _NEXT.search(answer.headers.get("link", ""))
    if link is None:
        return None
    url = urlsplit(link[1])
    return f"{url.path}?{url.query}"


def _candidate(row: Mapping[str, Any], *, by_counts: bool) -> Candidate:
    known: Snapshot | Skipped | None = _without_weights(row)
    if known is None and by_counts:
        known = counts.counted(row)
    return Candidate(repo=as_text(row["id"]), commit=commit_of(row), known=known)


def _without_weights(row: Mapping[str, Any]) -> Skipped | None:
    """Why a repo that has no file of a readable format is passed over, as reading it would say."""
    try:
        names = [str(file["rfilename"]) for file in row["siblings"]]
    except (KeyError, TypeError):
        return None  # reading it will tell
    if any(map(layout.is_weights, names)):
        return None
    try:
        layout.choose(names)
    except NoWeights as error:
        return skipped(as_text(row["id"]), error, commit=commit_of(row))
    return None
