"""Folders that are no checkpoint, or not only one."""

import os
import time

import pytest
from hubmem.cli import main

from tests.untrusted.models import CONFIG, write_model


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "model", CONFIG)


def test_links_that_lead_round_in_a_circle_end(folder, capsys):
    for name in "abc":
        (folder / name).symlink_to(folder)
    started = time.process_time()

    assert main([str(folder)]) == 0
    assert time.process_time() - started < 10


def test_a_folder_of_everything_is_no_checkpoint(folder, monkeypatch, capsys):
    monkeypatch.setattr("hubmem.hub.local._MOST_FILES", 100)
    for number in range(100):
        (folder / f"{number}.txt").touch()

    assert main([str(folder)]) == 3
    assert "holds 102 files: not a checkpoint" in capsys.readouterr().err


def test_what_lies_five_folders_down_is_not_looked_for(folder, tmp_path, capsys):
    deep = tmp_path / "top" / "1" / "2" / "3" / "4" / "5"
    deep.parent.mkdir(parents=True)
    folder.rename(deep)

    assert main([str(tmp_path / "top")]) == 3
    assert "This is a bug" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_is_not_waited_for(folder, capsys, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)

    assert main([str(folder)]) in (0, 3)
    assert "This is a bug" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_device_without_end_is_not_read(folder, capsys, name):
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")

    assert main([str(folder)]) in (0, 3)
    assert "This is a bug" not in capsys.readouterr().err


def test_a_text_longer_than_any_config_is_not_read(folder, monkeypatch, capsys):
    monkeypatch.setattr("hubmem.hub.local._LARGEST_TEXT", 10)

    assert main([str(folder)]) == 3
    assert "is larger than 10 bytes" in capsys.readouterr().err
