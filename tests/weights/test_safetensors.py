"""The header parser takes and refuses what the safetensors library does, and reads the same tensors."""

import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hubmem import dtypes
from hubmem.errors import MalformedWeights
from hubmem.weights import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

ONE = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


def framed(header: str | bytes) -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(raw)) + raw


def library_takes(head: bytes, file_nbytes: int) -> bool:
    """Whether the safetensors library opens a file of that beginning and length; the rest is a hole."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(head)
        with path.open("r+b") as file:
            file.truncate(file_nbytes)
        try:
            with safe_open(path, framework="np"):
                return True
        except SafetensorError:
            return False
        except ModuleNotFoundError:
            # The file is checked before numpy is asked for, and numpy is no dependency of these tests.
            return True


def hubmem_takes(head: bytes, file_nbytes: int) -> bool:
    try:
        safetensors.parse_file(head, path="model.safetensors", file_nbytes=file_nbytes)
    except MalformedWeights:
        return False
    return True


def agreed(header: str | bytes, data_nbytes: int) -> bool:
    head = framed(header)
    ours = hubmem_takes(head, len(head) + data_nbytes)
    assert ours == library_takes(head, len(head) + data_nbytes)
    return ours


@cache
def known_dtypes() -> list[dtypes.Dtype]:
    """What the installed library knows; its oldest supported version lacks the dtypes below a byte."""
    eight = {name: framed(json.dumps({"a": entry(name, [8], [0, row.bits])})) for name, row in DTYPES.items()}
    return [
        DTYPES[name] for name, head in eight.items() if library_takes(head, len(head) + DTYPES[name].bits)
    ]


DTYPES = dtypes.BY_NAME
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
dims = st.lists(st.integers(0, 5), max_size=4)


@st.composite
def tensors(draw: Callable[..., Any]) -> list[tuple[str, str, list[int]]]:
    """Tensors of whole bytes, by name, dtype and shape."""
    rows = []
    for name in draw(st.lists(names.filter(lambda n: n != "__metadata__"), unique=True, max_size=6)):
        dtype = draw(st.sampled_from(known_dtypes()))
        shape = draw(dims)
        if dtype.bits < 8:
            shape = [*shape, 4]
        rows.append((name, dtype.name, shape))
    return rows


def laid_out(rows: list[tuple[str, str, list[int]]]) -> tuple[dict[str, Any], int]:
    header, end = {}, 0
    for name, dtype, shape in rows:
        elements = 1
        for dim in shape:
            elements *= dim
        begin, end = end, end + DTYPES[dtype].nbytes(elements)
        header[name] = entry(dtype, shape, [begin, end])
    return header, end


@given(
    rows=tensors(), spaces=st.integers(0, 9), metadata=st.none() | st.dictionaries(names, names, max_size=2)
)
def test_a_valid_header_is_read_back(rows: Any, spaces: int, metadata: Any) -> None:
    header, end = laid_out(rows)
    if metadata is not None:
        header["__metadata__"] = metadata
    head = framed(json.dumps(header, ensure_ascii=spaces % 2 == 0) + " " * spaces)

    read = safetensors.parse_file(head, path="x", file_nbytes=len(head) + end)

    assert [(name, dtype, list(shape)) for name, dtype, shape in read] == rows
    assert library_takes(head, len(head) + end)


@st.composite
def spoiled(draw: Callable[..., Any]) -> tuple[str, int]:
    """A header with one thing changed, which may or may not spoil it, and the bytes of data behind it."""
    header, end = laid_out(draw(tensors().filter(bool)))
    chosen = header[draw(st.sampled_from(sorted(header)))]
    number = st.integers(-2, 2**65) | st.sampled_from([2**63, 2**64 - 1, 1.5, None, True, "4", [1]])
    change = draw(st.integers(0, 6))
    if change == 0:
        chosen["shape"] = draw(st.lists(number, max_size=3))
    elif change == 1:
        chosen["data_offsets"] = draw(st.lists(number, max_size=3))
    elif change == 2:
        chosen["data_offsets"] = [offset + draw(st.integers(-2, 2)) for offset in chosen["data_offsets"]]
    elif change == 3:
        chosen["dtype"] = draw(st.sampled_from(["F32", "f32", "F12", "", None, 5, ["F32"]]))
    elif change == 4:
        del chosen[draw(st.sampled_from(sorted(chosen)))]
    elif change == 5:
        header["__metadata__"] = draw(st.sampled_from([None, {}, {"a": 1}, {"a": "b"}, [], "x", 0]))
    else:
        end = max(0, end + draw(st.integers(-4, 4)))
    return json.dumps(header), end


@given(spoiled())
def test_the_library_and_hubmem_agree_on_changed_headers(case: tuple[str, int]) -> None:
    header, data_nbytes = case
    # `-0` is a float to the library's JSON reader and 0 to Python's; json.dumps does not write it.
    agreed(header, data_nbytes)


@given(st.binary(max_size=40), st.integers(0, 60), st.integers(0, 20))
def test_the_library_and_hubmem_agree_on_bytes_thrown_in(
    noise: bytes, position: int, data_nbytes: int
) -> None:
    spoiled_header = ONE[:position].encode() + noise + ONE[position:].encode()
    if b"\\u" not in spoiled_header and b"-0" not in spoiled_header:
        agreed(spoiled_header, data_nbytes)


@pytest.mark.parametrize(
    ("header", "data_nbytes", "taken"),
    [
        (ONE, 8, True),
        (" \n" + ONE + "\t ", 8, True),
        ("{}", 0, True),
        ('{"__metadata__":null}', 0, True),
        ('{"":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4, True),
        ('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"more":1}}', 0, True),
        ('{"a":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}', 0, True),
        ('{"a":{"dtype":"F32","shape":[18446744073709551616,0],"data_offsets":[0,0]}}', 0, False),
        ('{"a":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}', 0, False),
        ('{"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}', 0, True),
        ('{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}', 8, False),
        ('{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', 4, False),
        ('{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', 8, False),
        ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', 8, False),
        ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}', 8, False),
        ('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8, False),
        ('{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8, False),
        ('{"a":NaN}', 0, False),
        ("\ufeff" + ONE, 8, False),
        (b'{"\xff":{}}', 0, False),
        (ONE + "\0", 8, False),
        (ONE, 9, False),
        (ONE, 7, False),
        ("[]", 0, False),
        ("", 0, False),
    ],
)
def test_a_corner_of_the_format_is_taken_or_refused_as_the_library_does(
    header: str | bytes, data_nbytes: int, taken: bool
) -> None:
    assert agreed(header, data_nbytes) == taken


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(ONE[:-1] + "," + ONE[1:], id="two tensors of one name leave their count to chance"),
        pytest.param('{"a":["F32",[2],[0,8]]}', id="an entry as a list of its fields is no published form"),
        pytest.param(
            '{"a":{"dtype":{"F32":null},"shape":[2],"data_offsets":[0,8]}}', id="nor a dtype as an object"
        ),
    ],
)
def test_hubmem_is_stricter_than_the_library_where_a_count_would_be_doubtful(header: str) -> None:
    head = framed(header)
    assert library_takes(head, len(head) + 8)
    assert not hubmem_takes(head, len(head) + 8)


@pytest.mark.parametrize("size", [0, 7, 8])
def test_a_file_shorter_than_its_frame_is_refused(size: int) -> None:
    head = framed(ONE)[:size]
    assert not hubmem_takes(head, size)
    assert not library_takes(head, size)


@pytest.mark.parametrize("claim", [100_000_001, 2**63, 2**64 - 1])
def test_a_header_that_claims_more_than_the_format_allows_is_refused_unread(claim: int) -> None:
    head = struct.pack("<Q", claim) + b"{"
    with pytest.raises(MalformedWeights, match="the format allows 100,000,000"):
        safetensors.parse_file(head, path="x", file_nbytes=2**40)
    assert not library_takes(head, 1000)


@pytest.mark.parametrize("nbytes", [99_994, 99_999, 100_000, 100_008])
def test_a_header_near_100_kb_is_asked_for_to_its_last_byte(nbytes: int) -> None:
    """hf-mem 0.5.6 loses the last bytes of headers of 99,994 to 99,999 bytes."""
    head = framed(ONE + " " * (nbytes - len(ONE)))
    assert safetensors.bytes_needed(head[:8]) == len(head) == nbytes + 8
    assert len(safetensors.parse_file(head, path="x", file_nbytes=len(head) + 8)) == 1


def test_a_message_names_the_file_and_the_tensor() -> None:
    head = framed(ONE)
    with pytest.raises(
        MalformedWeights, match=r"^unet/x\.safetensors: its tensors end at byte 70, the file at 69"
    ):
        safetensors.parse_file(head, path="unet/x.safetensors", file_nbytes=69)
