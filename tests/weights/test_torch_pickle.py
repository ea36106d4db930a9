"""Files of torch.save are read as torch reads them, without running what they would run."""

import json
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hubmem.errors import MalformedWeights
from hubmem.weights.safetensors import Tensor
from hubmem.weights.symbolic_pickle import BadPickle, Call, Dict, Global, TruncatedPickle, read_pickle
from hubmem.weights.torch_pickle import LARGEST_PICKLE, Stored, bytes_needed, parse_file
from hypothesis import given
from hypothesis import strategies as st

from tests.weights.records import ROOT

FOLDER = ROOT / "fixtures" / "formats" / "torch"
# What torch itself loads from the files; see fixtures/formats/make_torch.py.
TRUTH: dict[str, list[Any]] = json.loads((FOLDER.parent / "torch.json").read_text(encoding="utf-8"))


def read(name: str, *, first: int = 2**16) -> Stored:
    """A file's tensors, from as much of it as the reader asks for."""
    data = (FOLDER / name).read_bytes()
    head = data[:first]
    while len(head) < min(wanted := bytes_needed(head), len(data)):
        head = data[:wanted]
    return parse_file(head, path=name)


@pytest.mark.parametrize("first", [1, 100, 2**16])
@pytest.mark.parametrize("name", TRUTH)
def test_the_tensors_of_a_file_are_those_torch_loads(name: str, first: int) -> None:
    expected = [Tensor(name, dtype, tuple(shape)) for name, dtype, shape in TRUTH[name]]
    assert sorted(read(name, first=first).tensors) == sorted(expected)


@pytest.mark.parametrize("name", ["plain.bin", "legacy.bin", "checkpoint.ckpt"])
def test_tied_weights_are_one_storage(name: str) -> None:
    assert read(name).copies == {"lm_head.weight"}


def test_of_views_into_one_storage_those_that_cover_it_count() -> None:
    stored = read("views.bin")
    assert stored.copies == {"across", "turned"}


def test_a_pickle_that_would_run_a_command_is_read_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (FOLDER / "hostile.bin").read_bytes()
    assert b"touch hostile-pickle-was-run" in data
    monkeypatch.chdir(tmp_path)

    assert read("hostile.bin").tensors == [Tensor("weight", "F32", (3,))]

    assert list(tmp_path.iterdir()) == []


def test_the_reader_asks_for_no_more_than_the_pickle_of_a_long_file() -> None:
    pickled = pickle.dumps({f"key {number}": number for number in range(20_000)})
    head = pickled[: 2**16]
    asked = []
    while len(head) < len(pickled):
        asked.append(bytes_needed(head))
        head = pickled[: asked[-1]]
    assert asked == [2**18, 2**20][: len(asked)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("torchscript.pt", "TorchScript, or another archive"),
        ("sparse.bin", "tensor 'weight' is made by _rebuild_sparse_tensor, which is not counted"),
        ("tar.bin", "it is a tar archive, as PyTorch wrote them before version 0.1.10"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(MalformedWeights, match=rf"^{name}: .*{reason}"):
        read(name)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"GGUF\x03\0\0\0", "a GGUF file under another name"),
        ((8).to_bytes(8, "little") + b"{}      ", "a safetensors file under another name"),
        (b"hello", "does not begin with a pickle"),
        (pickle.dumps({"epoch": 3}), "its pickle holds no tensors"),
        (pickle.dumps([1] * 100)[:20], "it ends, or passes 64 MiB, before the pickle"),
        (
            struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 0, 0, 8, 0, 0, 0, 0, 0, 8, 0) + b"data.pkl",
            "its entries are compressed",
        ),
        (b"PK\x03\x04", "before the pickle"),
    ],
)
def test_what_is_no_file_of_torch_is_refused_with_its_reason(head: bytes, reason: str) -> None:
    bytes_needed(head)
    with pytest.raises(MalformedWeights, match=reason):
        parse_file(head, path="pytorch_model.bin")


