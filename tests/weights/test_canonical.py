"""The quick readers say what the thorough ones say, or nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hubmem.errors import MalformedWeights
from hubmem.weights import one_call, safetensors
from hypothesis import example, given
from hypothesis import strategies as st

from tests.weights.test_safetensors import laid_out, tensors

INDEX = "model.safetensors.index.json"
A = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
B = '"b":{"dtype":"I8","shape":[0,3],"data_offsets":[8,8]}'
PAIR = f"{{{A},{B}}}"


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def quickly(text: str) -> Any:
    return safetensors.read_usual(text, 0, len(text))


def thoroughly(text: str) -> Any:
    """What the JSON parser and the format's rules say; None where they refuse."""
    try:
        return safetensors.read_tensors(safetensors.load_header(text.encode(), "x"), "x")
    except MalformedWeights:
        return None


@st.composite
def texts(draw: Callable[..., Any]) -> str:
    """A header in its usual form."""
    header, _ = laid_out(draw(tensors()))
    metadata = draw(st.sampled_from([None, {}, {"format": "pt"}, {"format": "pt", "more": "}}"}]))
    return compact(header if metadata is None else {"__metadata__": metadata, **header})


@st.composite
def spliced(draw: Callable[..., Any], whole: st.SearchStrategy[str]) -> str:
    """A text with a piece of it replaced by other characters of JSON or by another piece of it."""
    text: str = draw(whole)
    places = st.integers(0, len(text))
    start, stop = sorted((draw(places), draw(places)))
    piece = slice(*sorted((draw(places), draw(places))))
    new: str = draw(st.text('{}[]",: 0123456789\\aé', max_size=4) | st.just(text[piece]))
    return text[:start] + new + text[stop if draw(st.booleans()) else start + len(new) :]


@given(texts() | spliced(texts()))
@example(PAIR)
def test_a_header_is_read_as_the_thorough_parser_reads_it(text: str) -> None:
    read = quickly(text)
    assert read is None or read == thoroughly(text)


@given(tensors().filter(bool), st.sampled_from([None, {}, {"format": "pt"}]))
def test_a_header_in_its_usual_form_is_read_quickly(rows: Any, metadata: Any) -> None:
    header, end = laid_out([(name.encode("unicode_escape").hex(), *kind) for name, *kind in rows])
    text = compact(header if metadata is None else {"__metadata__": metadata, **header})

    assert quickly(text) == thoroughly(text)
    assert quickly(text)[1] == end


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{{{A},{B},}}", id="a comma behind the last entry"),
        pytest.param(f"{{,{A}}}", id="a comma before the first entry"),
        pytest.param(f"{{{A}{B}}}", id="no comma between entries"),
        pytest.param(f"{{{A}}}{B}}}", id="a header that ends early"),
        pytest.param(f"{{{A},0,{B}}}", id="something between entries"),
        pytest.param(f"{{{A},{B}", id="no end"),
        pytest.param(f"{{{A},{A}}}", id="a name twice"),
        pytest.param(f"{{{B},{A}}}", id="entries in another order than their bytes"),
        pytest.param(PAIR.replace('"b"', '"__metadata__"'), id="a tensor in the place of the metadata"),
        pytest.param(PAIR.replace("[0,8]", "[1,8]"), id="bytes before the first tensor"),
        pytest.param(PAIR.replace("[8,8]", "[9,9]"), id="bytes between tensors"),
        pytest.param(PAIR.replace("[0,8]", "[0,7]"), id="fewer bytes than the shape takes"),
        pytest.param(PAIR.replace("[0,8]", "[0,08]"), id="a number with a leading zero"),
        pytest.param(PAIR.replace("[2]", "[02]"), id="a dimension with a leading zero"),
        pytest.param(PAIR.replace("[2]", "[2,]"), id="a comma behind the last dimension"),
        pytest.param(PAIR.replace("[2]", "[,2]"), id="a comma before the first dimension"),
        pytest.param(PAIR.replace("[2]", "[2٣]"), id="digits of another script"),
        pytest.param(PAIR.replace("F32", "F31"), id="an unknown dtype"),
        pytest.param(PAIR.replace("I8", "F4").replace("[0,3]", "[3]"), id="half a byte"),
        pytest.param(PAIR.replace("[0,3]", "[0,18446744073709551616]"), id="a dimension beyond 64 bits"),
        pytest.param(PAIR.replace("[0,3]", "[0,4294967296,4294967296]"), id="a product beyond 64 bits"),
        pytest.param(PAIR.replace("[0,3]", f"[{'9' * 5000},0]"), id="more digits than Python reads"),
        pytest.param(PAIR.replace('"a"', r'"\u0061"'), id="an escape"),
        pytest.param(PAIR.replace('"a"', '"\n"'), id="a control character"),
        pytest.param(PAIR.replace(":", ": "), id="spaces"),
        pytest.param("\ufeff" + PAIR, id="a byte order mark"),
        pytest.param(f'{{"__metadata__":{{"a":1}},{A}}}', id="metadata that is not text"),
        pytest.param(f'{{"__metadata__":{{"a":"","a":""}},{A}}}', id="metadata with a key twice"),
        pytest.param('{"__metadata__":{}}', id="no tensors"),
        pytest.param("{}", id="nothing"),
    ],
)
def test_of_anything_unusual_the_quick_reader_says_nothing(text: str) -> None:
    assert quickly(PAIR) is not None
    assert quickly(text) is None


