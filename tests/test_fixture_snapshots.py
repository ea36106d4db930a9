"""The snapshot records say what they should, and their tensors add up to the published counts."""

import fnmatch
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "hubmem" / "data" / "snapshots"
BUILT = ROOT / "fixtures" / "snapshots" / "built"
FACTS = ROOT / "fixtures" / "snapshots" / "repos"

BYTES = {
    "F64": 8,
    "I64": 8,
    "F32": 4,
    "I32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "U8": 1,
    "I8": 1,
    "BOOL": 1,
}

# As printed by the Hub's totals, huggingface.js' tests, KerasHub's presets or Megatron-LM's log; each record
# says which. GPT-J, OPT, T5 and ALBERT are counted without what their checkpoints hold besides the model.
FAMILIES = {
    "EleutherAI/gpt-j-6b": 6_050_882_784,
    "EleutherAI/gpt-neox-20b": 20_739_117_584,
    "FacebookAI/roberta-base": 124_697_433 + 514,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen2.5-32B": 32_763_876_352,
    "Qwen/Qwen2.5-72B": 72_706_203_648,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen3-0.6B": 751_632_384,
    "Qwen/Qwen3-1.7B": 2_031_739_904,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "albert/albert-base-v2": 11_683_584,
    "bigscience/bloom": 176_247_271_424,
    "bigscience/bloom-560m": 559_214_592,
    "facebook/opt-6.7b": 6_658_473_984,
    "google-bert/bert-base-uncased": 110_106_428,
    "google-t5/t5-base": 222_903_552,
    "google-t5/t5-large": 737_668_096,
    "google/flan-t5-xxl": 11_135_332_352,
    "google/gemma-2-9b": 9_241_705_984,
    "google/gemma-2b": 2_506_172_416,
    "google/gemma-7b": 8_537_680_896,
    "meta-llama/Llama-2-7b-hf": 6_738_417_664,
    "meta-llama/Llama-3.1-405B": 405_853_388_800,
    "meta-llama/Llama-3.1-70B": 70_553_706_496,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "mistralai/Mixtral-8x7B-v0.1": 46_702_792_704,
    "nvidia/megatron-bert-uncased-345m": 336_297_858,
    "nvidia/megatron-gpt2-345m": 354_871_296,
    "openai-community/gpt2": 137_022_720,
}

# Source: `metadata.total_size` of the repo's model.safetensors.index.json.
TOTAL_SIZES = {"bigscience/bloom": 352_494_542_848, "meta-llama/Llama-2-7b-hf": 13_476_839_424}

Record = dict[str, Any]


def records_in(folder: Path) -> dict[str, Record]:
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {record["repo"]: record for record in records}


RECORDS = {**records_in(SHIPPED), **records_in(BUILT)}
every_record = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())


def numbers(group: str) -> list[int]:
    """`0..2,5` -> [0, 1, 2, 5]."""
    ends = [[int(end) for end in part.split("..")] for part in group.split(",")]
    return [number for end in ends for number in range(end[0], end[-1] + 1)]


def names(template: str) -> list[str]:
    literal, *rest = re.split(r"\{|\}", template)
    groups, literals = rest[::2], rest[1::2]
    choices = itertools.product(*(numbers(group) for group in groups))
    return [
        literal + "".join(f"{n}{text}" for n, text in zip(choice, literals, strict=True))
        for choice in choices
    ]


def count(template: str) -> int:
    return math.prod(len(numbers(group)) for group in re.findall(r"\{(.*?)\}", template))


def matching(record: Record, pattern: str) -> list[list[Any]]:
    return [row for row in record["tensors"] if fnmatch.fnmatchcase(row[0], pattern)]


def parameters_in_one_stored_element(record: Record, template: str) -> int:
    if any(fnmatch.fnmatchcase(template, pattern) for pattern in record["parameters"].get("leaves_out", {})):
        return 0
    unpacks = record["parameters"].get("unpacks", {})
    return next((n for pattern, n in unpacks.items() if fnmatch.fnmatchcase(template, pattern)), 1)


