"""GGUF headers are read as the gguf package reads them, from no more of the file than they take."""

import json
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hubmem.errors import MalformedWeights
from hubmem.weights import ggml, gguf
from hubmem.weights.gguf import Header, Skipped, bytes_needed, parse_file
from hypothesis import given
from hypothesis import strategies as st

from tests.weights.records import ROOT

FOLDER = ROOT / "fixtures" / "formats" / "gguf"
# What the gguf package reads; see fixtures/formats/make_gguf.py.
TRUTH: dict[str, Any] = json.loads((FOLDER.parent / "gguf.json").read_text(encoding="utf-8"))


def read(name: str) -> Header:
    return parse_file((FOLDER / name).read_bytes(), path=name, file_nbytes=TRUTH[name]["file_nbytes"])


@pytest.mark.parametrize("name", TRUTH)
def test_the_tensors_of_a_file_are_those_the_gguf_package_reads(name: str) -> None:
    header = read(name)
    sizes = {tensor.name: ggml.of(tensor.dtype).nbytes(elements(tensor.shape)) for tensor in header.tensors}
    found = [[tensor.name, tensor.dtype, list(tensor.shape), sizes[tensor.name]] for tensor in header.tensors]
    assert found == TRUTH[name]["tensors"]
    assert header.nbytes == TRUTH[name]["header_nbytes"]


def elements(shape: tuple[int, ...]) -> int:
    product = 1
    for extent in shape:
        product *= extent
    return product


def test_every_type_of_ggml_is_in_the_table() -> None:
    older_or_newer = {"Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "Q2_0"}
    assert {dtype for _, dtype, _, _ in TRUTH["types.gguf"]["tensors"]} == set(ggml.BY_NAME) - older_or_newer


def test_metadata_is_read_and_the_vocabulary_walked_over() -> None:
    metadata = read("model.gguf").metadata
    assert metadata["llama.context_length"] == 131072
    assert metadata["llama.rope.scaling.original_context_length"] == 8192
    assert metadata["tokenizer.ggml.tokens"] == Skipped(length=300)
    assert metadata["general.name"] == "A small llama"


STRING, ARRAY, UINT32 = 8, 9, 4


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def strings(values: list[str]) -> bytes:
    return struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values))


def tensor(name: str, extents: list[int], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, kind, offset)


def file(
    entries: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    tensor_count, entry_count = counts or (len(tensors), len(entries))
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, entry_count) + b"".join([*entries, *tensors])


WEIGHT = tensor("w", [32, 2])