@st.composite
def answers(draw: Callable[..., Any]) -> str:
    """The one-call answer about some shards."""
    shards = draw(st.lists(texts(), max_size=3))
    headers = ",".join(f'"model-{number}.safetensors":{text}' for number, text in enumerate(shards))
    metadata = draw(st.sampled_from(['{"total_size":8}', "null", '{"a":",\\"headers\\":{"}']))
    return f'{{"index":{{"metadata":{metadata}}},"headers":{{{headers}}}}}'


@given(answers() | spliced(answers()))
def test_an_answer_is_read_as_the_thorough_parser_reads_it(text: str) -> None:
    body = text.encode()
    read = one_call._read_usual(body)
    assert read is None or read == one_call._read_any(body, INDEX)


def test_an_answer_in_its_usual_form_is_read_quickly() -> None:
    body = f'{{"index":{{"metadata":{{"total_size":8}}}},"headers":{{"1":{PAIR},"2":{PAIR}}}}}'.encode()

    read = one_call._read_usual(body)

    assert read is not None
    assert read == one_call._read_any(body, INDEX)
    assert list(read[1]) == ["1", "2"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param('{"index":{},"headers":{"1":%s,"1":%s}}', id="a shard twice"),
        pytest.param('{"index":{},"headers":{"1":%s"2":%s}}', id="no comma between shards"),
        pytest.param('{"index":{},"headers":{"1":%s,"2":%s,}}', id="a comma behind the last shard"),
        pytest.param('{"index":{},"headers":{"1":%s,"2":%s}}}', id="a brace too many"),
        pytest.param('{"index":{},"headers":{"1":%s,"2":%s}', id="a brace too few"),
        pytest.param('{"index":{"a":1,"a":1},"headers":{"1":%s,"2":%s}}', id="an index with a key twice"),
        pytest.param('{"Index":{},"headers":{"1":%s,"2":%s}}', id="another first key"),
        pytest.param('{"index":{},"headers":{"1":%s,"2":%s},"more":1}', id="a third key"),
        pytest.param('{"index":{},"headers":{"1":%s,"2":{},"3":%s}}', id="a shard without tensors"),
    ],
)
def test_of_an_unusual_answer_the_quick_reader_says_nothing(answer: str) -> None:
    assert one_call._read_usual(answer.replace("%s", PAIR).encode()) is None