@every_record
def test_a_record_has_the_published_number_of_parameters(record: Record) -> None:
    counted = sum(
        count(template) * math.prod(shape) * parameters_in_one_stored_element(record, template)
        for template, _, shape in record["tensors"]
    )
    assert counted == record["parameters"]["published"]


@every_record
def test_a_record_obeys_the_schema(record: Record) -> None:
    assert list(record) == [
        *("schema", "repo", "gated", "library_name", "pipeline_tag", "config", "weights"),
        *("tensors", "parameters", "sources"),
    ]
    assert record["schema"] == "hubmem.snapshot/1"
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", record["repo"])
    assert record["gated"] in {False, "auto", "manual"}
    assert record["config"]["model_type"]
    assert record["weights"].keys() == {"format", "files"}
    assert record["weights"]["format"] in {"safetensors", "pytorch"}
    assert record["weights"]["files"] >= 1
    assert record["sources"].keys() == {"config", "tensors"}
    assert all(isinstance(source, str) and source for source in record["sources"].values())


@every_record
def test_each_tensor_row_is_a_template_a_safetensors_dtype_and_a_shape(record: Record) -> None:
    for template, dtype, shape in record["tensors"]:
        assert re.fullmatch(r"[\w.-]+(\{[\d.,]+\}[\w.-]+)*", template)
        assert dtype in BYTES
        assert all(isinstance(length, int) and length > 0 for length in shape)


@every_record
def test_no_name_stands_in_two_rows(record: Record) -> None:
    all_names = [name for template, _, _ in record["tensors"] for name in names(template)]
    assert len(set(all_names)) == len(all_names)


@every_record
def test_a_count_says_what_it_counts_and_names_its_source(record: Record) -> None:
    parameters = record["parameters"]
    assert parameters.keys() <= {"published", "counts", "source", "leaves_out", "unpacks"}
    assert parameters["counts"] in {"stored", "logical"}
    assert parameters["source"]
    for pattern in [*parameters.get("leaves_out", ()), *parameters.get("unpacks", ())]:
        assert matching(record, pattern), f"{pattern} matches no row"


@every_record
def test_a_stored_count_leaves_out_scalars_alone(record: Record) -> None:
    if record["parameters"]["counts"] == "stored":
        assert "unpacks" not in record["parameters"]
        left_out = [
            row for pattern in record["parameters"].get("leaves_out", ()) for row in matching(record, pattern)
        ]
        assert all(shape == [] for _, _, shape in left_out)


@pytest.mark.parametrize(("repo", "published"), FAMILIES.items(), ids=FAMILIES.keys())
def test_each_family_has_a_record_with_its_published_count(repo: str, published: int) -> None:
    assert RECORDS[repo]["parameters"]["published"] == published


@pytest.mark.parametrize(("repo", "total_size"), TOTAL_SIZES.items(), ids=TOTAL_SIZES.keys())
def test_the_bytes_of_the_rows_are_the_total_size_of_the_index(repo: str, total_size: int) -> None:
    rows = RECORDS[repo]["tensors"]
    assert sum(count(name) * math.prod(shape) * BYTES[dtype] for name, dtype, shape in rows) == total_size


def test_records_and_facts_are_of_the_same_repos_and_agree() -> None:
    facts = records_in(FACTS)
    assert facts.keys() == RECORDS.keys()
    assert {repo for repo, fact in facts.items() if fact["shipped"]} == records_in(SHIPPED).keys()
    for repo, record in RECORDS.items():
        carried = record.keys() & facts[repo].keys()
        assert {key: facts[repo][key] for key in carried} == {key: record[key] for key in carried}


@pytest.mark.parametrize("folder", [SHIPPED, BUILT, FACTS], ids=lambda folder: folder.name)
def test_a_file_is_named_after_its_repo(folder: Path) -> None:
    assert {path.stem for path in folder.glob("*.json")} == {
        repo.replace("/", "--") for repo in records_in(folder)
    }


def test_the_bundle_stays_under_one_and_a_half_megabytes() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.json")) < 1_500_000
