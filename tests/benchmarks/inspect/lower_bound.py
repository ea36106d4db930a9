"""The fewest and cheapest exchanges that could answer, over bare sockets: `lower_bound.py ENDPOINT WAY REPO`.

No tool, but the limit for any: no TLS, no retries, no checks, nothing imported that could be left out, and
every request of a wave on a connection of its own. Run it with `python -I -S`. Prints the elements of all
tensors.
"""

import contextlib
import json
import math
import os
import re
import selectors
import socket
import sys
import zlib
from collections.abc import Sequence
from typing import NamedTuple

_TENSOR = re.compile(rb'"dtype":"\w+","shape":\[([\d,]*)\]')
_INDEX = "model.safetensors.index.json"
_FIRST_READ = 64 * 1024
# No entry of a header takes more beside its name, no header more beside its entries.
_ENTRY_BYTES, _METADATA_BYTES = 90, 128


class Answer(NamedTuple):
    """A response as it came."""

    head: bytes
    raw: bytes

    @property
    def body(self) -> bytes:
        """Its body, decompressed."""
        return zlib.decompress(self.raw, 31) if b"\r\nContent-Encoding: gzip" in self.head else self.raw

    @property
    def location(self) -> str:
        """Where it redirects to."""
        return self.head.partition(b"\r\nLocation: ")[2].partition(b"\r\n")[0].decode()


def ask(urls: Sequence[str], *, method: str = "GET", nbytes: Sequence[int] = ()) -> list[Answer]:
    """Send requests all at once and collect the answers; `nbytes` asks for the first bytes of each only."""
    ranges = [f"Range: bytes=0-{size - 1}" for size in nbytes] or ["Accept-Encoding: gzip"] * len(urls)
    received = [bytearray() for _ in urls]
    with contextlib.ExitStack() as connections, selectors.DefaultSelector() as selector:
        for url, extra, buffer in zip(urls, ranges, received, strict=True):
            connection = connections.enter_context(_send(method, url, extra))
            selector.register(connection, selectors.EVENT_READ, buffer)
        while selector.get_map():
            for key, _ in selector.select():
                piece = os.read(key.fd, 1 << 20)
                key.data.extend(piece)
                if not piece:
                    selector.unregister(key.fd)
    return [Answer(*bytes(text).split(b"\r\n\r\n", 1)) for text in received]


def _send(method: str, url: str, extra: str) -> socket.socket:
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    connection = socket.create_connection((name, int(port)))
    request = f"{method} /{path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def elements(headers: bytes) -> int:
    """Of all tensors in headers as safetensors writes them."""
    return sum(math.prod(map(int, filter(None, dims.split(b",")))) for dims in _TENSOR.findall(headers))


def one_call(endpoint: str, repo: str) -> int:
    """One wave: all headers beside the config."""
    headers, _ = ask([f"{endpoint}/api/models/{repo}/safetensors-metadata/{_INDEX}", _config(endpoint, repo)])
    return elements(headers.body)


def ranges(endpoint: str, repo: str) -> int:
    """Three waves: the index beside the config, each shard's redirect, each shard's header."""
    index, _ = ask([f"{endpoint}/{repo}/raw/main/{_INDEX}", _config(endpoint, repo)])
    sizes: dict[str, int] = {}
    for name, shard in json.loads(index.body)["weight_map"].items():
        sizes[shard] = sizes.get(shard, _METADATA_BYTES) + len(name) + _ENTRY_BYTES
    redirects = ask([f"{endpoint}/{repo}/resolve/main/{shard}" for shard in sizes])
    heads = ask([answer.location for answer in redirects], nbytes=list(sizes.values()))
    return sum(elements(answer.raw) for answer in heads)


def single(endpoint: str, repo: str) -> int:
    """Two waves: the file's redirect beside the config, then its header."""
    redirect, _ = ask([f"{endpoint}/{repo}/resolve/main/model.safetensors", _config(endpoint, repo)])
    (head,) = ask([redirect.location], nbytes=[_FIRST_READ])
    return elements(head.raw)


def warm(endpoint: str, repo: str) -> int:
    """One request: which commit is it?"""
    ask([f"{endpoint}/{repo}/resolve/main/config.json"], method="HEAD")
    return 0


def _config(endpoint: str, repo: str) -> str:
    return f"{endpoint}/{repo}/raw/main/config.json"


_WAYS = {"one-call": one_call, "ranges": ranges, "single": single, "warm": warm}

if __name__ == "__main__":
    endpoint, way, repo = sys.argv[1:]
    print(_WAYS[way](endpoint, repo))
