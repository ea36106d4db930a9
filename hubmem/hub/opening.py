"""From what a user names to the source that holds it."""

import os
import re
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hubmem.errors import HubUnreachable, NotCached, RepoNotFound
from hubmem.hub.pacer import Pacer
from hubmem.hub.source import Observer, Source

if TYPE_CHECKING:
    from hubmem.hub.cache import Cache
    from hubmem.hub.transport import Transport

# huggingface_hub keeps 20 connections alive; more threads than that open new ones for every request.
_THREADS = 20
MODELS_AT_ONCE = 4
"""Each reads its own files concurrently: more models at once would only spend the quota faster."""
IMAGE_SETTINGS = ("processor_config.json", "preprocessor_config.json")
"""Files with the settings of an image processor: as a part of the first, or else as the second."""
_PAGE = re.compile(
    r"https?://(?:huggingface\.co|hf\.co)/(?P<repo>[^/]+/[^/]+?)(?:/tree/(?P<revision>[^/]+))?/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the reads of one repo, or of many, have in common.

    Attributes:
        cache: where listings and derived facts are kept.
        pool: threads that requests are made in.
        pacer: says when a request may be sent.
    """

    endpoint: str
    cache: "Cache"
    pool: Executor
    pacer: Pacer


def open_session(
    *, warn: Callable[[str], None], pacer: Pacer | None = None, threads: int = _THREADS
) -> Session:
    """Begin to read from the Hub of the environment; no thread and no connection is made before a request."""
    from huggingface_hub import constants

    from hubmem.hub.cache import Cache

    return Session(
        endpoint=os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/"),
        cache=Cache.open(Path(constants.HF_ASSETS_CACHE) / "hubmem", warn=warn),
        pool=ThreadPoolExecutor(threads, thread_name_prefix="hubmem"),
        pacer=pacer or Pacer(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How sources may be opened.

    Attributes:
        revision: branch, tag, pull request ref or commit; None for the default branch.
        token: for the Hub; None for the one huggingface_hub finds, False for none.
        offline: make no request.
        bundled: whether a bundled snapshot may stand in where the Hub cannot be read.
        observer: told of requests and progress.
        warn: called with what is wrong, but does not stop the answer.
        images: whether the settings of an image processor will be read.
        session: shared with other repos; None for one of its own.
    """

    revision: str | None = None
    token: str | bool | None = None
    offline: bool = False
    bundled: bool = True
    observer: Observer = Observer()  # noqa: RUF009 - it has no state
    warn: Callable[[str], None] = lambda _: None
    images: bool = False
    session: Session | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model whose first requests are under way.

    Attributes:
        repo: the id without its revision, or the folder.
        source: where it is read from, or None where it could not be opened.
        refusal: why not.
        started: `time.monotonic` when it was opened.
    """

    repo: str
    access: Access
    source: Source | None
    refusal: HubUnreachable | None
    started: float


def open_model(model: str | os.PathLike[str], access: Access) -> Opened:
    """Open what a user names: a folder, or a repo on the Hub.

    Raises:
        UsageError: neither a folder nor a repo id.
        RepoNotFound: no such folder.
    """
    started = time.monotonic()
    folder = as_folder(model)
    if folder is not None:
        source: Source | None = open_folder(folder)
        return Opened(repo=str(folder), access=access, source=source, refusal=None, started=started)
    repo, revision = split_revision(str(model))
    if revision:
        access = replace(access, revision=revision)
    source, refusal = None, None
    try:
        source = open_hub(repo, access)
    except HubUnreachable as error:
        refusal = error
    return Opened(repo=repo, access=access, source=source, refusal=refusal, started=started)


def split_revision(model: str) -> tuple[str, str | None]:
    """A repo id and the revision after its `@`; both may be an address copied from the Hub's page of the model.

    >>> split_revision("org/name@refs/pr/4"), split_revision("gpt2")
    (('org/name', 'refs/pr/4'), ('gpt2', None))
    >>> split_revision("https://huggingface.co/org/name"), split_revision("https://huggingface.co/org/name/tree/v2")
    (('org/name', None), ('org/name', 'v2'))
    """
    if page := _PAGE.fullmatch(model):
        return page["repo"], page["revision"]
    repo, _, revision = model.partition("@")
    return repo, revision or None


def as_folder(model: str | os.PathLike[str]) -> Path | None:
    """The folder a user means, or None for a repo id; a folder that exists wins, as in transformers."""
    path = Path(os.path.expanduser(model))  # noqa: PTH111 - pathlib's raises where there is no such user
    looks_local = not isinstance(model, str) or model.startswith((".", "/", "~"))
    return path if looks_local or _is_dir(path) else None


def _is_dir(path: Path) -> bool:
    # Unlike pathlib's, this one is false for a name that is too long for a file.
    return os.path.isdir(path)  # noqa: PTH112


def open_folder(folder: Path) -> Source:
    """The checkpoint in a folder.

    Raises:
        RepoNotFound: there is no such folder.
    """
    from hubmem.hub.local import LocalSource

    if not _is_dir(folder):
        raise RepoNotFound(f"No folder {folder}.", hint="A repo id looks like meta-llama/Llama-3.1-8B.")
    return LocalSource(folder)


def open_hub(repo: str, access: Access) -> Source:
    """The repo on the Hub, or where offline what is stored of it, or a download of it.

    Raises:
        UsageError: not a repo id.
        NotCached: offline, and nothing is stored.
    """
    from huggingface_hub import constants

    from hubmem.hub.remote import RemoteSource

    if access.offline or constants.HF_HUB_OFFLINE:
        return open_stored(repo, access)
    session = access.session or open_session(warn=access.warn)
    return RemoteSource(
        repo,
        revision=access.revision,
        transport=open_transport(session, access),
        cache=session.cache,
        pool=session.pool,
        observer=access.observer,
        wanted=IMAGE_SETTINGS if access.images else (),
    )


def open_transport(session: Session, access: Access) -> "Transport":
    """Requests to the session's Hub, with a cost of their own."""
    from hubmem.hub.transport import Transport

    return Transport(
        endpoint=session.endpoint, token=access.token, observer=access.observer, pacer=session.pacer
    )


def open_stored(repo: str, access: Access) -> Source:
    """What earlier runs stored of a repo, or huggingface_hub's download of it; makes no request.

    Raises:
        NotCached: neither is there.
    """
    from hubmem.hub.local import downloaded
    from hubmem.hub.remote import OfflineSource

    session = access.session or open_session(warn=access.warn)
    try:
        return OfflineSource(repo, revision=access.revision, endpoint=session.endpoint, cache=session.cache)
    except NotCached:
        source = downloaded(repo, access.revision)
        if source is None:
            raise
        return source
