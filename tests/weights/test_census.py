"""A census loses nothing: names, counts and bytes come back whole however tensors are folded and summed."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubmem import dtypes, templates
from hubmem.errors import MalformedWeights
from hubmem.weights.census import Census, dump_groups, fold_file, load_groups
from hubmem.weights.counting import with_draft_layers
from hubmem.weights.roles import Role
from hubmem.weights.safetensors import Tensor
from hypothesis import given
from hypothesis import strategies as st

from tests.weights.censuses import census_of_rows
from tests.weights.records import RECORDS, ROOT, Record, stored_census

parts = st.sampled_from(["model", "layers", "attn", "bias", "q_proj", "experts", "weight", "norm", "lm_head"])
numbers = st.integers(0, 12).map(str)
names = st.lists(parts | numbers, min_size=1, max_size=5).map(".".join)
tensors = st.builds(
    Tensor,
    name=names,
    dtype=st.sampled_from(["F32", "BF16", "U8", "F8_E4M3", "BOOL"]),
    shape=st.lists(st.integers(0, 4), max_size=3).map(tuple),
)
files = st.lists(tensors, max_size=30, unique_by=lambda tensor: tensor.name)


def nbytes(tensor: Tensor) -> int:
    return dtypes.of(tensor.dtype).nbytes(math.prod(tensor.shape))


def census_of_files(*contents: list[Tensor]) -> Census:
    groups = tuple(group for n, held in enumerate(contents) for group in fold_file(held, f"{n}.safetensors"))
    return Census(groups=groups, format="safetensors", files=len(contents), basis="headers")


@given(files)
def test_folding_keeps_every_tensor(held: list[Tensor]) -> None:
    unfolded = [
        Tensor(name, group.dtype, group.shape)
        for group in fold_file(held, "model.safetensors")
        for name in templates.expand(group.template)
    ]
    assert sorted(unfolded) == sorted(held)


HOSTILE_NAMES = {
    "thousands of numbers": ["a" + ".0" * 3000 + end for end in (".0.0", ".1.1", ".1.2")],
    "a number of thousands of digits": ["a." + "9" * 5000 + ".w", "a." + "9" * 4999 + "8.w"],
    "braces": ["a.{0..99999999}.w", "a.{0..99999998}.w"],
    "lines": ["a.0.w\na.1.w", "a.0.w\na.2.w"],
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("names", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_names_no_model_has_are_counted_one_by_one(names: list[str]) -> None:
    groups = fold_file([Tensor(name, "F32", (3,)) for name in names], "model.safetensors")
    assert sum(group.count for group in groups) == len(names)
    assert load_groups(dump_groups(groups), "model.safetensors") == groups


@given(files)
def test_groups_come_back_from_the_cache_as_they_went_in(held: list[Tensor]) -> None:
    groups = fold_file(held, "model.safetensors")
    assert load_groups(dump_groups(groups), "model.safetensors") == groups


@given(files, files)
def test_the_sums_over_roles_dtypes_and_files_are_the_totals(one: list[Tensor], other: list[Tensor]) -> None:
    census = census_of_files(one, other)
    everything = one + other
    assert census.tensors == len(everything)
    assert census.stored_elements == sum(math.prod(tensor.shape) for tensor in everything)
    assert census.stored_bytes == sum(map(nbytes, everything))
    assert sum(census.by_dtype().values()) == census.stored_elements
    assert sum(census.by_role().values()) == census.parameters
    assert sum(census.by_file().values()) == census.stored_bytes
    assert census.parameters + census.buffers == census.stored_elements


@pytest.mark.parametrize("stored", [b"", b"{", b"[[1]]", b'[["a","F12",[2]]]', b'[["a","F32",2]]', b"[null]"])
def test_a_damaged_stored_header_is_refused_by_its_file_name(stored: bytes) -> None:
    with pytest.raises(MalformedWeights, match=r"^model\.safetensors: its stored header is damaged"):
        load_groups(stored, "model.safetensors")


def left_out(record: Record, census: Census) -> int:
    """Stored elements of scalars, which the Hub's own totals do not count."""
    scalars = (group for group in census.groups if not group.shape)
    return sum(group.count for group in scalars) if record["parameters"].get("leaves_out") else 0


STORED = [repo for repo, record in RECORDS.items() if record["parameters"]["counts"] == "stored"]


@pytest.mark.parametrize("repo", STORED)
def test_the_stored_elements_of_a_repo_are_the_published_number(repo: str) -> None:
    census = stored_census(repo)
    published = RECORDS[repo]["parameters"]["published"]
    assert census.stored_elements - left_out(RECORDS[repo], census) == published


@pytest.mark.parametrize(
    ("repo", "parameters", "buffers"),
    [
        # GPT-2: 124M in OpenAI's sizes; 12 masks of 1024×1024 are saved beside them.
        ("openai-community/gpt2", 124_439_808, 12_582_912),
        ("EleutherAI/gpt-j-6b", 6_050_882_784, 28 * (2048 * 2048 + 1)),
        ("EleutherAI/pythia-70m", 70_426_624, 6 * (2048 * 2048 + 1 + 8)),
        ("FacebookAI/roberta-base", 124_697_433, 514),
        ("bigscience/bloom-560m", 559_214_592, 0),
        ("meta-llama/Llama-3.1-70B", 70_553_706_496, 0),
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616, 32 * 64),
    ],
)
def test_buffers_are_no_parameters(repo: str, parameters: int, buffers: int) -> None:
    census = stored_census(repo)
    assert (census.parameters, census.buffers) == (parameters, buffers)


