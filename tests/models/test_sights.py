"""What images become, beside what the processors of transformers make of them (fixtures/images)."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hubmem.models.config import Config
from hubmem.models.sights import Nearest, Rounded, Sight
from hubmem.models.towers import Tower, read_tower

_IMAGES = Path(__file__).parents[2] / "fixtures" / "images"
MODELS: dict[str, Any] = {
    model["name"]: model for model in json.loads((_IMAGES / "models.json").read_text(encoding="utf-8"))
}
with (_IMAGES / "tokens.csv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))

# Settings that a repo chose for itself; those of the others are published with the family.
OWN_SETTINGS = (
    "qwen2.5-vl-at-most-1003520-pixels",
    "gemma-4-of-1120-tokens",
    "smolvlm2-256m-unsplit",
    "internvl3-of-6-tiles",
)


def _tower(name: str, *, published: bool = False) -> Tower:
    model = MODELS[name]
    tower = read_tower(Config(model["config"]), None if published else Config(model["settings"]))
    assert tower is not None
    return tower


@pytest.mark.parametrize("name", MODELS)
def test_an_image_becomes_as_many_pixels_and_tokens_as_its_processor_makes(name: str) -> None:
    tower = _tower(name)
    rows = [row for row in ROWS if row["model"] == name]
    assert len(rows) >= 15
    for row in rows:
        seen = tower.sight.see(int(row["width"]), int(row["height"]))
        made = (seen.crops * seen.pixels * tower.pixel_values, seen.features, seen.tokens)
        assert made == tuple(int(row[column]) for column in ("pixels", "features", "tokens")), row


@pytest.mark.parametrize("name", [name for name in MODELS if name not in OWN_SETTINGS])
def test_without_its_repos_settings_those_of_its_family_hold(name: str) -> None:
    sizes = {(int(row["width"]), int(row["height"])) for row in ROWS}
    own, published = (_tower(name, published=published).sight for published in (False, True))
    assert [own.see(*size) for size in sizes] == [published.see(*size) for size in sizes]


@pytest.mark.parametrize("name", OWN_SETTINGS)
def test_a_repos_own_settings_count(name: str) -> None:
    own, published = (_tower(name, published=published).sight for published in (False, True))
    assert own.see(1024, 1024) != published.see(1024, 1024)


def test_an_image_is_never_cut_into_more_tiles_than_allowed() -> None:
    sight = Nearest(side=448, most=12, patches=1, features=1)
    assert max(sight.see(width, 448).crops for width in range(100, 20_000, 100)) == 13


@pytest.mark.parametrize("sight", [_tower(name).sight for name in MODELS], ids=list(MODELS))
def test_however_thin_an_image_it_becomes_something(sight: Sight) -> None:
    for size in ((1, 1), (1, 100_000), (100_000, 1), (100_000, 100_000)):
        seen = sight.see(*size)
        assert min(seen.crops, seen.pixels, seen.patches, seen.tokens) > 0


def test_a_side_shorter_than_a_token_is_grown_where_its_class_does_so() -> None:
    sides = {"side": 28, "merged": 4, "least": 1, "most": 10**9}
    assert Rounded(**sides, grown=True).grid(7, 14) == (1, 2)
