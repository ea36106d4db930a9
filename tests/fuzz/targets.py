"""The parsers, each with real inputs and with all that is computed from its result."""

import json
import lzma
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import islice
from random import Random
from typing import Any

from hubmem import dtypes, templates
from hubmem.errors import HubmemError
from hubmem.hub.source import Cost, Listing, Origin
from hubmem.inspection import assess
from hubmem.memory.cache import cache_bytes
from hubmem.memory.workload import Workload
from hubmem.models.config import Config, parse_config
from hubmem.models.families import read_architecture
from hubmem.request import Request
from hubmem.snapshot import Snapshot
from hubmem.weights import one_call
from hubmem.weights.adapters import parse_adapter
from hubmem.weights.census import Census, dump_groups, fold_file, load_groups
from hubmem.weights.components import components
from hubmem.weights.formats import FORMATS
from hubmem.weights.index import parse_index
from hubmem.weights.layout import Selection
from hubmem.weights.quantization import unpack_census
from hubmem.weights.quantization_config import read_quantization
from hubmem.weights.safetensors import Tensor, read_tensors

from tests.fuzz.campaign import Target
from tests.fuzz.mutation import mutate_bytes, mutate_json, renamed
from tests.weights.memory_source import header
from tests.weights.records import RECORDS, ROOT, stored_census
from tests.weights.test_components import PIPELINE, STABLE_DIFFUSION
from tests.weights.test_quantization import STORED

_FIXTURES = ROOT / "fixtures"
_PLAIN = ("openai-community/gpt2", "google/gemma-3-1b-it", "facebook/opt-125m", "Qwen/Qwen3-0.6B")
_SHARDED = ("meta-llama/Llama-3.2-3B", "Qwen/Qwen2.5-7B-Instruct-AWQ")
_INDEX = "folder/model.safetensors.index.json"
# Of GGUF and pickled files only the beginning is at hand.
_FILE_NBYTES = 10**12
_Row = tuple[str, str, tuple[int, ...]]


def _malformed(ending: str) -> list[bytes]:
    paths = sorted((_FIXTURES / "malformed").glob(f"*{ending}"))
    return [path.read_bytes() for path in paths]


def _tensors(repo: str, most: int) -> list[_Row]:
    groups = stored_census(repo).groups
    rows = ((name, group.dtype, group.shape) for group in groups for name in templates.expand(group.template))
    return list(islice(rows, most))


def _framed(header_json: bytes) -> bytes:
    return len(header_json).to_bytes(8, "little") + header_json


def _safetensors() -> list[bytes]:
    made = [_framed(json.dumps(header(*_tensors(repo, 60))).encode()) for repo in _PLAIN]
    return [*made, *_malformed(".safetensors")]


def _mutate_header(random: Random, parent: bytes, pool: Sequence[bytes]) -> bytes:
    """Other tensors whose offsets agree, other JSON behind its true length, or other bytes."""
    other = random.choice(pool)
    rows, others = _rows(parent), _rows(other)
    choice = random.random()
    if choice < 0.5 and rows and others:
        return _framed(json.dumps(header(*_other_tensors(random, rows, others))).encode())
    if choice < 0.9:
        return _framed(mutate_json(random, parent[8:], [other[8:]]))
    return mutate_bytes(random, parent, pool)


def _rows(data: bytes) -> list[_Row]:
    try:
        return [
            (tensor.name, tensor.dtype, tensor.shape) for tensor in read_tensors(json.loads(data[8:]), "")[0]
        ]
    except (HubmemError, ValueError, RecursionError):
        return []


def _other_tensors(random: Random, rows: list[_Row], others: list[_Row]) -> list[_Row]:
    """The tensors with some renamed, reshaped, of another dtype, or of another model."""
    for _ in range(random.randint(1, 8)):
        at = random.randrange(len(rows))
        name, dtype, shape = rows[at]
        other_name, other_dtype, other_shape = random.choice(others)
        rows[at] = random.choice((
            (renamed(random, name, other_name), dtype, shape),
            (other_name, random.choice(list(dtypes.BY_NAME)), shape),
            (name, dtype, other_shape),
            (name, other_dtype, tuple(random.choice((0, 1, 2, 2**20, 2**40)) for _ in shape)),
        ))  # fmt: skip
    return rows


