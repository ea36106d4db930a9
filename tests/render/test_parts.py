"""What the first screen says of adapters, pipelines and modules."""

import json

import pytest
from hubmem.errors import HubmemError
from hubmem.inspection import inspect
from hubmem.render.formats import render
from hubmem.render.text import Page
from tests.hub_server import Repo, repo_from_record
from tests.hub_server.examples import SMALL
from tests.hub_server.snapshots import files_of

BASE = {**SMALL, "config": {}}
ADAPTER = {
    **BASE,
    "repo": "org/adapter",
    "tensors": [
        ["base_model.model.layers.{0..19}.self_attn.q_proj.lora_A.weight", "F32", [8, 8]],
        ["base_model.model.lm_head.weight", "F32", [32, 8]],
    ],
}


@pytest.fixture
def screen(connect):
    def screen(*repos: Repo) -> tuple[str, dict]:
        connect(*repos)
        report = inspect(repos[0].id)
        return render([report], "table", Page()), report.to_dict()

    return screen


def adapter(**config: object) -> Repo:
    said = {"peft_type": "LORA", "r": 8, "target_modules": ["v_proj", "q_proj"], **config}
    weights = files_of(ADAPTER)["model.safetensors"]
    files = {"adapter_config.json": json.dumps(said).encode(), "adapter_model.safetensors": weights}
    return Repo("org/adapter", files)


def test_an_adapter_is_shown_with_its_base_rank_and_targets(screen):
    text, report = screen(adapter(base_model_name_or_path="org/small"), repo_from_record(BASE))

    line = "LORA adapter on org/small · rank 8 · on q_proj, v_proj · 1,536 parameters · 0.00 GiB"
    assert line in text
    assert report["adapter"]["parameters"] == report["parameters"]["by_role"]["adapter"] == 20 * 64 + 32 * 8


def test_a_gated_base_leaves_the_adapter_s_own_numbers(screen):
    gated = repo_from_record(BASE, gated="manual")
    text, report = screen(adapter(base_model_name_or_path="org/small"), gated)

    assert report["parameters"]["total"] == 20 * 64 + 32 * 8
    assert any("The base model org/small is not counted" in note for note in report["notes"])
    assert "LORA adapter on org/small · rank 8" in text


def test_what_an_adapter_s_author_wrote_moves_no_cursor(screen):
    text, _ = screen(
        adapter(peft_type="\x1b[2JLORA", target_modules=["q\x1b[1m", *(f"m{n}" for n in range(20))])
    )

    assert "\x1b" not in text
    assert "and 13 more" in text


def test_a_pipeline_has_a_line_a_component_and_its_need_one_at_a_time(screen):
    weights, small = (files_of({**BASE, "tensors": rows})["model.safetensors"] for rows in (
        [["conv_in.weight", "F32", [2**20, 64, 8]]], [["conv_in.weight", "F32", [64, 64]]]
    ))  # fmt: skip
    index = {"_class_name": "X", "unet": ["diffusers", "UNet"], "vae": ["diffusers", "AutoencoderKL"]}
    files = {
        "model_index.json": json.dumps(index).encode(),
        "unet/diffusion_pytorch_model.safetensors": weights,
        "vae/diffusion_pytorch_model.safetensors": small,
    }
    text, report = screen(Repo("org/pipeline", files))

    assert "unet          UNet            536,870,912  F32   2.00" in text
    assert "a device holds 2.00 GiB of weights at most: unet." in text
    assert report["component_offload"] == {"component": "unet", "bytes": 2**31}
    assert sum(part["parameters"] for part in report["components"]) == report["parameters"]["total"]


def test_an_embedding_model_keeps_the_architecture_of_its_transformer(screen):
    config = {
        "model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 20,
        "intermediate_size": 16, "vocab_size": 32,
    }  # fmt: skip
    modules = [{"path": "", "type": "m.Transformer"}, {"path": "2_Dense", "type": "m.Dense"}]
    files = dict(files_of({**BASE, "config": config}))
    files["modules.json"] = json.dumps(modules).encode()
    files["2_Dense/model.safetensors"] = files["model.safetensors"]
    text, report = screen(Repo("org/embedding", files))

    assert report["architecture"]["model_type"] == "bert"
    assert "2_Dense" in text
    assert report["component_offload"] is None


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("model.onnx", "ONNX alone"),
        ("tf_model.h5", "TensorFlow alone"),
        ("flax_model.msgpack", "Flax alone"),
        ("model.nemo", "NeMo alone"),
    ],
)
def test_a_repo_in_another_format_is_refused_with_its_name_and_a_hint(screen, file, reason):
    with pytest.raises(HubmemError, match=reason) as caught:
        screen(Repo("org/other", {file: b"\0" * 64, "config.json": b"{}"}))
    assert "converted from" in caught.value.hint
