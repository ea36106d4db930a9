"""The process of the Hub: `python -m tests.benchmarks.inspect.hub_process REPO…`.

Speaks JSON, a line at a time. First it tells its address and how long each repo's headers are; then it
answers each line: `true` or `false` forgets the requests so far and says whether all headers may be had in
one call; `null` asks what was requested since.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.inspect.traffic import LATENCY_SECONDS, traffic_of
from tests.hub_server import HubServer, Settings
from tests.hub_server.repos import INDEX_FILE, Tree

_SNAPSHOTS = Path(__file__).parents[3] / "hubmem" / "data" / "snapshots"
# Announced with every response, as the Hub's quotas are, and never spent.
_AMPLE_QUOTAS = {"api": 10**9, "resolvers": 10**9, "pages": 10**9}


def main(repos: Sequence[str], questions: Iterable[str]) -> None:
    """Serve repos until there are no more questions."""
    with HubServer([_open_record(repo) for repo in repos]) as server:
        trees = {repo: _tree(server, repo) for repo in repos}
        for tree in trees.values():
            _build_answers(tree)
        headers = {repo: _header_nbytes(tree) for repo, tree in trees.items()}
        _say({"endpoint": server.endpoint, "header_nbytes": headers})
        for question in questions:
            _say(_answer(server, json.loads(question)))


def _answer(server: HubServer, one_call: bool | None) -> Any:
    if one_call is None:
        return asdict(traffic_of(server.requests))
    server.settings = Settings(latency_seconds=LATENCY_SECONDS, quotas=_AMPLE_QUOTAS, one_call=one_call)
    server.clear_log()
    return None


def _open_record(repo: str) -> dict[str, Any]:
    """A bundled record, its repo open to everyone."""
    path = _SNAPSHOTS / f"{repo.replace('/', '--')}.json"
    return {**json.loads(path.read_text(encoding="utf-8")), "gated": False}


def _tree(server: HubServer, repo: str) -> Tree:
    commit = server.repo(repo).commit()
    assert commit is not None
    return commit.tree


def _build_answers(tree: Tree) -> None:
    """Have ready what is made once: the first request would otherwise wait for it."""
    tree.elements_by_dtype  # noqa: B018 - kept when first looked at, as are the others
    for blob in tree.blobs.values():
        blob.oid  # noqa: B018
    for answer in (tree.blobs.get(INDEX_FILE), tree.safetensors_metadata(INDEX_FILE)):
        if answer is not None:
            answer.gzipped  # noqa: B018


def _header_nbytes(tree: Tree) -> int:
    return sum(blob.weights_from for path, blob in tree.blobs.items() if path.endswith(".safetensors"))


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin)
