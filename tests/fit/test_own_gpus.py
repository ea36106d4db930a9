"""A user's own file of accelerators is read like the catalogue, and refused by file and row."""

import json
import sys

import pytest
from hubmem.errors import UsageError
from hubmem.fit.gpus import find, parse_target
from hubmem.fit.own_gpus import read_own_gpus
from hubmem.units import GIB

needs_tomllib = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no tomllib")

TOML = """
[[gpu]]
name = "lab-4090"
memory = "23GiB"
like = "RTX-4090"

[[gpu]]
name = "prototype"
memory = "96GiB"
bandwidth_gb_per_s = 1500
dtypes = ["bf16", "fp8"]
aliases = ["proto"]
"""


@pytest.fixture
def written(tmp_path):
    def write(content, name="my.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@needs_tomllib
def test_a_row_takes_from_the_accelerator_it_is_like_what_it_does_not_say_itself(written):
    lab, prototype = read_own_gpus(written(TOML, "my.toml"))

    assert (lab.name, lab.memory_bytes) == ("lab-4090", 23 * GIB)
    assert (lab.bandwidth_gb_per_s, lab.dtypes) == (
        find("RTX-4090").bandwidth_gb_per_s,
        find("RTX-4090").dtypes,
    )
    assert (prototype.bandwidth_gb_per_s, prototype.dtypes) == (1500, ("bf16", "fp8"))


def test_own_accelerators_go_before_those_of_the_catalogue_and_have_aliases(written):
    rows = [{"name": "RTX-4090", "memory": "48GiB", "aliases": ["modded"]}]
    own = read_own_gpus(written({"gpu": rows}))

    assert parse_target("2xRTX 4090", own).gpu.memory_bytes == 48 * GIB
    assert parse_target("modded", own).gpu is own[0]
    assert parse_target("H100", own).gpu == find("H100")


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="newer Pythons read TOML")
def test_toml_on_python_3_10_is_an_error_that_names_json(written):
    with pytest.raises(UsageError) as caught:
        read_own_gpus(written(TOML, "my.toml"))
    assert ".json" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ([], "not a table"),
        ({}, "no list of tables called gpu"),
        ({"gpu": {"name": "a"}}, "no list of tables called gpu"),
        ({"gpu": [{"memory": "1GiB"}]}, "gpu 1: name is None"),
        ({"gpu": [{"name": "a"}]}, "gpu 1: memory is None"),
        ({"gpu": [{"name": "a", "memory": 24}]}, "gpu 1: memory is 24"),
        ({"gpu": [{"name": "a", "memory": "24"}]}, "gpu 1: '24' is not a size"),
        ({"gpu": [{"name": "a", "memory": "0GiB"}]}, "gpu 1: '0GiB' is out of range"),
        ({"gpu": [{"name": "a", "memory": "1GiB", "like": "H1O0-8OGB"}]}, "gpu 1: Unknown GPU"),
        ({"gpu": [{"name": "a", "memory": "1GiB", "vram": 1}]}, "gpu 1: unknown key 'vram'"),
        ({"gpu": [{"name": "a", "memory": "1GiB", "bandwidth_gb_per_s": -1}]}, "not a positive number"),
        ({"gpu": [{"name": "a", "memory": "1GiB", "bandwidth_gb_per_s": True}]}, "not a positive number"),
        ({"gpu": [{"name": "a", "memory": "1GiB", "dtypes": "fp8"}]}, "not a list of texts"),
        ({"gpu": [{"name": "a", "memory": "1GiB"}] * 2}, "gpu 2: there is a 'a' already"),
    ],
)
def test_what_cannot_be_is_refused_by_file_and_row(written, content, said):
    path = written(content)

    with pytest.raises(UsageError) as caught:
        read_own_gpus(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


@needs_tomllib
def test_malformed_toml_is_refused_by_file(written):
    with pytest.raises(UsageError, match="is not TOML"):
        read_own_gpus(written("[[gpu]\n", "my.toml"))


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_own_gpus(tmp_path / "none.toml")
