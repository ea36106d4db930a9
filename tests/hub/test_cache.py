"""The store of derived facts: shared, and never worth a crash."""

import gc
import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hubmem.hub.cache import Cache
from hubmem.hub.source import FileEntry, Listing, Origin

LISTING = Listing(
    repo="org/name",
    revision=None,
    commit="a" * 40,
    gated="auto",
    origin=Origin.HUB,
    files={"config.json": FileEntry(nbytes=7, content_id="git:1"), "x": FileEntry(nbytes=9)},
    published_counts={"BF16": 4},
)


@pytest.fixture
def warnings() -> list[str]:
    return []


def open_in(folder: Path, warnings: list[str]) -> Cache:
    return Cache.open(folder, warn=warnings.append)


def test_what_is_put_is_found_by_another_connection(tmp_path, warnings):
    open_in(tmp_path, warnings).put("sha256:1", "tensors", b"[]")

    other = open_in(tmp_path, warnings)

    assert other.get("sha256:1", "tensors") == b"[]"
    assert other.get("sha256:1", "text") is None
    assert warnings == []


def test_a_listing_is_found_by_the_revision_asked_for_and_by_its_commit(tmp_path, warnings):
    cache = open_in(tmp_path, warnings)
    cache.put_listing("org/name", LISTING)

    for revision in (None, "main", "a" * 40):
        found = cache.listing("org/name", revision)
        assert found is not None
        assert (found.files, found.gated, found.published_counts) == (LISTING.files, "auto", {"BF16": 4})
        assert found.origin is Origin.CACHE
    assert cache.listing("org/name", "other") is None


def test_a_damaged_file_is_set_aside_with_a_note(tmp_path, warnings):
    file = tmp_path / "headers-1.sqlite"
    file.write_bytes(b"this is no database, but it is long enough to be looked at as one" * 20)

    cache = open_in(tmp_path, warnings)
    cache.put("sha256:1", "tensors", b"[]")

    assert cache.get("sha256:1", "tensors") == b"[]"
    assert "set aside" in warnings[0]
    assert file.with_suffix(".damaged").exists()


def test_damage_found_while_reading_ends_caching_not_the_run(tmp_path, warnings):
    cache = open_in(tmp_path, warnings)
    for number in range(300):
        cache.put(f"sha256:{number}", "tensors", b"x" * 400)
    cache.close()
    file = tmp_path / "headers-1.sqlite"
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)

    cache = open_in(tmp_path, warnings)
    found = [cache.get(f"sha256:{number}", "tensors") for number in range(300)]

    assert set(found) <= {None, b"x" * 400}
    assert len(warnings) == 1


def test_a_folder_that_cannot_be_made_means_no_cache(tmp_path, warnings):
    (tmp_path / "file").write_text("")

    cache = open_in(tmp_path / "file" / "below", warnings)
    cache.put("sha256:1", "tensors", b"[]")

    assert cache.get("sha256:1", "tensors") is None
    assert "cannot be used" in warnings[0]


def test_a_batch_is_one_transaction(tmp_path, warnings):
    cache = open_in(tmp_path, warnings)
    other = open_in(tmp_path, warnings)

    with cache.batch():
        cache.put("sha256:1", "tensors", b"1")
        assert other.get("sha256:1", "tensors") is None

    assert other.get("sha256:1", "tensors") == b"1"


def test_threads_may_batch_at_once(tmp_path: Path, warnings: list[str]) -> None:
    """One connection has one transaction at a time, so the others wait their turn."""
    cache = open_in(tmp_path, warnings)

    def write(number: int) -> None:
        with cache.batch():
            cache.put(f"sha256:{number}", "tensors", b"x")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(200)))

    assert all(cache.get(f"sha256:{number}", "tensors") == b"x" for number in range(200))
    assert warnings == []


def _write_many(folder: str, start: int) -> None:
    cache = Cache.open(Path(folder), warn=print)
    for number in range(start, start + 50):
        with cache.batch():
            cache.put(f"sha256:{number}", "tensors", b"x")


def test_two_processes_may_write_at_once(tmp_path, warnings):
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write_many, args=(str(tmp_path), start)) for start in (0, 50)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    cache = open_in(tmp_path, warnings)

    assert all(cache.get(f"sha256:{number}", "tensors") == b"x" for number in range(100))
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_the_file_is_write_ahead_logged(tmp_path, warnings):
    open_in(tmp_path, warnings)

    with closing(sqlite3.connect(tmp_path / "headers-1.sqlite")) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()

    assert mode == ("wal",)


@pytest.mark.filterwarnings("error")
def test_a_store_that_is_dropped_leaves_no_connection_open(tmp_path, warnings):
    """Nor one that could not be begun; Python 3.13 and later complain of either."""
    (tmp_path / "headers-1.sqlite").write_bytes(b"no database" * 100)

    for _ in range(2):
        open_in(tmp_path, warnings)
        gc.collect()

    assert [path.name for path in tmp_path.glob("*-wal")] == []
    assert "damaged" in warnings[0]