def torch_tensor(storage: bytes, size: bytes, stride: bytes = b")") -> bytes:
    """A state dict of one tensor, of which parts can be put in wrong."""
    return b"".join(
        (
            b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(",
            b"(X\x07\0\0\0storage" + storage + b"X\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ",
            b"K\0" + size + stride + b"\x89}tRs.",
        )
    )


FLOATS = b"ctorch\nFloatStorage\n"


def test_the_tensor_below_is_one() -> None:
    assert parse_file(torch_tensor(FLOATS, b"K\x04\x85", b"K\x01\x85"), path="x").tensors == [
        Tensor("w", "F32", (4,))
    ]


@pytest.mark.parametrize(
    "pickled",
    [
        torch_tensor(b"ctorch\nPinkStorage\n", b"K\x04\x85", b"K\x01\x85"),
        torch_tensor(b"K\x01", b"K\x04\x85", b"K\x01\x85"),
        torch_tensor(FLOATS, b"J\xff\xff\xff\xff\x85", b"K\x01\x85"),
        torch_tensor(FLOATS, b"\x88\x85", b"K\x01\x85"),
        torch_tensor(FLOATS, b"X\x01\0\0\0a\x85", b"K\x01\x85"),
        torch_tensor(FLOATS, b"K\x04K\x04\x86", b"K\x01\x85"),
        torch_tensor(FLOATS, b"N", b"K\x01\x85"),
    ],
)
def test_a_tensor_described_wrongly_is_refused_by_its_name(pickled: bytes) -> None:
    with pytest.raises(MalformedWeights, match="describes tensor 'w' in an unknown way"):
        parse_file(pickled, path="x")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "pickled",
    [
        pytest.param(b"\x80\x04](" + b"2" * 60 + b"e.", id="a list in itself, sixty times"),
        pytest.param(b"\x80\x04)" + b"2\x86" * 60 + b".", id="tuples of the same tuple twice, sixty deep"),
        pytest.param(b"\x80\x04}" + b")" + b"2\x86" * 60 + b"K\x01s.", id="such a tuple as a key"),
        pytest.param(b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".", id="200,000 lists in each other"),
        pytest.param(b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", id="os.system"),
    ],
)
def test_a_pickle_made_to_take_for_ever_does_not(pickled: bytes) -> None:
    bytes_needed(pickled)
    with pytest.raises(MalformedWeights, match="holds no tensors"):
        parse_file(pickled, path="x")


@pytest.mark.parametrize(
    "pickled",
    [b"\x80\x02t.", b"\x80\x020.", b"\x80\x02h\x05.", b"\x80\x02R.", b"\xff", b"\x80\x02(K\x01K\x02K\x03d."],
)
def test_a_pickle_that_contradicts_itself_is_no_pickle(pickled: bytes) -> None:
    with pytest.raises(BadPickle):
        read_pickle(pickled + b"\0" * 8)


@pytest.mark.parametrize("end", range(1, 40))
def test_a_pickle_cut_short_is_known_to_be(end: int) -> None:
    pickled = pickle.dumps({"a": [1, 2.5, "text", b"bytes", None, True]}, protocol=2)
    with pytest.raises(TruncatedPickle):
        read_pickle(pickled[:end])


def rebuilt(value: Any) -> Any:
    """What a description describes, where it is made of what every pickle has."""
    if isinstance(value, Dict):
        return {rebuilt(key): rebuilt(item) for key, item in value.pairs}
    if isinstance(value, list | tuple):
        return type(value)(map(rebuilt, value))
    return value


# Without bytes, which protocols before 3 write as a call.
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain, st.sampled_from(range(pickle.HIGHEST_PROTOCOL + 1)))
def test_plain_values_come_out_of_every_protocol_as_they_went_in(value: Any, protocol: int) -> None:
    pickled = pickle.dumps(value, protocol=protocol)
    described, end = read_pickle(pickled + b"more")
    assert rebuilt(described) == value
    assert end == len(pickled)


def test_a_call_is_described_and_not_made() -> None:
    described, _ = read_pickle(pickle.dumps(Path("/etc"), protocol=2))
    assert isinstance(described, Call)
    assert isinstance(described.function, Global)
    assert described.function.name.startswith("pathlib")


@given(st.binary(max_size=200), st.integers(0, 400))
def test_whatever_a_file_holds_there_is_an_answer_or_a_hubmem_error(noise: bytes, position: int) -> None:
    data = (FOLDER / "plain.bin").read_bytes()
    spoiled = data[:position] + noise + data[position + len(noise) :]
    assert 0 <= bytes_needed(spoiled) <= LARGEST_PICKLE
    with suppress(MalformedWeights):
        parse_file(spoiled, path="x")
