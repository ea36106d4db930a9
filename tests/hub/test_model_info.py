"""What the Hub says of a model is believed as far as it is of the type it should be."""

from typing import Any

import pytest
from hubmem.errors import UnreadableRepo
from hubmem.hub.model_info import counts_of, gate_of, parse_model_info
from hubmem.hub.source import FileEntry

FILE = {"rfilename": "config.json", "size": 5, "blobId": "b1"}
LARGE = {"rfilename": "w.safetensors", "size": 9, "blobId": "b2", "lfs": {"size": 9, "sha256": "s"}}
INFO: dict[str, Any] = {"id": "org/name", "sha": "c" * 40, "siblings": [FILE, LARGE]}


def test_a_file_is_known_by_its_large_file_hash_or_else_by_its_blob() -> None:
    assert parse_model_info(INFO, None).files == {
        "config.json": FileEntry(nbytes=5, content_id="git:b1"),
        "w.safetensors": FileEntry(nbytes=9, content_id="sha256:s"),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"id": 5},
        {"sha": None},
        {"siblings": None},
        {"siblings": {}},
        {"siblings": [5]},
        {"siblings": [{"rfilename": "w.bin"}]},
        {"siblings": [{**FILE, "rfilename": 5}]},
        {"siblings": [{**FILE, "size": "5"}]},
        {"siblings": [{**FILE, "size": None}]},
        {"siblings": [{**FILE, "lfs": 5}]},
    ],
    ids=str,
)
def test_an_answer_that_is_no_hub_s_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnreadableRepo, match="lacks its id, its commit or its files") as caught:
        parse_model_info({**INFO, **change}, None)
    assert caught.value.hint == "Is HF_ENDPOINT a Hub?"


@pytest.mark.parametrize(
    ("described", "counts"),
    [
        ({"parameters": {"BF16": 7, "F32": True, "I8": 0, "U8": "9", "F16": 2**70}}, {"BF16": 7}),
        ({"parameters": 5}, {}),
        (5, {}),
        (None, {}),
    ],
    ids=str,
)
def test_counts_are_positive_whole_numbers(described: Any, counts: dict[str, int]) -> None:
    assert counts_of({"safetensors": described}) == counts


@pytest.mark.parametrize(
    ("gated", "gate"), [("auto", "auto"), ("manual", "manual"), (False, None), (True, None), ([], None)]
)
def test_a_gate_is_one_of_two(gated: Any, gate: str | None) -> None:
    assert gate_of({"gated": gated}) == gate
