"""Small files are known by their hashes: a damaged one is neither believed nor kept."""

from collections.abc import Callable

import pytest
from hubmem.errors import HubUnreachable
from hubmem.hub.opening import Access, open_model
from hubmem.hub.remote import is_content
from hubmem.hub.source import FileEntry
from hubmem.snapshot import Snapshot, take_snapshot
from tests.hub_server import Answer, Fault, HubServer, Repo
from tests.hub_server.examples import small

Serve = Callable[..., HubServer]
EMPTY_OBJECT = b"{}"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[HubServer], Snapshot]:
    def read(hub: HubServer) -> Snapshot:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        return take_snapshot(open_model("org/small", Access(bundled=False)))

    return read


def damaged(**aim: int) -> Fault:
    return Fault(Answer(200, body=EMPTY_OBJECT), match="resolve-cache.*config.json", **aim)


def test_a_config_that_arrives_damaged_once_is_read_again(
    serve: Serve, read: Callable[..., Snapshot]
) -> None:
    snapshot = read(serve(small(), faults=[damaged(first=1)]))

    assert snapshot.config is not None
    assert snapshot.config.model_type == "llama"


def test_one_that_arrives_damaged_each_time_may_be_tried_later_and_is_not_kept(
    serve: Serve, read: Callable[..., Snapshot]
) -> None:
    hub = serve(small(), faults=[damaged()])
    with pytest.raises(HubUnreachable, match=r"config\.json arrived damaged"):
        read(hub)

    hub.faults = []

    assert read(hub).config.model_type == "llama"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("content_id", "expected"),
    [
        # `printf '{}' | git hash-object --stdin` and `printf '{}' | sha256sum`.
        ("git:9e26dfeeb6e641a33dae4961196235bdb965b21b", True),
        ("git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", False),
        ("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", True),
        ("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", False),
        (None, True),
    ],
)
def test_bytes_are_known_by_the_hash_of_their_listing(content_id: str | None, expected: bool) -> None:
    assert is_content(EMPTY_OBJECT, FileEntry(nbytes=2, content_id=content_id)) is expected


def test_a_byte_order_mark_belongs_to_the_file(serve: Serve, read: Callable[..., Snapshot]) -> None:
    files = {**small().refs["refs/heads/main"].load(), "config.json": b'\xef\xbb\xbf{"model_type": "llama"}'}

    assert read(serve(Repo("org/small", files))).config.model_type == "llama"  # type: ignore[union-attr]
