"""How fast headers are read: `python -m tests.benchmarks.parsing` prints a table, and exits 1 where a target is missed.

Ratios are to `json.loads` on the same bytes, the best of several runs; memory is the most a process of its own held.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hubmem import dtypes, templates
from hubmem.weights import one_call
from hubmem.weights.census import TensorGroup, fold_file
from hubmem.weights.safetensors import parse_file
from tabulate import tabulate

from tests.weights.records import stored_census

# 92,000 tensors in 163 shards.
_LARGE, _SHARDS = "deepseek-ai/DeepSeek-V3", 163
_INDEX = "model.safetensors.index.json"
_MOST_RATIO = 2.0
# Kimi-K3: some 497,000 tensors, 60 MB of headers.
_HUGE_LAYERS, _HUGE_EXPERTS = 93, 896
_MOST_BYTES = 1.5e9
_PROGRAM = "from tests.benchmarks import parsing; parsing.read_huge()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One figure and its target."""

    what: str
    figure: str
    target: str
    met: bool


def main() -> int:
    """Measure, print, and say by the exit code whether every target is met."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.parsing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts")
    rounds = parser.parse_args().rounds
    rows = [*ratios(rounds), memory()]
    print(
        tabulate(
            [(row.what, row.figure, row.target, "yes" if row.met else "no") for row in rows],
            headers=["what", "measured", "target", "met"],
            tablefmt="pipe",
        )
    )
    return int(not all(row.met for row in rows))


def ratios(rounds: int) -> Iterator[Measured]:
    """The Hub's one answer for all shards, and the shards one by one."""
    headers = shard_headers(stored_census(_LARGE).groups)
    count = sum(map(len, headers.values()))
    body = json.dumps({"index": {"metadata": {}}, "headers": headers}, separators=(",", ":")).encode()
    yield _ratio(
        f"{count:,} tensors in one answer", rounds, lambda: read_answer(body), lambda: json.loads(body)
    )
    files = {name: framed(header) for name, header in headers.items()}
    yield _ratio(
        f"the same in {len(files)} shards",
        rounds,
        lambda: read_files(files),
        lambda: [json.loads(head[8:]) for head, _ in files.values()],
    )


def _ratio(what: str, rounds: int, ours: Callable[[], object], theirs: Callable[[], object]) -> Measured:
    """Taken in turns, so that a busy machine slows both."""
    pairs = [(_cpu_seconds(ours), _cpu_seconds(theirs)) for _ in range(rounds)]
    mine, base = (min(column) for column in zip(*pairs, strict=True))
    return Measured(
        what=what,
        figure=f"{mine:.2f} s, {mine / base:.2f}× json.loads",
        target=f"{_MOST_RATIO:g}×",
        met=mine <= _MOST_RATIO * base,
    )


def _cpu_seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def memory() -> Measured:
    """A process of its own that reads half a million tensors."""
    said = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True
    ).stdout.split()
    tensors, nbytes, peak = map(int, said)
    return Measured(
        what=f"{tensors:,} tensors, {nbytes / 1e6:.0f} MB of headers, in one answer",
        figure=f"{peak / 1e9:.2f} GB held",
        target=f"{_MOST_BYTES / 1e9:g} GB",
        met=peak < _MOST_BYTES,
    )


def read_huge() -> None:
    """Print how many tensors of how many bytes were read, and the most memory that reading took."""
    prefix = b'{"index":{"metadata":{}},"headers":{'
    body = prefix + b",".join(map(_huge_shard, range(_HUGE_LAYERS))) + b"}}"
    groups = read_answer(body)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(sum(group.count for group in groups), len(body), peak)


def _huge_shard(layer: int) -> bytes:
    """A layer of 896 experts, each of three packed matrices with their scales."""
    matrix = {"weight_packed": ("U8", (2048, 3584)), "weight_scale": ("F8_E8M0", (2048, 224))}
    rows = [
        (f"language_model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{part}.{name}", dtype, shape)
        for expert in range(_HUGE_EXPERTS)
        for part in ("gate_proj", "up_proj", "down_proj")
        for name, (dtype, shape) in matrix.items()
    ]
    return f'"model-{layer:05}.safetensors":'.encode() + _json(laid_out(rows))


def read_answer(body: bytes) -> list[TensorGroup]:
    """What hubmem does with the Hub's one answer."""
    answer = one_call.parse(body, _INDEX)
    assert answer is not None
    return [group for path, header in answer.headers.items() for group in fold_file(header.tensors, path)]


def read_files(files: dict[str, tuple[bytes, int]]) -> list[TensorGroup]:
    """What hubmem does with the beginnings of shards."""
    return [
        group
        for path, (head, nbytes) in files.items()
        for group in fold_file(parse_file(head, path=path, file_nbytes=nbytes), path)
    ]


def shard_headers(groups: Sequence[TensorGroup]) -> dict[str, dict[str, object]]:
    """The tensors of a record in as many shards as it has, one layer behind the other."""
    rows = [(name, group.dtype, group.shape) for group in groups for name in templates.expand(group.template)]
    rows.sort(key=lambda row: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", row[0])])
    size = -(-len(rows) // _SHARDS)
    starts = range(0, len(rows), size)
    return {f"model-{start // size:05}.safetensors": laid_out(rows[start : start + size]) for start in starts}


def laid_out(rows: Sequence[tuple[str, str, tuple[int, ...]]]) -> dict[str, object]:
    """A header with its tensors one behind the other."""
    header: dict[str, object] = {}
    end = 0
    for name, dtype, shape in rows:
        elements = 1
        for dim in shape:
            elements *= dim
        begin, end = end, end + dtypes.of(dtype).nbytes(elements)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    return header


def framed(header: dict[str, object]) -> tuple[bytes, int]:
    """The beginning of a file with that header, and the file's length."""
    raw = _json(header)
    ends = [entry["data_offsets"][1] for entry in header.values() if isinstance(entry, dict)]
    head = len(raw).to_bytes(8, "little") + raw
    return head, len(head) + max(ends)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    sys.exit(main())
