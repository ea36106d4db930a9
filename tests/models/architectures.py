"""Architectures of configs that hubmem knows."""

from collections.abc import Mapping
from typing import Any

from hubmem.models.architecture import Architecture
from hubmem.models.config import Config
from hubmem.models.families import read_architecture


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    architecture = read_architecture(Config(config))
    assert architecture is not None, f"hubmem knows no {config.get('model_type')}"
    return architecture
