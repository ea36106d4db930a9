"""The cards of `fixtures/cards`; `python -m tests.card.golden` writes into them what they look like now."""

import os
import shutil
import tempfile
from pathlib import Path

from hubmem.cli import main

from tests.hub_server import HubServer
from tests.weights.records import RECORDS

CARDS = Path(__file__).parents[2] / "fixtures" / "cards"
SHAPES = sorted(path.name for path in CARDS.iterdir() if path.is_dir())
MODELS = (
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-0.6B",
    "mistralai/Mixtral-8x7B-v0.1",
    "google-bert/bert-base-uncased",
    "openai-community/gpt2",
)
# What the command is told about cards that do not say it themselves.
ARGUMENTS = {
    "no-front-matter": ("--insert", "--repo", "openai-community/gpt2", "--gpu", "8GiB"),
    "no-heading": ("--insert", "--gpu", "8GiB"),
    "quantized": ("--insert", "--gpu", "A100-80GB", "--gpu", "2xA100-80GB"),
}


def before(shape: str) -> bytes:
    return (CARDS / shape / "before.md").read_bytes()


def after(shape: str) -> bytes:
    return (CARDS / shape / "after.md").read_bytes()


def copy(shape: str, folder: Path) -> Path:
    """The card and what lies beside it, in a folder of its own; the golden result stays behind."""
    target = folder / shape
    shutil.copytree(CARDS / shape, target, ignore=shutil.ignore_patterns("after.md"))
    return (target / "before.md").rename(target / "README.md")


def serve_models() -> HubServer:
    return HubServer([RECORDS[model] for model in MODELS])


def rewrite() -> None:
    with serve_models() as hub, tempfile.TemporaryDirectory() as home:
        os.environ.update(HF_ENDPOINT=hub.endpoint, HF_HOME=home, HF_HUB_DISABLE_TELEMETRY="1")
        for shape in SHAPES:
            card = copy(shape, Path(home))
            assert main(["card", str(card), *ARGUMENTS.get(shape, ())]) == 0
            (CARDS / shape / "after.md").write_bytes(card.read_bytes())


if __name__ == "__main__":
    rewrite()
