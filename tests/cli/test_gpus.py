"""`hubmem gpus`: the catalogue, rented machines, and a user's own file among them."""

import json

import pytest
from hubmem.cli import main


def listed(capsys, *options: str):
    assert main(["gpus", "--format", "json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_machines_are_listed_with_their_gpus_and_ram(capsys):
    assert main(["gpus", "--machines", "--search", "p4de"]) == 0

    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "GPUs", "host", "RAM", "GiB"]
    assert row.split() == ["aws:p4de.24xlarge", "8×", "A100-80GB", "1152"]


def test_machines_are_found_by_their_gpu(capsys):
    names = {row["name"] for row in listed(capsys, "--machines", "--search", "mi300x")}

    assert names == {"azure:ND96isr_MI300X_v5"}


def test_own_gpus_stand_first(capsys, tmp_path):
    path = tmp_path / "gpus.json"
    path.write_text(json.dumps({"gpu": [{"name": "lab", "memory": "23GiB", "like": "RTX-4090"}]}))

    assert listed(capsys, "--gpus-file", str(path))[0]["name"] == "lab"


@pytest.mark.parametrize("options", [(), ("--machines",)])
def test_nothing_found_is_an_empty_list(capsys, options):
    assert listed(capsys, "--search", "no such thing", *options) == []
    assert main(["gpus", "--search", "no such thing", *options]) == 0
    assert capsys.readouterr() == ("", "Nothing known has that in its name.\n")


def test_a_file_that_cannot_be_read_is_a_usage_error(capsys, tmp_path):
    assert main(["gpus", "--gpus-file", str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
