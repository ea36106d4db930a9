"""How fast, how large and how frugal a scan is, against a Hub of generated repos in a process of its own.

    python -m tests.benchmarks.scan                  2,000 and 20,000 repos, then a quota: about half an hour
    python -m tests.benchmarks.scan --repos 500 --paced-repos 100

Each scan is `hubmem scan` as a user starts it, with nothing cached. Its peak memory is what the kernel says
of the process; requests, refusals and the use of the quota are what the server has counted.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.hub_server import Files, HubServer, LoggedRequest, Repo, Settings, files_of
from tests.scanning.models import record, without_weights

# What is served: sizes of published llamas and BERTs as (layers, hidden, feed-forward, files), and how many
# of a hundred repos have them; two of a hundred hold no weights and one is gated.
SHAPES = (
    ((6, 384, 1536, 1), 30),
    ((12, 768, 3072, 1), 30),
    ((22, 2048, 5632, 1), 17),
    ((32, 4096, 14336, 4), 15),
    ((80, 8192, 28672, 30), 5),
)
EMPTY, GATED = range(97, 99), 99
# A twentieth of a PRO user's five minutes, so that many windows pass in a few of ours.
PACED = Settings(quotas={"api": 125, "resolvers": 600}, window_seconds=15)
FREE = Settings(quotas={})


def repo(number: int) -> Repo:
    """One of the generated repos; its files are made when they are asked for, and forgotten."""
    name, kind = f"bench/m{number:06d}", number % 100
    if kind in EMPTY:
        return without_weights(name)
    return Repo(name, lambda: _files(name, number), gated="manual" if kind == GATED else False)


def _files(name: str, number: int) -> Files:
    shapes = [shape for shape, share in SHAPES for _ in range(share)]
    layers, hidden, feed_forward, files = shapes[number % 100 % len(shapes)]
    # Every layer differs from that of any other repo, so no two have a file in common: what one has taught helps
    # with no other.
    vocabulary, feed_forward = 32_000 + number, feed_forward + number
    sizes = {
        "hidden_size": hidden,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "max_position_embeddings": 8192,
    }
    base = record(name, vocabulary=vocabulary, files=files, **sizes)
    return files_of({**base, "tensors": _tensors(layers, hidden, feed_forward, vocabulary)})


def _tensors(layers: int, hidden: int, feed_forward: int, vocabulary: int) -> list[list[Any]]:
    layer = f"model.layers.{{0..{layers - 1}}}"
    square, up, down = [hidden, hidden], [feed_forward, hidden], [hidden, feed_forward]
    return [
        ["model.embed_tokens.weight", "BF16", [vocabulary, hidden]],
        *([f"{layer}.self_attn.{part}_proj.weight", "BF16", square] for part in "qkvo"),
        *([f"{layer}.mlp.{part}_proj.weight", "BF16", up] for part in ("gate", "up")),
        [f"{layer}.mlp.down_proj.weight", "BF16", down],
        *([f"{layer}.{part}_layernorm.weight", "BF16", [hidden]] for part in ("input", "post_attention")),
        ["model.norm.weight", "BF16", [hidden]],
        ["lm_head.weight", "BF16", [vocabulary, hidden]],
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the server has counted.

    Attributes:
        by_bucket: requests that drew on a quota.
        storage: requests to the storage host.
        refused: answers of 429.
        used: share of each quota that was used, from the first window's beginning to the last one's.
    """

    by_bucket: dict[str, int]
    storage: int
    refused: int
    used: dict[str, float]