def test_the_main_dtype_is_the_one_of_most_bytes() -> None:
    census = census_of_files([Tensor("a", "U8", (9,)), Tensor("b", "F32", (2,)), Tensor("c", "F32", (1,))])
    assert census.main_dtype == "F32"


def sized(**kinds: Any) -> Any:
    return {Role(kind): count for kind, count in kinds.items()}


def test_a_llama_is_broken_down_by_role() -> None:
    """8 B parameters by hand: 32 layers of width 4096, 8 key heads of 128, MLP 14336, vocabulary 128256."""
    attention = 32 * 2 * (4096 * 4096 + 4096 * 1024)
    assert stored_census("meta-llama/Llama-3.1-8B").by_role() == sized(
        mlp=32 * 3 * 4096 * 14336,
        attention=attention,
        embedding=128256 * 4096,
        head=128256 * 4096,
        norm=65 * 4096,
    )


def _layers(*numbers: int, dtype: str = "F16") -> list[Tensor]:
    return [Tensor(f"model.layers.{number}.up_proj.weight", dtype, (4, 2)) for number in numbers]


def test_layers_that_lie_in_several_files_are_one_group_across_them() -> None:
    census = census_of_files(_layers(0, 1, 4), [*_layers(2, 3), Tensor("lm_head.weight", "F16", (8, 2))])
    assert [(group.template, group.count, group.file) for group in census.across_files] == [
        ("model.layers.{0..4}.up_proj.weight", 5, "0.safetensors"),
        ("lm_head.weight", 1, "1.safetensors"),
    ]


def test_experts_of_one_layer_that_lie_in_several_files_are_one_group_with_those_of_other_layers() -> None:
    def experts(layer: int, *numbers: int) -> list[Tensor]:
        return [Tensor(f"model.layers.{layer}.experts.{number}.w1", "F16", (2, 2)) for number in numbers]

    census = census_of_files(experts(3, 0, 1), [*experts(3, 2, 3), *experts(4, 0)], experts(4, 1, 2, 3))
    assert [(group.template, group.count) for group in census.across_files] == [
        ("model.layers.{3..4}.experts.{0..3}.w1", 8)
    ]


@pytest.mark.parametrize(
    "contents",
    [
        (_layers(0, 1), _layers(1, 2)),
        (_layers(0), _layers(1, dtype="F32")),
        ([Tensor("a.weight", "F16", (2,))], [Tensor("b.weight", "F16", (2,))]),
    ],
    ids=["a layer twice", "of different dtypes", "without layers"],
)
def test_groups_that_are_no_layers_of_one_kind_stay_apart_across_files(contents: list[list[Tensor]]) -> None:
    census = census_of_files(*contents)
    assert census.across_files == census.groups


def test_kinds_are_merged_over_files_and_layers_whatever_their_numbers() -> None:
    census = census_of_files(_layers(0, 1), [*_layers(1, 2), *_layers(3, dtype="F32")])
    assert [(group.dtype, group.count) for group in census.kinds] == [("F16", 4), ("F32", 1)]


@given(files, files)
def test_no_tensor_is_lost_or_counted_twice_by_merging(one: list[Tensor], other: list[Tensor]) -> None:
    census = census_of_files(one, other)
    for merged in (census.across_files, census.kinds):
        assert sum(group.count for group in merged) == census.tensors
        assert sum(group.nbytes for group in merged) == census.stored_bytes
        assert sum(group.parameters for group in merged) == census.parameters


def test_a_census_without_drafts_lacks_them_alone_and_is_itself_where_there_are_none() -> None:
    plain = census_of_files(_layers(0, 1))
    drafting = with_draft_layers(census_of_files(_layers(0, 1, 2)), 2)
    assert drafting.without_drafts.groups == plain.groups
    assert plain.without_drafts is plain


def test_a_copy_is_stored_but_neither_loaded_nor_a_parameter() -> None:
    groups = fold_file(_layers(0, 1), "model.safetensors", {"model.layers.1.up_proj.weight"})
    census = Census(groups=groups, format="safetensors", files=1, basis="headers")
    assert (census.stored_bytes, census.loaded_bytes, census.parameters) == (32, 16, 8)
    assert load_groups(dump_groups(groups), "model.safetensors") == groups


def test_only_a_parameter_of_another_shape_than_it_is_stored_in_is_packed() -> None:
    (group,) = census_of_files([Tensor("w", "U8", (8, 4))]).groups
    assert not group.is_packed
    assert replace(group, unpacked=(8, 8)).is_packed
    assert not replace(group, unpacked=None).is_packed


def test_a_change_of_every_group_adds_its_notes_to_those_there_are() -> None:
    census = replace(census_of_files(_layers(0, 1)), notes=("one",))
    changed = census.changed(lambda group: replace(group, unpacked=None), "two")
    assert (census.parameters, changed.parameters) == (16, 0)
    assert changed.stored_bytes == census.stored_bytes
    assert changed.notes == ("one", "two")


def test_groups_are_found_by_the_ends_of_their_names() -> None:
    census = census_of_files([*_layers(0), Tensor("model.norm.weight", "F16", (2,))])
    found = census.find("norm.weight", "lm_head.weight")
    assert [group.template for group in found] == ["model.norm.weight"]


def test_an_empty_checkpoint_has_no_dtype() -> None:
    assert census_of_files([]).main_dtype == ""


COMPONENTS = sorted((ROOT / "fixtures" / "components").glob("*.json"))


@pytest.mark.parametrize("path", COMPONENTS, ids=[path.stem for path in COMPONENTS])
def test_a_diffusion_model_has_the_parameters_the_hub_counts(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    census = census_of_rows(record["tensors"])
    assert census.parameters == census.stored_elements == record["parameters"]
