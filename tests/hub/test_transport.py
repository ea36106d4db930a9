"""huggingface_hub's errors in hubmem's words."""

import inspect

import pytest
from hubmem import errors
from hubmem.hub import transport
from huggingface_hub import errors as hf

# What a GET request through huggingface_hub's session can raise: status errors, transport errors, offline mode.
_RAISED_BY_REQUESTS = [
    error
    for _, error in inspect.getmembers(hf, inspect.isclass)
    if issubclass(error, (hf.HTTPError, hf.OfflineModeIsEnabled))
]


class _Response:
    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.status_code = status
        self.headers = headers or {}
        self.url = type("Url", (), {"host": "hub.test"})()


def _made(kind: type[Exception], status: int = 500) -> Exception:
    error = kind.__new__(kind)
    error.response = _Response(status)  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("kind", _RAISED_BY_REQUESTS, ids=lambda kind: kind.__name__)
def test_the_table_is_total(kind):
    """Every error a request can raise has a row; none reaches a user as it is."""
    ours = transport.translate(_made(kind), "/api/models/org/name")

    assert isinstance(ours, (errors.HubmemError, transport.EntryAbsent))


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (hf.GatedRepoError, errors.GatedRepo),
        (hf.RepositoryNotFoundError, errors.RepoNotFound),
        (hf.RevisionNotFoundError, errors.RevisionNotFound),
        (hf.RemoteEntryNotFoundError, transport.EntryAbsent),
        (hf.OfflineModeIsEnabled, errors.NotCached),
        (hf.DisabledRepoError, errors.UnreadableRepo),
        (hf.HTTPError, errors.HubUnreachable),
    ],
)
def test_the_most_specific_row_wins(kind, ours):
    assert type(transport.translate(_made(kind), "/org/name/resolve/main/x")) is ours


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        (401, errors.TokenRefused),
        (403, errors.HubUnreachable),
        (418, errors.UnreadableRepo),
        (429, errors.RateLimited),
        (500, errors.HubUnreachable),
        (503, errors.HubUnreachable),
    ],
)
def test_other_statuses_go_by_their_number(status, ours):
    """A 403 that names no gate comes from a storage host whose signature went wrong: worth another try."""
    assert type(transport.translate(_made(hf.HfHubHTTPError, status), "/x")) is ours


def test_an_error_of_no_row_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        transport.translate(ZeroDivisionError(), "/x")


def test_a_refs_revision_is_one_segment_of_a_path():
    assert transport.revision_part("refs/pr/4") == "refs%2Fpr%2F4"


def test_a_repo_id_is_quoted_but_keeps_its_slash():
    assert transport.repo_path("api/models", "org/ünï") == "/api/models/org/%C3%BCn%C3%AF"
