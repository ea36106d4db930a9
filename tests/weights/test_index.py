"""An index is read as it is published, and leads nowhere but to its own folder."""

import json

import pytest
from hubmem.errors import MalformedWeights
from hubmem.weights.index import claimed_bytes, parse_index, shard_path

INDEX = "model.safetensors.index.json"


def test_an_index_is_its_shards_with_the_tensors_in_each() -> None:
    text = json.dumps(
        {
            "metadata": {"total_size": 24.0},
            "weight_map": {"a": "m-2.safetensors", "bb": "m-1.safetensors", "c": "m-2.safetensors"},
        }
    )
    index = parse_index(text, "unet/" + INDEX)
    assert index.tensors == {"unet/m-1.safetensors": 1, "unet/m-2.safetensors": 2}
    assert index.name_characters == {"unet/m-1.safetensors": 2, "unet/m-2.safetensors": 2}
    assert index.total_bytes == 24


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {},
        {"total_size": "24"},
        {"total_size": -1},
        {"total_size": 0},
        {"total_size": True},
        {"total_size": 1.5},
    ],
)
def test_a_claim_that_is_no_number_of_bytes_is_none(metadata: object) -> None:
    assert claimed_bytes(metadata) is None


def test_a_single_byte_is_a_claim() -> None:
    assert claimed_bytes({"total_size": 1}) == claimed_bytes({"total_size": 1.0}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"weight_map":{}}',
        '{"weight_map":[1]}',
        '{"weight_map":{"a":1}}',
        '{"weight_map":{"a":"model-00001-of-00002.safetensors","b":1}}',
        '{"weight_map":{"a":"x","a":"y"}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_index_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(MalformedWeights, match=rf"^{INDEX}: "):
        parse_index(text, INDEX)


# The last four come from huggingface.js' tests: a URL parser decodes and normalizes after a naive check.
@pytest.mark.parametrize(
    "shard",
    [
        "../x.safetensors",
        "a/../../x",
        "/etc/passwd",
        "https://example.com/x",
        "//example.com/x",
        "..\\x",
        "..",
        "",
        "%2e%2e/x.safetensors",
        ".%2e/x.safetensors",
        "%252e%252e/x.safetensors",
        "https%3A%2F%2Fevil.example/x",
    ],
)
def test_a_shard_outside_the_folder_of_its_index_is_refused(shard: str) -> None:
    with pytest.raises(MalformedWeights, match="outside its own folder"):
        shard_path(INDEX, shard)


@pytest.mark.parametrize(
    "shard",
    ["model-00001-of-00002.safetensors", "sub.dir/model..safetensors", "model with spaces.safetensors"],
)
def test_a_plain_name_is_a_path(shard: str) -> None:
    assert shard_path(INDEX, shard) == shard
