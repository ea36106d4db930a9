"""Which files of a repo count: the cases of the wild, each with a repo that has it."""

import re
from typing import Any

import pytest
from hubmem.errors import NoWeights, UsageError
from hubmem.weights.layout import Selection, choose

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
DIFFUSION = "diffusion_pytorch_model"


@pytest.mark.parametrize(
    ("paths", "index", "files", "note"),
    [
        pytest.param(["config.json", SINGLE], None, [SINGLE], "", id="gpt2"),
        pytest.param([INDEX, "model-00001-of-00008.safetensors"], INDEX, [], "", id="zephyr-7b-beta"),
        pytest.param([INDEX, "model_00012-of-00072.safetensors"], INDEX, [], "", id="bloom"),
        pytest.param([INDEX, "model-00001-of-000163.safetensors"], INDEX, [], "", id="DeepSeek-V3.2-Exp"),
        pytest.param(
            [INDEX, "original/model.safetensors", "metal/model.bin"],
            INDEX,
            [],
            "Weights in original/ are not counted",
            id="gpt-oss-20b",
        ),
        pytest.param(
            [INDEX, "model-00001-of-00002.safetensors", "consolidated.safetensors"],
            INDEX,
            [],
            r"consolidated\*\.safetensors hold the same model in another form",
            id="Mistral-7B-Instruct-v0.3",
        ),
        pytest.param(
            ["consolidated.safetensors.index.json", "consolidated-00001-of-00273.safetensors", "params.json"],
            "consolidated.safetensors.index.json",
            [],
            "",
            id="Mistral-Large-3-675B-Instruct-2512-NVFP4",
        ),
        pytest.param([INDEX, SINGLE], INDEX, [], "model.safetensors lies beside", id="a stray single"),
        pytest.param(
            [f"{DIFFUSION}.safetensors"], None, [f"{DIFFUSION}.safetensors"], "", id="sd-vae-ft-mse"
        ),
        pytest.param(
            ["custom.safetensors"], None, ["custom.safetensors"], "an unusual name", id="an odd name"
        ),
        pytest.param(
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
            None,
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
            "No index names the 2 shards",
            id="shards whose index is missing",
        ),
        pytest.param(
            ["7b/1/" + INDEX, "7b/1/model-00001-of-00004.safetensors"],
            "7b/1/" + INDEX,
            [],
            "",
            id="ALAI-gemma-7b",
        ),
        pytest.param(
            ["model.fp16.safetensors", "model.non_ema.safetensors"],
            None,
            ["model.fp16.safetensors"],
            r"Only variants are stored \(fp16, non_ema\); fp16 is counted",
            id="variants alone",
        ),
        pytest.param(
            ["adapter_config.json", "adapter_model.safetensors"],
            None,
            ["adapter_model.safetensors"],
            "",
            id="a LoRA adapter",
        ),
        pytest.param(["pytorch_model.bin", SINGLE], None, [SINGLE], "", id="bert-base-uncased"),
        pytest.param(["pytorch_model.bin", "tf_model.h5"], None, ["pytorch_model.bin"], "", id="opt-125m"),
        pytest.param(
            ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"],
            "pytorch_model.bin.index.json",
            [],
            "",
            id="opt-13b",
        ),
        pytest.param(
            ["consolidated.00.pth", "consolidated.01.pth"],
            None,
            ["consolidated.00.pth", "consolidated.01.pth"],
            "",
            id="Llama-2-13b",
        ),
        pytest.param(
            ["training_args.bin", "model.pt"], None, ["model.pt"], "an unusual name", id="a single .pt"
        ),
        pytest.param(
            ["custom.safetensors", "custom.bin"],
            None,
            ["custom.safetensors"],
            "an unusual name",
            id="an odd name in both formats",
        ),
        pytest.param(
            ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors", "extra.bin"],
            None,
            ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
            "No index names the 2 shards",
            id="shards without an index beside a pickled file",
        ),
    ],
)
def test_the_files_that_count(paths: list[str], index: str | None, files: list[str], note: str) -> None:
    layout = choose(paths)
    assert (layout.index, list(layout.files)) == (index, files)
    assert bool(layout.notes) == bool(note)
    assert re.search(note, " ".join(layout.notes))


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([], "The repo holds no weights"),
        (["model.onnx", "config.json"], "The repo holds ONNX alone"),
        (["tf_model.h5", "flax_model.msgpack"], "Flax and TensorFlow"),
        (["model.nemo"], "NeMo"),
        (["coreml/unet.mlpackage/Data/weights/weight.bin"], "Core ML"),
        (["a.safetensors", "b.safetensors"], "2 weight files, and none is named as a model's"),
        (
            ["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"],
            "2 weight files, and none is named as a model's",
        ),
        (["training_args.bin"], "The repo holds no weights"),
        (["mmproj-m.gguf"], r"1 weight file, and it is not named as a model's: mmproj-m\.gguf\.$"),
    ],
)
def test_a_repo_without_readable_weights_is_refused_with_a_reason(paths: list[str], reason: str) -> None:
    with pytest.raises(NoWeights, match=reason) as caught:
        choose(paths)
    assert caught.value.hint


