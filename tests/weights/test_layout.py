"""Which files of a repo count: the cases of the wild, each with a repo that has it."""

import json

import pytest
from hubmem.errors import MalformedWeights, NoWeights
from hubmem.weights.layout import choose, shard_path, shards_in

INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("paths", "index", "files", "noted"),
    [
        pytest.param(["config.json", "model.safetensors"], None, ["model.safetensors"], False, id="gpt2"),
        pytest.param([INDEX, "model-00001-of-00008.safetensors"], INDEX, [], False, id="zephyr-7b-beta"),
        pytest.param([INDEX, "model_00012-of-00072.safetensors"], INDEX, [], False, id="bloom"),
        pytest.param([INDEX, "original/model.safetensors"], INDEX, [], False, id="gpt-oss-20b"),
        pytest.param([INDEX, "consolidated.safetensors"], INDEX, [], False, id="Mistral-7B-v0.3"),
        pytest.param(
            ["consolidated.safetensors.index.json", "consolidated-00001-of-00273.safetensors"],
            "consolidated.safetensors.index.json", [], False, id="Mistral-Large-3-675B-NVFP4",
        ),
        pytest.param([INDEX, "model.safetensors"], INDEX, [], True, id="a stray single beside the shards"),
        pytest.param(
            ["diffusion_pytorch_model.safetensors"], None, ["diffusion_pytorch_model.safetensors"], False,
            id="sd-vae-ft-mse",
        ),
        pytest.param(["custom.safetensors"], None, ["custom.safetensors"], True, id="an odd name"),
    ],
)  # fmt: skip
def test_the_files_that_count(paths: list[str], index: str | None, files: list[str], noted: bool) -> None:
    layout = choose(paths)
    assert (layout.index, list(layout.files), bool(layout.notes)) == (index, files, noted)


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([], "The repo holds no weights"),
        (["model.onnx", "config.json"], "the repo holds ONNX"),
        (["tf_model.h5", "flax_model.msgpack"], "Flax and TensorFlow"),
        (["model.nemo"], "NeMo"),
        (["a.safetensors", "b.safetensors"], "2 safetensors files, and none is named as a model's"),
    ],
)
def test_a_repo_without_readable_weights_is_refused_with_a_reason(paths: list[str], reason: str) -> None:
    with pytest.raises(NoWeights, match=reason):
        choose(paths)


def test_the_index_names_the_shards_once_each_beside_itself() -> None:
    index = json.dumps(
        {"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}
    )
    assert shards_in(index, "unet/" + INDEX) == ("unet/m-1.safetensors", "unet/m-2.safetensors")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"weight_map":{}}', '{"weight_map":[1]}', '{"weight_map":{"a":1}}',
     '{"weight_map":{"a":"x","a":"y"}}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_index_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(MalformedWeights, match=rf"^{INDEX}: "):
        shards_in(text, INDEX)


@pytest.mark.parametrize(
    "shard", ["../x.safetensors", "a/../../x", "/etc/passwd", "https://example.com/x", "..\\x", ".."]
)
def test_a_shard_outside_the_folder_of_its_index_is_refused(shard: str) -> None:
    with pytest.raises(MalformedWeights, match="outside its own folder"):
        shard_path(INDEX, shard)
