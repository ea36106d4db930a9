"""Weight files beside a card, as they are or as git-lfs pointers."""

import json
from pathlib import Path
from typing import Any

import pytest
from hubmem.card.checkout import has_weights, read_pointer
from hubmem.cli import main

from tests.hub_server import HubServer, files_of
from tests.hub_server.blobs import Blob
from tests.hub_server.examples import ELEMENTS, LLAMA, LLAMA_CONFIG, SHARDED_LLAMA

NAMED = '<!-- hubmem:start repo="{}" -->\n<!-- hubmem:end -->\n'
PARAMETERS = f"{ELEMENTS['BF16']:,} parameters"


pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture
def hub(connect) -> HubServer:
    server: HubServer = connect(LLAMA, SHARDED_LLAMA)
    return server


def clone(folder: Path, record: dict[str, Any], *, lfs: bool) -> Path:
    """The repo as git has it; without git-lfs, large files are pointers."""
    folder.mkdir()
    for path, content in files_of(record).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".safetensors") and not lfs:
            file.write_bytes(Blob.of(path, content).pointer)
        else:
            file.write_bytes(bytes(content))
    card = folder / "README.md"
    card.write_text(NAMED.format(record["repo"]))
    return card


@pytest.mark.parametrize("record", [LLAMA, SHARDED_LLAMA], ids=["single file", "shards"])
def test_files_at_hand_are_read_without_the_hub(hub, tmp_path, record):
    card = clone(tmp_path / "clone", record, lfs=True)

    assert main(["card", str(card)]) == 0
    assert PARAMETERS in card.read_text()
    assert "from the weight files beside this card" in card.read_text()
    assert not hub.requests


@pytest.mark.parametrize("record", [LLAMA, SHARDED_LLAMA], ids=["single file", "shards"])
def test_the_headers_behind_pointers_come_from_the_hub_and_then_from_the_cache(hub, tmp_path, record):
    card = clone(tmp_path / "clone", record, lfs=False)

    assert main(["card", str(card)]) == 0
    first = card.read_text()
    hub.clear_log()
    card.write_text(NAMED.format(record["repo"]))

    assert main(["card", str(card)]) == 0
    assert PARAMETERS in first
    assert card.read_text() == first
    assert not hub.requests


def test_pointers_and_files_say_the_same(tmp_path):
    cards = [clone(tmp_path / f"lfs {lfs}", SHARDED_LLAMA, lfs=lfs) for lfs in (False, True)]

    assert main(["card", *map(str, cards)]) == 0
    assert cards[0].read_text() == cards[1].read_text()


def test_contents_may_lie_elsewhere_on_the_hub(hub, tmp_path):
    card = clone(tmp_path / "clone", LLAMA, lfs=False)
    files = {**files_of(LLAMA)}
    files["old/weights.safetensors"] = files.pop("model.safetensors")
    hub.repo("org/small").push(files)

    assert main(["card", str(card)]) == 0
    assert PARAMETERS in card.read_text()


def test_a_pointer_to_what_the_hub_does_not_have_is_refused(tmp_path, capsys):
    """A commit of the git repo that was not pushed to the Hub yet."""
    card = clone(tmp_path / "clone", LLAMA, lfs=False)
    (card.parent / "model.safetensors").write_bytes(Blob.of("x", b"other weights").pointer)
    text = card.read_text()

    assert main(["card", str(card)]) == 3
    err = capsys.readouterr().err
    assert "model.safetensors is a git-lfs pointer, and org/small on the Hub has no file" in err
    assert "git lfs pull" in err
    assert card.read_text() == text


def test_pointers_without_a_repo_are_refused(tmp_path, capsys):
    card = clone(tmp_path / "clone", LLAMA, lfs=False)
    card.write_text("<!-- hubmem:start -->\n<!-- hubmem:end -->\n")

    assert main(["card", str(card)]) == 3
    assert "no repo is named that has their contents" in capsys.readouterr().err


def test_a_revision_asks_the_hub_whatever_lies_beside_the_card(tmp_path):
    card = clone(tmp_path / "clone", LLAMA, lfs=True)

    assert main(["card", str(card), "--repo", "org/small@main"]) == 0
    assert "from the weight headers of" in card.read_text()
    assert 'repo="org/small@main"' in card.read_text()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_a_link_out_of_the_workspace_is_refused(tmp_path, capsys, name):
    card = clone(tmp_path / "clone", LLAMA, lfs=True)
    secret = (card.parent / name).rename(tmp_path / "secret")
    (card.parent / name).symlink_to(secret)

    assert main(["card", str(card)]) == 3
    assert f"{name} is a link that leads out of the workspace" in capsys.readouterr().err


def test_a_damaged_file_is_refused_by_the_formats_library(tmp_path, capsys):
    card = clone(tmp_path / "clone", LLAMA, lfs=True)
    with (card.parent / "model.safetensors").open("r+b") as stream:
        stream.truncate(100)

    assert main(["card", str(card)]) == 3
    assert "model.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.safetensors"], True),
        (["model.safetensors.index.json", "model-00001-of-00001.safetensors"], True),
        (["pytorch_model.bin"], True),
        (["README.md", "data.bin", "plan.pt"], False),
        (["one.safetensors", "other.safetensors"], False),
        ([], False),
    ],
    ids=str,
)
def test_a_folder_is_a_checkpoint_by_the_names_in_it(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).touch()

    assert has_weights(tmp_path) is expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize -3\n",
        b"version https://example.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 3\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 3\n" + b"\x00" * 9,
    ],
)
def test_anything_but_a_whole_pointer_is_a_file(content):
    assert read_pointer(content) is None


def test_a_pointer_may_have_extensions():
    content = (
        b"version https://git-lfs.github.com/spec/v1\next-0-foo sha256:" + b"b" * 64 + b"\n"
        b"oid sha256:" + b"a" * 64 + b"\nsize 12345\n"
    )

    found = read_pointer(content)

    assert found is not None
    assert (found.nbytes, found.content_id) == (12345, f"sha256:{'a' * 64}")


def test_a_config_that_is_a_pointer_is_read_from_the_hub(connect, tmp_path):
    """The Hub keeps any file of more than 10 MB in LFS."""
    config = (json.dumps(LLAMA_CONFIG) + " " * 11_000_000).encode()
    hub = connect({**LLAMA, "texts": {"config.json": config.decode()}})
    card = clone(tmp_path / "clone", LLAMA, lfs=True)
    (card.parent / "config.json").write_bytes(Blob.of("config.json", config).pointer)

    assert main(["card", str(card)]) == 0
    assert PARAMETERS in card.read_text()
    assert [each.path for each in hub.requests if "config.json" in each.path]