SPLITS = [
    "transformer/diffusion_pytorch_model.safetensors.index.json",
    *(f"transformer/{DIFFUSION}-0000{n}-of-00004.safetensors" for n in range(1, 5)),
    *(f"transformer/{DIFFUSION}-0000{n}-of-00008.safetensors" for n in range(1, 9)),
]


def test_the_index_decides_between_two_splits_in_one_folder() -> None:
    """Lightricks/LTX-2.5-Diffusers has a 4-way and an 8-way split in transformer/."""
    layout = choose(SPLITS, Selection(subfolder="transformer"))
    assert (layout.index, layout.files, layout.folder) == (SPLITS[0], (), "transformer")


@pytest.mark.parametrize(
    ("paths", "variant", "expected"),
    [
        ([SINGLE, "model.fp16.safetensors"], "fp16", "model.fp16.safetensors"),
        ([INDEX, "model.safetensors.index.fp16.json"], "fp16", "model.safetensors.index.fp16.json"),
        ([INDEX, "model.fp16.safetensors.index.json"], "fp16", "model.fp16.safetensors.index.json"),
        ([SINGLE, "model.fp16.safetensors"], None, SINGLE),
    ],
)
def test_one_variant_at_a_time(paths: list[str], variant: str | None, expected: str) -> None:
    layout = choose(paths, Selection(variant=variant))
    assert (layout.index or layout.files[0]) == expected


GGUFS = [
    "m-Q8_0.gguf",
    "m-Q4_K_M.gguf",
    "m-BF16-00001-of-00002.gguf",
    "m-BF16-00002-of-00002.gguf",
    "mmproj-m-f16.gguf",
]


def test_gguf_files_are_alternatives_and_a_projector_is_none() -> None:
    layout = choose(GGUFS)
    assert (layout.format, layout.files) == ("gguf", ("m-Q4_K_M.gguf",))
    assert {other.part: other.files for other in layout.alternatives} == {
        "BF16": ("m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf"),
        "Q8_0": ("m-Q8_0.gguf",),
    }
    assert any("mmproj-m-f16.gguf is a vision projector" in note for note in layout.notes)


@pytest.mark.parametrize(
    ("file", "files"),
    [
        ("m-Q8_0.gguf", ["m-Q8_0.gguf"]),
        ("m-BF16-00002-of-00002.gguf", GGUFS[2:4]),
        ("mmproj-m-f16.gguf", ["mmproj-m-f16.gguf"]),
    ],
)
def test_a_file_can_be_picked_with_its_split(file: str, files: list[str]) -> None:
    assert list(choose(GGUFS, Selection(file=file)).files) == files


@pytest.mark.parametrize(
    ("selection", "hint"),
    [
        ({"subfolder": "7b"}, "Folders: original."),
        ({"variant": "bf16"}, "Variants: fp16."),
        ({"file": "other.safetensors"}, "Weight files: model.fp16.safetensors, model.safetensors"),
        ({"file": "config.json"}, "Weight files"),
    ],
)
def test_a_selection_of_what_is_not_there_names_what_is(selection: Any, hint: str) -> None:
    paths = ["config.json", SINGLE, "model.fp16.safetensors", "original/consolidated.00.pth"]
    with pytest.raises(UsageError) as caught:
        choose(paths, Selection(**selection))
    assert hint in caught.value.hint


