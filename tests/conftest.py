"""Every test runs with a Hugging Face home of its own, without a token, and reaches nothing but loopback."""

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import HubServer, Record, Repo

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Xet would fetch files past the server, and telemetry adds a request that no test asked for.
_HUB_ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
_INHERITED = (
    "HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_ASSETS_CACHE",
    "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy",
    "https_proxy", "all_proxy",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before anything imports huggingface_hub, which reads it once, on import."""
    for name in _INHERITED:
        os.environ.pop(name, None)
    os.environ.update(_HUB_ENVIRONMENT)
    home = tempfile.TemporaryDirectory(prefix="hubmem-tests-")
    config.add_cleanup(home.cleanup)
    os.environ["HF_HOME"] = home.name
    # Shells start what runs in the background with Ctrl-C ignored, and what the tests start would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def hf_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME, for this process and for those it starts."""
    from huggingface_hub import constants  # after `pytest_configure`

    home = tmp_path / "hf"
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    return home


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse what would leave this machine; not with an OSError, which a client might handle."""

    def guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def connect_to_loopback(self: socket.socket, address: Any) -> Any:
            if self.family != socket.AF_UNIX and address[0] not in _LOOPBACK:
                raise AssertionError(f"a test tried to reach {address}")
            return connect(self, address)

        return connect_to_loopback

    def getaddrinfo_of_loopback(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and host not in _LOOPBACK:
            raise AssertionError(f"a test tried to look up {host}")
        return getaddrinfo(host, *args, **kwargs)

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo_of_loopback)
    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))


@pytest.fixture
def serve() -> Iterator[Callable[..., HubServer]]:
    """``serve(repo, record, …, settings=…, faults=…)`` starts a Hub that stops with the test."""
    with ExitStack() as servers:

        def start(*repos: Repo | Record, **options: Any) -> HubServer:
            return servers.enter_context(HubServer(repos, **options))

        yield start


@pytest.fixture
def connect(serve: Callable[..., HubServer], monkeypatch: pytest.MonkeyPatch) -> Callable[..., HubServer]:
    """``connect(repo, …)`` is ``serve(repo, …)``, and hubmem's Hub from now on."""

    def start(*repos: Repo | Record, **options: Any) -> HubServer:
        server = serve(*repos, **options)
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        return server

    return start


@pytest.fixture
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pauses that a failing server is given."""
    monkeypatch.setattr("hubmem.hub.transport.time.sleep", lambda _: None)
