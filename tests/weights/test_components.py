"""Pipelines and modules: which folders of a repo are its components."""

import json

import pytest
from hubmem.errors import MalformedConfig, NoWeights
from hubmem.weights.components import components, list_file
from hubmem.weights.layout import Layout, Selection

# runwayml/stable-diffusion-v1-5, as published.
PIPELINE = json.dumps(
    {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.6.0",
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": [None, None],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
)
STABLE_DIFFUSION = [
    "model_index.json",
    "v1-5-pruned.safetensors",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/model.safetensors",
    "safety_checker/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]


def found(paths: list[str], text: str, selection: Selection) -> dict[str, tuple[str, str | None]]:
    name = list_file(paths, selection)
    assert name is not None
    return {
        layout.part: (layout.kind, first_file(layout)) for layout in components(paths, name, text, selection)
    }


def first_file(layout: Layout) -> str | None:
    return layout.index or layout.files[0]


def test_a_pipeline_has_the_components_with_weights() -> None:
    assert found(STABLE_DIFFUSION, PIPELINE, Selection()) == {
        "safety_checker": ("StableDiffusionSafetyChecker", "safety_checker/model.safetensors"),
        "text_encoder": ("CLIPTextModel", "text_encoder/model.safetensors"),
        "unet": ("UNet2DConditionModel", "unet/diffusion_pytorch_model.safetensors"),
        "vae": ("AutoencoderKL", "vae/diffusion_pytorch_model.safetensors"),
    }


def test_a_variant_is_taken_where_a_component_has_it() -> None:
    files = {
        part: file for part, (_, file) in found(STABLE_DIFFUSION, PIPELINE, Selection(variant="fp16")).items()
    }
    assert files == {
        "safety_checker": "safety_checker/model.fp16.safetensors",
        "text_encoder": "text_encoder/model.safetensors",
        "unet": "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae": "vae/diffusion_pytorch_model.safetensors",
    }


def test_a_component_that_has_only_variants_is_not_dropped() -> None:
    """hf-mem 0.5.6 leaves out a UNet of 2.5 B parameters that is stored as fp16 alone."""
    paths = [
        "model_index.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    assert found(paths, PIPELINE, Selection())["unet"][1] == "unet/diffusion_pytorch_model.fp16.safetensors"


def test_a_sharded_component_is_known_by_its_index() -> None:
    paths = ["model_index.json", "transformer/diffusion_pytorch_model.safetensors.index.json"]
    text = json.dumps({"transformer": ["diffusers", "QwenImageTransformer2DModel"]})
    assert found(paths, text, Selection()) == {"transformer": ("QwenImageTransformer2DModel", paths[1])}


def test_sentence_transformers_modules_with_weights_are_components() -> None:
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    paths = ["modules.json", "model.safetensors", "1_Pooling/config.json", "2_Dense/model.safetensors"]
    assert found(paths, json.dumps(modules), Selection()) == {
        "": ("Transformer", "model.safetensors"),
        "2_Dense": ("Dense", "2_Dense/model.safetensors"),
    }


@pytest.mark.parametrize(
    ("paths", "selection"),
    [
        (["model.safetensors"], Selection()),
        (["modules.json", "model.safetensors", "1_Pooling/config.json"], Selection()),
        (STABLE_DIFFUSION, Selection(subfolder="unet")),
        (STABLE_DIFFUSION, Selection(file="vae/diffusion_pytorch_model.safetensors")),
    ],
)
def test_one_model_needs_no_list(paths: list[str], selection: Selection) -> None:
    assert list_file(paths, selection) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model_index.json", "[]"),
        ("model_index.json", "{"),
        ("modules.json", "{}"),
        ("modules.json", "[1]"),
        ("modules.json", "[" * 9999),
    ],
)
def test_a_list_that_is_none_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(MalformedConfig, match=f"^{name}: "):
        components(STABLE_DIFFUSION, name, text, Selection())


def test_a_pipeline_without_weights_is_refused() -> None:
    with pytest.raises(NoWeights, match=r"model_index\.json"):
        components(["model_index.json", "tokenizer/vocab.json"], "model_index.json", PIPELINE, Selection())