def test_of_several_gguf_files_one_is_counted_and_the_note_says_which() -> None:
    assert choose(GGUFS).notes[0] == "3 GGUF models; m-Q4_K_M.gguf is counted, --file picks another."
    assert choose(["m-Q4_K_M.gguf", "m-Q8_0.gguf"]).notes[0].startswith("2 GGUF models; m-Q4_K_M.gguf")
    assert choose(["m-Q4_K_M.gguf"]).notes == ()


def test_where_no_gguf_file_is_of_a_usual_kind_the_first_is_counted() -> None:
    assert choose(["m-F16.gguf", "m-IQ1_S.gguf", "m-TQ2_0.gguf"]).files == ("m-F16.gguf",)


def test_one_of_several_projectors_is_named() -> None:
    notes = choose(["m-Q8_0.gguf", "mmproj-m-bf16.gguf", "mmproj-m-f16.gguf"]).notes
    assert notes == ("mmproj-m-bf16.gguf is a vision projector beside the model and is not counted.",)


def test_a_subfolder_is_looked_into_alone() -> None:
    paths = ["config.json", SINGLE, "fp32/config.json", f"fp32/{SINGLE}", "onnx/config.json"]
    assert choose(paths, Selection(subfolder="fp32/")).files == (f"fp32/{SINGLE}",)
    with pytest.raises(NoWeights, match="The repo holds no weights"):
        choose(paths, Selection(subfolder="onnx"))


@pytest.mark.parametrize("file", ["Q8_0/m-Q8_0.gguf", "m-Q8_0.gguf"])
def test_a_file_in_a_folder_can_be_picked_by_its_path_or_its_name(file: str) -> None:
    assert choose(["m-Q4_0.gguf", "Q8_0/m-Q8_0.gguf"], Selection(file=file)).files == ("Q8_0/m-Q8_0.gguf",)


def test_of_files_of_one_name_that_whose_path_is_given_is_picked() -> None:
    paths = [f"a/{SINGLE}", f"b/{SINGLE}", SINGLE]

    assert choose(paths, Selection(file=SINGLE)).files == (SINGLE,)
    assert choose(paths, Selection(file=SINGLE, subfolder="b")).files == (f"b/{SINGLE}",)


def test_a_name_that_several_files_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"2 files of the repo are called m\.gguf") as caught:
        choose(["a/m.gguf", "b/m.gguf"], Selection(file="m.gguf"))
    assert caught.value.hint == "Pick one of a/m.gguf, b/m.gguf."


@pytest.mark.parametrize(
    ("index", "format_name"), [(INDEX, "safetensors"), ("pytorch_model.bin.index.json", "torch")]
)
def test_an_index_can_be_picked_and_its_name_says_the_format(index: str, format_name: str) -> None:
    layout = choose([INDEX, "pytorch_model.bin.index.json"], Selection(file=index))
    assert (layout.index, layout.files, layout.format) == (index, (), format_name)


@pytest.mark.parametrize("selection", [{"file": "a.bin"}, {"subfolder": "a"}, {"variant": "fp16"}])
def test_where_there_is_nothing_to_pick_no_hint_is_given(selection: Any) -> None:
    with pytest.raises(UsageError) as caught:
        choose(["README.md"], Selection(**selection))
    assert caught.value.hint == ""


@pytest.mark.parametrize(("count", "ends"), [(6, "5.pt."), (7, ", ….")])
def test_a_hint_lists_six_files_and_says_when_there_are_more(count: int, ends: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose([f"{number}.pt" for number in range(count)], Selection(file="a.bin"))
    assert caught.value.hint.startswith("Weight files: 0.pt, 1.pt, 2.pt, 3.pt, 4.pt, 5.pt")
    assert caught.value.hint.endswith(ends)
