"""Every malformed file is refused with a message that names the file and the fault."""

import json
import posixpath

import pytest
from hubmem.errors import MalformedWeights
from hubmem.weights.formats import FORMATS
from hubmem.weights.index import parse_index

from tests.weights.records import ROOT
from tests.weights.test_safetensors import library_takes

FOLDER = ROOT / "fixtures" / "malformed"
REASONS: dict[str, str] = json.loads((FOLDER / "reasons.json").read_text(encoding="utf-8"))
FORMAT_OF = {".safetensors": "safetensors", ".gguf": "gguf", ".bin": "torch"}


def read(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    if name.endswith(".index.json"):
        parse_index(data.decode(), name)
        return
    form = FORMATS[FORMAT_OF[posixpath.splitext(name)[1]]]
    head = data[: form.first_read]
    while len(head) < min(wanted := form.needed(head), len(data)):
        head = data[:wanted]
    form.read(head, name, len(data))


@pytest.mark.parametrize("name", REASONS)
def test_a_malformed_file_is_refused_by_its_name_and_fault(name: str) -> None:
    with pytest.raises(MalformedWeights, match=rf"^{name}: .*{REASONS[name]}"):
        read(name)


def test_every_file_of_the_folder_has_its_reason() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert files - {"make.py", "README.md", "reasons.json"} == set(REASONS)
    assert len(REASONS) >= 40


@pytest.mark.parametrize("name", [name for name in REASONS if name.endswith(".safetensors")])
def test_the_safetensors_library_refuses_the_same_files(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    assert library_takes(data, len(data)) == (name == "tensor-twice.safetensors")


@pytest.mark.timeout(5)
@pytest.mark.parametrize("name", REASONS)
def test_no_message_is_longer_than_a_few_lines(name: str) -> None:
    with pytest.raises(MalformedWeights) as caught:
        read(name)
    assert len(str(caught.value)) < 600