def test_the_file_below_is_one() -> None:
    header = parse_file(file([entry("a", UINT32, b"\1\0\0\0")], [WEIGHT]), path="x", file_nbytes=1000)
    assert header.metadata == {"a": 1}
    assert [tuple(tensor) for tensor in header.tensors] == [("w", "F32", (2, 32))]
    assert header.nbytes % 32 == 0


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"GGML" + file()[4:], "does not begin with 'GGUF'"),
        (file(version=1), "GGUF version 1"),
        (file(version=4), "GGUF version 4, which is not known"),
        (b"GGUF" + struct.pack(">I", 3) + b"\0" * 16, "big-endian"),
        (file(counts=(2**40, 0)), "it claims 1,099,511,627,776 tensors"),
        (file(counts=(0, 2**62)), "metadata entries"),
        (file([entry("a", 13, b"")]), "'a' is of unknown type 13"),
        (file([entry("a", UINT32, b"\0" * 4)] * 2), "two metadata entries have the key 'a'"),
        (file([entry("a", ARRAY, struct.pack("<IQ", ARRAY, 1))]), "'a' is an array of type 9"),
        (file([entry("a", ARRAY, struct.pack("<IQ", UINT32, 2**60))]), "bytes in 'a'"),
        (file([entry("a", ARRAY, struct.pack("<IQQ", STRING, 1, 2**60))]), "bytes in a string"),
        (file([struct.pack("<Q", 1) + b"\xff" + struct.pack("<II", UINT32, 0)]), "not UTF-8"),
        (file([entry("general.alignment", UINT32, b"\3\0\0\0")], [WEIGHT]), "its alignment is 3"),
        (file([entry("general.alignment", STRING, text("x"))], [WEIGHT]), "its alignment is 'x'"),
        (file([], [WEIGHT, WEIGHT]), "two tensors have the same name"),
        (file([], [tensor("w", [1] * 5)]), "'w' has 5 dimensions"),
        (file([], [tensor("w", [32], kind=99)]), "'w' is of unknown type 99"),
        (file([], [tensor("w", [2**62, 2**62])]), "beyond 64-bit sizes"),
        (file([], [tensor("w", [100, 2], kind=12)]), "rows of 100 elements, not whole blocks of Q4_K"),
        (file([], [tensor("w", [32], offset=32)]), "begins at 32; those before it end at 0"),
        (file([], [WEIGHT, tensor("v", [32], offset=64)]), "begins at 64; those before it end at 256"),
        (file([], [tensor("w", [32, 1000])]), "its tensors end at byte"),
        (file([], [WEIGHT])[:-1], "its header does not end within"),
        (b"", "its header does not end within 0 bytes"),
    ],
)
def test_a_broken_header_is_refused_with_its_reason(head: bytes, reason: str) -> None:
    bytes_needed(head)
    with pytest.raises(MalformedWeights, match=rf"^model\.gguf: .*{reason}"):
        parse_file(head, path="model.gguf", file_nbytes=1000)


@pytest.mark.parametrize(
    ("model", "pre", "tokens", "merges"),
    [
        ("gpt2", "llama-bpe", 20_000, 43_000),
        ("gpt2", "qwen2", 20_000, 19_900),
        ("llama", "default", 32_000, 0),
    ],
)
def test_a_file_with_a_vocabulary_takes_two_reads(model: str, pre: str, tokens: int, merges: int) -> None:
    """As in Llama 3, Qwen 2 and Llama 2, at a tenth of their vocabularies, the first tokens short."""
    vocabulary = [f"t{number}"[: 2 + number // 900] for number in range(tokens)]
    merge_list = [
        f"{vocabulary[number % tokens]} {vocabulary[-1 - number % tokens]}" for number in range(merges)
    ]
    head = file(
        [
            entry("tokenizer.ggml.model", STRING, text(model)),
            entry("tokenizer.ggml.pre", STRING, text(pre)),
            entry("tokenizer.ggml.tokens", ARRAY, strings(vocabulary)),
            entry(
                "tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ", UINT32, tokens) + b"\0" * 4 * tokens
            ),
            entry("tokenizer.ggml.merges", ARRAY, strings(merge_list)),
        ],
        [tensor(f"blk.{number}.ffn_gate.weight", [32, 2], offset=256 * number) for number in range(300)],
    )
    data = head + b"\0" * 2**21

    second = bytes_needed(data[: 2**16])

    assert len(head) <= second < 2.5 * len(head)
    assert bytes_needed(data[:second]) <= second


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("first", [0, 10, 1000])
def test_reading_grows_until_the_header_is_whole_and_no_further(name: str, first: int) -> None:
    data = (FOLDER / name).read_bytes() + b"\0" * 100_000
    head = data[:first]
    for _ in range(30):
        wanted = bytes_needed(head)
        if wanted <= len(head):
            break
        head = data[:wanted]
    assert wanted == TRUTH[name]["header_nbytes"]


@given(st.binary(max_size=60), st.integers(0, 600))
def test_whatever_a_file_holds_there_is_an_answer_or_a_hubmem_error(noise: bytes, position: int) -> None:
    data = (FOLDER / "aligned.gguf").read_bytes()
    spoiled = data[:position] + noise + data[position + len(noise) :]
    assert 0 <= bytes_needed(spoiled) <= gguf.LARGEST_HEADER
    with suppress(MalformedWeights):
        parse_file(spoiled, path="x", file_nbytes=10**6)