def _gguf() -> list[bytes]:
    folder = _FIXTURES / "formats" / "gguf"
    return [*(path.read_bytes() for path in sorted(folder.iterdir())), *_malformed(".gguf")]


def _torch(*, zipped: bool) -> list[bytes]:
    folder = _FIXTURES / "formats" / "torch"
    files = [*(path.read_bytes() for path in sorted(folder.iterdir())), *_malformed(".bin")]
    return [data for data in files if data.startswith(b"PK") == zipped]


def _read_weights(form_name: str, data: bytes) -> None:
    """As a source reads: further as long as the format asks for more; then the whole report."""
    form = FORMATS[form_name]
    head = data[: form.first_read]
    while len(head) < min(wanted := form.needed(head), len(data)):
        head = data[:wanted]
    length = _length_claimed(data) if form_name == "safetensors" else _FILE_NBYTES
    contents = form.read(head, "file", length)
    assert load_groups(dump_groups(contents.groups), "file") == contents.groups
    census = _census(contents.groups, form_name)
    _report(census, Config(contents.config) if contents.config else None)


def _length_claimed(data: bytes) -> int:
    """The length of file by which the last check of a safetensors header passes."""
    stop = 8 + int.from_bytes(data[:8], "little")
    try:
        entries = json.loads(data[8:stop])
        ends = [entry["data_offsets"][1] for entry in entries.values() if "data_offsets" in entry]
        return stop + int(max(ends))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError):
        return len(data)


def _census(groups: Any, form_name: str = "safetensors") -> Census:
    return Census(groups=tuple(groups), format=form_name, files=1, basis=FORMATS[form_name].basis)


def _report(census: Census, config: Config | None) -> None:
    """Everything that follows from what was read: its sums agree, and it can be written."""
    listing = Listing(repo="org/name", revision=None, commit=None, gated=None, origin=Origin.LOCAL, files={})
    snapshot = Snapshot(listing=listing, config=config, census=census, cost=Cost(), seconds=0.0)
    report = assess(snapshot, Request.of(gpus=["H100-80GB"]))
    json.dumps(report.to_dict(), allow_nan=False)
    counted = report.census
    assert sum(counted.by_role().values()) == counted.parameters
    assert sum(counted.by_dtype().values()) == counted.stored_elements
    assert sum(counted.by_file().values()) == counted.stored_bytes


def _indexes() -> list[bytes]:
    shards = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    maps = [{name: shards[n % 3] for n, (name, _, _) in enumerate(_tensors(repo, 80))} for repo in _SHARDED]
    made = [{"metadata": {"total_size": 10**9}, "weight_map": weight_map} for weight_map in maps]
    return [*(json.dumps(index).encode() for index in made), *_malformed(".index.json")]


def _read_index(data: bytes) -> None:
    index = parse_index(_text(data), _INDEX)
    assert all(path.startswith("folder/") and ".." not in path.split("/") for path in index.tensors)
    json.dumps([index.tensors, index.name_characters, index.total_bytes], allow_nan=False)


def _one_calls() -> list[bytes]:
    bodies = [
        {"index": {"metadata": {"total_size": 10}}, "headers": {"a.safetensors": header(*_tensors(repo, 40))}}
        for repo in _SHARDED
    ]
    return [json.dumps(body, separators=(",", ":")).encode() for body in bodies]


def _read_one_call(data: bytes) -> None:
    answer = one_call.parse(data, _INDEX)
    for path, shard in (answer.headers if answer else {}).items():
        dump_groups(fold_file(shard.tensors, path))


def _configs() -> list[bytes]:
    """Every published config, and one of each type of transformers."""
    with lzma.open(_FIXTURES / "cache" / "sweep.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    configs = [
        *(record["config"] for record in RECORDS.values()),
        *(row["config"] for row in rows if "config" in row),
    ]
    return [json.dumps(config).encode() for config in configs]


