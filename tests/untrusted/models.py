"""Models that strangers made, as folders: any text as their config, any names for their tensors."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "vocab_size": 32,
}


def write_model(folder: Path, config: str | dict[str, Any], names: Iterable[str] = ("model.weight",)) -> Path:
    """A folder with a config and one file of tensors of 4 × 4, sparse where its values would be."""
    folder.mkdir(parents=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text, encoding="utf-8")
    header = {
        name: {"dtype": "BF16", "shape": [4, 4], "data_offsets": [32 * at, 32 * (at + 1)]}
        for at, name in enumerate(names)
    }
    encoded = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(encoded)) + encoded)
        stream.truncate(8 + len(encoded) + 32 * len(header))
    return folder
