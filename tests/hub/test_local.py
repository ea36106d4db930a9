"""A checkpoint in a folder, read through the format's own library."""

import json
from pathlib import Path

import pytest
from hubmem.errors import MalformedWeights, NoWeights, RepoNotFound
from hubmem.hub.opening import Access, open_model
from hubmem.snapshot import Snapshot, take_snapshot
from tests.hub_server import Virtual, files_of
from tests.hub_server.examples import ELEMENTS, SHARDED, SMALL


def write(folder: Path, record: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in files_of(record).items():  # type: ignore[arg-type]
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            stream.write(content.prefix if isinstance(content, Virtual) else content)
            if isinstance(content, Virtual):
                stream.truncate(content.total_size)
    return folder


def read(folder: Path) -> Snapshot:
    return take_snapshot(open_model(folder, Access()))


@pytest.mark.parametrize("record", [SMALL, SHARDED], ids=["single file", "shards"])
def test_a_folder_is_read_as_a_repo_is(tmp_path, record):
    snapshot = read(write(tmp_path, record))

    assert snapshot.census.by_dtype() == ELEMENTS
    assert snapshot.listing.origin.value == "local"
    assert snapshot.listing.commit is None
    assert snapshot.cost.requests == 0


def test_a_string_that_names_a_folder_means_the_folder(tmp_path, monkeypatch):
    write(tmp_path / "org" / "small", SMALL)
    monkeypatch.chdir(tmp_path)

    assert take_snapshot(open_model("org/small", Access())).listing.origin.value == "local"


def test_a_truncated_shard_is_refused_by_the_formats_library(tmp_path):
    folder = write(tmp_path, SHARDED)
    shard = folder / "model-00002-of-00003.safetensors"
    with shard.open("r+b") as stream:
        stream.truncate(shard.stat().st_size - 10)

    with pytest.raises(MalformedWeights, match=r"model-00002-of-00003.*safetensors library"):
        read(folder)


def test_a_missing_shard_is_named(tmp_path):
    folder = write(tmp_path, SHARDED)
    (folder / "model-00003-of-00003.safetensors").unlink()

    with pytest.raises(MalformedWeights, match="model-00003-of-00003"):
        read(folder)


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(RepoNotFound, match="nowhere"):
        read(tmp_path / "nowhere")


def test_an_empty_folder_has_no_weights(tmp_path):
    with pytest.raises(NoWeights):
        read(tmp_path)


def test_a_download_of_the_repo_answers_offline(tmp_path, hf_home):
    commit = "c" * 40
    base = hf_home / "hub" / "models--org--small"
    write(base / "snapshots" / commit, SMALL)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(commit)

    snapshot = take_snapshot(open_model("org/small", Access(offline=True, bundled=False)))

    assert (snapshot.listing.repo, snapshot.listing.commit) == ("org/small", commit)
    assert snapshot.listing.origin.value == "cache"


def test_a_config_with_a_byte_order_mark_is_read(tmp_path):
    folder = write(tmp_path, SMALL)
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"model_type": "gpt2"}).encode())

    config = read(folder).config

    assert config is not None
    assert config.model_type == "gpt2"