@cache
def _any_census() -> Census:
    return stored_census("Qwen/Qwen3-0.6B")


def _read_config(data: bytes) -> None:
    architecture = read_architecture(parse_config(_text(data)))
    for context in (1, 4096, 2**20):
        cache_bytes(architecture, Workload(context=context), stored="BF16")


def _read_report(data: bytes) -> None:
    _report(_any_census(), parse_config(_text(data)))


def _quantizations() -> list[bytes]:
    """Every published quantization, and one of each method."""
    published = [record["config"].get("quantization_config") for record in RECORDS.values()]
    configs = [*filter(None, published), *(config for config, _ in STORED.values())]
    return [json.dumps({"quantization_config": config}).encode() for config in configs]


@cache
def _packed_censuses() -> tuple[Census, ...]:
    """A matrix in each method's storage."""
    module = "model.layers.0.mlp.experts.3"
    stored = (
        [Tensor(f"{module}.{name}", dtype, shape) for name, dtype, shape in rows]
        for _, rows in STORED.values()
    )
    return tuple(_census(fold_file(tensors, "file")) for tensors in stored)


def _read_quantization(data: bytes) -> None:
    config = parse_config(_text(data)).raw
    for quantization in (read_quantization(config), read_quantization(None, config)):
        assert all(unpack_census(census, quantization).parameters >= 0 for census in _packed_censuses())
        json.dumps(quantization.summary() if quantization else None, allow_nan=False)


def _read_adapter(data: bytes) -> None:
    adapter = parse_adapter(_text(data))
    json.dumps([adapter.kind, adapter.base, adapter.rank, adapter.targets])


def _read_guide(name: str, data: bytes) -> None:
    components(
        [*STABLE_DIFFUSION, "model.safetensors", "2_Dense/model.safetensors"], name, _text(data), Selection()
    )


def _text(data: bytes) -> str:
    """A small file as a source decodes it, which refuses what is not UTF-8 before any parser."""
    return data.decode("utf-8", "replace")


def _written(*values: Any) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(value).encode() for value in values]


_ADAPTERS = (
    {
        "peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-3.1-8B", "revision": None, "r": 16,
        "lora_alpha": 32, "target_modules": ["v_proj", "q_proj"], "rank_pattern": {"q_proj": 8}, "bias": "none",
    },
    {"peft_type": "IA3", "base_model_name_or_path": "bigscience/mt0-large", "target_modules": "all-linear"},
)  # fmt: skip
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
]

_SAFETENSORS, _GGUF, _TORCH = (partial(_read_weights, name) for name in ("safetensors", "gguf", "torch"))
_PIPELINE, _MODULE_LIST = (partial(_read_guide, name) for name in ("model_index.json", "modules.json"))
_ROWS = (
    Target(name="safetensors", corpus=_safetensors, mutate=_mutate_header, read=_SAFETENSORS),
    Target(name="one-call", corpus=_one_calls, mutate=mutate_json, read=_read_one_call),
    Target(name="index", corpus=_indexes, mutate=mutate_json, read=_read_index),
    Target(name="gguf", corpus=_gguf, mutate=mutate_bytes, read=_GGUF),
    Target(name="torch-zip", corpus=partial(_torch, zipped=True), mutate=mutate_bytes, read=_TORCH),
    Target(name="torch-legacy", corpus=partial(_torch, zipped=False), mutate=mutate_bytes, read=_TORCH),
    Target(name="config", corpus=_configs, mutate=mutate_json, read=_read_config),
    Target(name="report", corpus=_configs, mutate=mutate_json, read=_read_report),
    Target(name="quantization", corpus=_quantizations, mutate=mutate_json, read=_read_quantization),
    Target(name="adapter", corpus=_written(*_ADAPTERS), mutate=mutate_json, read=_read_adapter),
    Target(name="pipeline", corpus=_written(json.loads(PIPELINE)), mutate=mutate_json, read=_PIPELINE),
    Target(name="modules", corpus=_written(_MODULES), mutate=mutate_json, read=_MODULE_LIST),
)
TARGETS = {target.name: target for target in _ROWS}
