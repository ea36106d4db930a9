"""The guide is enough: each thing it tells to add is added where it says, to a copy, and then works.

A row of the guide stands in a code block below the words "Add to `NAME` of `FILE`:", or "Add to `FILE`:" for a CSV table
or a new module.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy import TruthSet
from tests.accuracy import report as report_of_truth
from tests.weights.memory_source import safetensors_file

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
_PLACE = re.compile(
    r"Add\s+to\s+(?:`(?P<table>\w+)`\s+of\s+)?`(?P<file>[\w/.]+)`:\n\n```\w+\n(?P<row>.*?)```", re.DOTALL
)


def section(title: str) -> str:
    """The text under a heading of the guide."""
    return next(part for part in GUIDE.split("\n## ") if part.startswith(f"{title}\n"))


def additions(title: str) -> list[re.Match[str]]:
    """What a section tells to add."""
    return list(_PLACE.finditer(section(title)))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and of what its data is made from."""
    for folder in ("hubmem", "fixtures/gpus"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def follow(title: str, root: Path) -> None:
    """Add what a section says, below the line that opens its table or at the end of its file."""
    for addition in additions(title):
        path = root / addition["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if addition["table"]:
            opening = re.compile(rf"^{addition['table']}\b.*\($\n", re.MULTILINE)
            assert len(opening.findall(text)) == 1, f"{addition['file']} opens {addition['table']} once"
            text = opening.sub(lambda match: match[0] + addition["row"], text)  # noqa: B023 - called at once
        else:
            text += addition["row"]
        path.write_text(text, encoding="utf-8")


def python(root: Path, *arguments: str) -> str:
    """What Python prints with the copy before every other hubmem."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def report(root: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        python(root, "-m", "hubmem", *arguments, "--offline", "--format", "json")
    )
    return found


def model(root: Path, tensors: Sequence[tuple[str, str, tuple[int, ...]]], **config: object) -> str:
    """A local model with these tensors."""
    folder = root / "model"
    folder.mkdir()
    sizes = {
        "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 8,
        "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 32768, "dtype": "bfloat16",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps({**sizes, **config}), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors_file(*tensors)[0])
    return str(folder)


@pytest.mark.parametrize(
    "title",
    [
        "A model family",
        "A quantization",
        "An accelerator",
        "An optimizer",
        "An engine",
        "A rule of thumb",
        "A measurement",
    ],
)
def test_a_thing_is_added_in_one_place(title: str):
    assert len(additions(title)) == 1


def test_a_family_added_by_the_guide_has_its_cache(copy: Path):
    plain = [("model.embed_tokens.weight", "BF16", (100, 64))]
    folder = model(copy, plain, model_type="quokka", sliding_window=1000)
    assert report(copy, folder)["cache"] is None

    follow("A model family", copy)
    found = report(copy, folder, "--context", "4096")

    assert found["architecture"]["layer_kinds"] == {"sliding_attention": 6, "full_attention": 2}
    assert found["cache"]["bytes"] == (2 * 4096 + 6 * 1000) * 2 * 2 * 16 * 2


def test_a_quantization_added_by_the_guide_is_unpacked(copy: Path):
    layer = "model.layers.0.mlp.up_proj"
    packed = [
        (f"{layer}.packed", "U8", (128, 32)),
        (f"{layer}.step", "F16", (128, 1)),
        (f"{layer}.offset", "F16", (128, 1)),
    ]
    quantized = {"quant_method": "wombat", "bits": 4}
    folder = model(copy, packed, model_type="llama", quantization_config=quantized)
    assert any("'wombat' is not known" in note for note in report(copy, folder)["notes"])

    follow("A quantization", copy)
    found = report(copy, folder)

    assert found["parameters"]["total"] == 128 * 64
    assert found["weights"]["quantization"]["method"] == "wombat"
    assert not any("wombat" in note for note in found["notes"])


def test_an_accelerator_added_by_the_guide_can_be_asked_about(copy: Path):
    follow("An accelerator", copy)
    python(copy, "fixtures/gpus/make.py")
    verdict = report(copy, "openai-community/gpt2", "--gpu", "quoll")["verdicts"][0]

    assert verdict["gpu"] == "Quoll-48GB"
    assert 44 * 2**30 < verdict["usable_bytes"] < 46 * 2**30


def test_an_optimizer_added_by_the_guide_keeps_its_states(copy: Path):
    follow("An optimizer", copy)
    found = report(copy, "openai-community/gpt2", "--train", "full", "--optimizer", "dingo", "--context", "8")
    states = next(term for term in found["plan"]["terms"] if term["name"] == "optimizer states")

    assert states["bytes"] == 3 * 2 * 124_439_808


def test_an_engine_added_by_the_guide_plans_as_the_one_it_is_built_on(copy: Path):
    follow("An engine", copy)
    koala, llama_cpp = (
        report(copy, "openai-community/gpt2", "--engine", engine, "--tp", "2", "--kv-dtype", "q8_0")
        for engine in ("koala", "llama.cpp")
    )

    assert (koala["workload"]["engine"], koala["workload"]["engine_version"]) == ("koala", "1.0")
    assert koala["plan"] == llama_cpp["plan"]
    assert koala["cache"]["policy"] == "llama.cpp"


def test_a_rule_of_thumb_added_by_the_guide_stands_beside_the_exact_answer(copy: Path):
    follow("A rule of thumb", copy)
    found = report(copy, "openai-community/gpt2", "--rules", "--dtype", "bf16")
    rule = next(each for each in found["rules"] if each["name"] == "half-a-gigabyte")

    assert rule["bytes"] == [2 * 124_439_808 + 500_000_000]
    assert rule["exact_bytes"] == found["plan"]["per_gpu_bytes"]


def test_a_measurement_added_by_the_guide_is_reported(tmp_path: Path):
    follow("A measurement", tmp_path)
    spec = importlib.util.spec_from_file_location("cards", tmp_path / "tests" / "truth" / "cards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    text = "\n".join(report_of_truth([TruthSet.of(module)]))

    assert "## cards\n\nPeaks that torch reported on an RTX 4090" in text
    assert "what peaks on an RTX 4090 · rows 1 · " in text
