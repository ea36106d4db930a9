"""A small model of every type of transformers: its parameters, and what each tensor of it is for.

A row of `fixtures/cache/sweep.jsonl.xz` has the tensors that `save_pretrained` wrote and the number of parameters
that the model had in memory.
"""

import json
import lzma
import re
from typing import Any

import pytest
from hubmem.models.architecture import Architecture, Experts
from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.weights import counting
from hubmem.weights.census import Census
from hubmem.weights.roles import Role

from tests.weights.censuses import census_of_rows
from tests.weights.records import ROOT


def _rows() -> dict[str, dict[str, Any]]:
    with lzma.open(ROOT / "fixtures" / "cache" / "sweep.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["name"]: row for row in rows if row.get("header")}


ROWS = _rows()
every_row = pytest.mark.parametrize("name", ROWS)

# Counted otherwise than the class has them, and why: by how many parameters.
EXCEPTIONS = {
    # 512 sinusoids a half of the model, which it makes when it is loaded and leaves out when it is saved.
    "marian": -2 * 512 * 64,
    # A buffer that Arcee's AFMoE, whose tensors have the same names, has as a parameter.
    "hy_v3": 5 * 8,
}
# What has no role: parts that one type alone has.
WITHOUT_ROLE = (
    r"(hc_head|hyper_connection_mixer|hidden_states_(bias|scale)|input_residual|lambdas|z_L_init)",  # residual streams
    r"(protein_|\.adapter)",  # a tower of proteins and what reads it (Evolla); XMOD's adapters for languages
    r"^(action_in|state)_proj\.",  # what a robot sees and does (π0)
    r"layers\.\S+\.linear\.weight$",  # from Zamba's shared block back into a layer
    r"\.(ple\.conv1d|project_in|encoder_decoder_proj|neck\.conv\d)\.",  # between two widths
)


def census_and_architecture(row: dict[str, Any]) -> tuple[Census, Architecture | None]:
    architecture = read_architecture(Config(row["config"]))
    counted = counting.count(
        census_of_rows(row["header"]),
        tied_embeddings=architecture.tied_embeddings if architecture else False,
        layers=len(architecture.layers) if architecture else None,
    )
    return counted, architecture


@every_row
def test_the_parameters_are_those_the_model_has(name: str) -> None:
    census, _ = census_and_architecture(ROWS[name])
    assert census.parameters == ROWS[name]["parameters_total"] + EXCEPTIONS.get(name, 0)


@every_row
def test_every_tensor_has_a_role(name: str) -> None:
    census, _ = census_and_architecture(ROWS[name])
    without = [group.template for group in census.groups if group.role is Role.OTHER]
    assert [name for name in without if not any(re.search(part, name) for part in WITHOUT_ROLE)] == []


# Types with further experts than those of the text decoder, which alone the architecture describes.
FURTHER_EXPERTS = {
    "ernie4_5_vl_moe": "for images",
    "qwen3_omni_moe": "in its talker",
    "switch_transformers": "in its encoder",
    "jetmoe": "in its attention",
    "longcat_flash": "that do nothing, but are saved",
}


@every_row
def test_the_experts_are_what_the_config_says_of_them(name: str) -> None:
    census, architecture = census_and_architecture(ROWS[name])
    layers = [layer.feed_forward for layer in architecture.layers] if architecture else []
    experts = [part for part in layers if isinstance(part, Experts)]
    matrices = sum(part.count * part.width * (3 if part.gated else 2) for part in experts)
    hidden_size = architecture.hidden_size if architecture else 0
    stored = sum(
        group.parameters
        for group in census.groups
        if group.role is Role.EXPERTS and not group.template.endswith("bias")
    )
    described = matrices * hidden_size
    assert stored > described if name in FURTHER_EXPERTS else stored == described
