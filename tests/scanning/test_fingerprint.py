"""A scan asks of many repos what `hubmem REPO` asks of one, and its store knows what that was."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import hubmem
import pytest
from hubmem.cli.inspect import inspect as inspect_command
from hubmem.cli.scan import scan as scan_command
from hubmem.memory.workload import Workload
from hubmem.request import Request
from hubmem.scanning.fingerprint import columns_of, fingerprint, in_words

from tests.hub_server import HubServer
from tests.scanning.conftest import Outcome
from tests.scanning.models import models

ASKED = {*inspect.signature(Request.of).parameters, *(field.name for field in fields(Workload))}
OTHERS = [
    {"context": 4096},
    {"batch": 2},
    {"dtype": "nf4"},
    {"kv_dtype": "fp8"},
    {"tp": 2},
    {"cache_policy": "vllm"},
    {"train": "lora"},
    {"train": "lora", "rank": 8},
    {"gpus": ["24GiB"]},
    {"gpus": ["2x24GiB"]},
]


def options(command: Any) -> dict[str, dict[str, Any]]:
    return {option.name: option.to_info_dict() for option in command.params if option.name in ASKED}


def test_what_one_repo_can_be_asked_so_can_many() -> None:
    """By the same names, of the same types, with the same defaults and the same help."""
    of_one, of_many = options(inspect_command), options(scan_command)

    assert of_many == of_one
    assert {"context", "train", "gpus"} <= of_many.keys()


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("--train", "lora", "--rank", "8"), {"train": "lora", "rank": 8}),
        (("--dtype", "nf4", "--tp", "2"), {"dtype": "nf4", "tp": 2}),
    ],
)
def test_each_answer_is_that_of_one_repo(
    hub: Callable[..., HubServer],
    scan: Callable[..., Outcome],
    arguments: tuple[str, ...],
    asked: dict[str, Any],
) -> None:
    hub(*models(1))

    (line,) = scan("org/m0", *arguments, "--gpu", "24GiB").lines

    single = hubmem.inspect("org/m0", gpus=["24GiB"], **asked).to_dict()
    assert {**line, "cost": None, "source": None} == {**single, "cost": None, "source": None}


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_another_question_is_another_text(other: dict[str, Any]) -> None:
    assert fingerprint(Request.of(**other)) != fingerprint(Request.of())
    assert fingerprint(Request.of(**other)) == fingerprint(Request.of(**other))


def test_the_text_tells_the_columns_and_the_question_in_words() -> None:
    text = fingerprint(Request.of(gpus=["RTX-4090", "2xH100-80GB"], train="qlora", rank=8, batch=4))

    assert columns_of(text) == ["RTX-4090", "2xH100-80GB"]
    assert in_words(text).startswith("qlora training · transformers · batch 4 · ")
    assert in_words(text).endswith(" · rank 8")
    assert "rank" not in in_words(fingerprint(Request.of()))