@contextmanager
def serving(repos: int, settings: Settings) -> Iterator[tuple[str, Connection]]:
    """A Hub in another process: its address, and a line on which to ask what it has served."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(repos, settings, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.kill()
        process.join()


def _serve(repos: int, settings: Settings, line: Connection) -> None:
    with HubServer(map(repo, range(repos)), settings=settings) as hub:
        line.send(hub.endpoint)
        while line.recv() == "served?":
            line.send(_served(hub))


def _served(hub: HubServer) -> Served:
    entries = hub.requests
    return Served(
        by_bucket=dict(Counter(entry.bucket for entry in entries if entry.bucket)),
        storage=sum(entry.bucket is None for entry in entries),
        refused=sum(entry.status == 429 for entry in entries),
        used={bucket: _use(entries, bucket, hub.settings) for bucket in hub.settings.quotas},
    )


def _use(entries: Sequence[LoggedRequest], bucket: str, settings: Settings) -> float:
    """What was asked for over what might have been, idle time between windows included."""
    arrivals = [entry.arrived_seconds for entry in entries if entry.bucket == bucket and entry.status != 429]
    begun = [min(arrivals)]
    for arrival in sorted(arrivals):
        if arrival >= begun[-1] + settings.window_seconds:
            begun.append(arrival)
    windows = (begun[-1] - begun[0]) / settings.window_seconds
    before_last = sum(arrival < begun[-1] for arrival in arrivals)
    return before_last / (windows * settings.quotas[bucket]) if windows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One scan.

    Attributes:
        cpu_seconds: of the scanning process alone.
        peak_bytes: its largest resident set.
    """

    repos: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    served: Served


def measure(repos: int, settings: Settings, options: Sequence[str]) -> Measured:
    """Scan so many repos once, with nothing cached."""
    with serving(repos, settings) as (endpoint, line), tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "repos.txt"
        names.write_text("".join(f"bench/m{number:06d}\n" for number in range(repos)), encoding="utf-8")
        started = time.monotonic()
        usage = _run(["scan", str(names), "-o", f"{folder}/out.jsonl", *options], endpoint, folder)
        seconds = time.monotonic() - started
        lines = sum(1 for _ in (Path(folder) / "out.jsonl").open("rb"))
        if lines != repos:
            raise RuntimeError(f"{lines} answers for {repos} repos")
        line.send("served?")
        return Measured(
            repos=repos,
            seconds=seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
            served=line.recv(),
        )


def _run(arguments: Sequence[str], endpoint: str, folder: str) -> Any:
    """`hubmem …` in a process of its own, and what the kernel says of it."""
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": f"{folder}/hf", "HF_HUB_DISABLE_TELEMETRY": "1"}
    process = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "hubmem", *arguments], {**os.environ, **environment}
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"hubmem ended with {os.waitstatus_to_exitcode(status)}")
    return usage


def as_markdown(rows: Sequence[tuple[str, Measured]]) -> str:
    """A table of scans."""
    lines = [
        "| scan | repos/s | CPU ms a repo | API a repo | files a repo | storage a repo | peak MB | 429 |",
        "| --- " + "| ---: " * 7 + "|",
    ]
    for name, one in rows:
        served = one.served
        cells = (
            name,
            f"{one.repos / one.seconds:.1f}",
            f"{one.cpu_seconds / one.repos * 1000:.0f}",
            f"{served.by_bucket.get('api', 0) / one.repos:.2f}",
            f"{served.by_bucket.get('resolvers', 0) / one.repos:.2f}",
            f"{served.storage / one.repos:.2f}",
            f"{one.peak_bytes / 1e6:.0f}",
            str(served.refused),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repos", type=int, nargs="+", default=[2_000, 20_000], help="sizes of free scans")
    parser.add_argument("--paced-repos", type=int, default=1_000, help="size of the scan under a quota")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    parser.add_argument("options", nargs="*", help="further options of `hubmem scan`, after --")
    asked = parser.parse_args(arguments)
    rows = [(f"{repos:,} repos", measure(repos, FREE, asked.options)) for repos in asked.repos]
    paced = measure(asked.paced_repos, PACED, asked.options)
    rows.append(("under a quota", paced))
    print(as_markdown(rows))
    for bucket, use in paced.served.used.items():
        print(f"{bucket}: {use:.1%} of the quota used over {paced.seconds:.0f} s")
    if asked.json:
        figures = [{"scan": name, "seconds": one.seconds, "peak_bytes": one.peak_bytes} for name, one in rows]
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
