"""The two machines everybody walks on: one without a network, one with a Hub; each at two widths."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.hub_server import HubServer
from tests.walks.terminal import Terminal
from tests.weights.records import RECORDS

MODELS = (
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-32B",
    "google/gemma-7b",
    "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-3.1-70B",
    "meta-llama/Llama-3.1-405B",
    "mistralai/Mixtral-8x7B-v0.1",
    "openai-community/gpt2",
)


@pytest.fixture
def hub(serve) -> HubServer:
    server: HubServer = serve(*({**RECORDS[model], "gated": False} for model in MODELS))
    return server


@pytest.fixture
def offline(tmp_path) -> Terminal:
    """Without a network: what ships with hubmem answers."""
    return Terminal(tmp_path, {"HF_HUB_OFFLINE": "1"})


@pytest.fixture
def online(tmp_path, hub) -> Terminal:
    """With a Hub."""
    return Terminal(tmp_path, {"HF_ENDPOINT": hub.endpoint})


@pytest.fixture(params=["offline at 80 columns", "online at 100 columns"])
def terminal(request) -> Terminal:
    place, columns = request.param.split(" at ")
    found: Terminal = request.getfixturevalue(place)
    return replace(found, columns=int(columns.split()[0]))


@pytest.fixture(params=["offline", "online"])
def place(request) -> Callable[[int], Terminal]:
    """Either machine, at a width."""
    found: Terminal = request.getfixturevalue(request.param)
    return lambda columns: replace(found, columns=columns)
