"""Cards of every shape, from the file to the file."""

import re

import pytest
from hubmem.card import splice
from hubmem.card.outline import outline
from hubmem.cli import main

from tests.card import golden

_MARKERS = re.compile(rb"<!-- hubmem:start[^\n]*-->.*<!-- hubmem:end -->", re.DOTALL)


pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture
def hub(monkeypatch):
    with golden.serve_models() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.mark.parametrize("shape", golden.SHAPES)
def test_a_card_comes_out_as_its_golden_copy(tmp_path, shape):
    """After a wanted change of what sections say: `python -m tests.card.golden`."""
    card = golden.copy(shape, tmp_path)

    assert main(["card", str(card), *golden.ARGUMENTS.get(shape, ())]) == 0
    assert card.read_bytes() == golden.after(shape)


@pytest.mark.parametrize("shape", golden.SHAPES)
def test_the_result_is_up_to_date_without_any_argument(tmp_path, shape):
    """What the command was told is in the marker now."""
    card = golden.copy(shape, tmp_path)
    card.write_bytes(golden.after(shape))

    assert main(["card", str(card), "--check"]) == 0
    assert main(["card", str(card)]) == 0
    assert card.read_bytes() == golden.after(shape)


@pytest.mark.parametrize("shape", golden.SHAPES)
def test_golden_copies_keep_every_byte_outside_the_section(shape):
    before, after = golden.before(shape), golden.after(shape)
    if shape in golden.ARGUMENTS:
        [at] = [match.span() for match in _MARKERS.finditer(after)]
        head = after[: at[0]].removesuffix(b"\n")
        assert before.startswith(head)
        assert after[at[1] :].endswith(before[len(head) :])
        return

    old_section, new_section = (list(_MARKERS.finditer(text))[-1] for text in (before, after))

    assert before[: old_section.start()] == after[: new_section.start()]
    assert before[old_section.end() :] == after[new_section.end() :]


def test_each_shape_is_what_its_name_says():
    assert b"\r\n" in golden.before("crlf")
    assert not re.search(rb"(?<!\r)\n", golden.after("crlf"))
    assert golden.before("byte-order-mark").startswith(b"\xef\xbb\xbf")
    assert not golden.after("markers-in-code").endswith(b"\n")


def test_a_huge_card_is_no_different(tmp_path):
    padding = b"A sentence that will not end. | ` ~ # <b> \n\n" * 100_000
    before, after = (text + padding for text in (golden.before("plain"), golden.after("plain")))
    card = tmp_path / "README.md"
    card.write_bytes(before)

    assert main(["card", str(card)]) == 0
    assert len(before) > 4_000_000
    assert card.read_bytes() == after


@pytest.mark.parametrize("shape", golden.SHAPES)
def test_a_section_is_markdown_that_github_and_the_hub_render_alike(shape):
    """Tables stand between blank lines and have as many cells in every row; HTML is inline and closed in its line."""
    section = splice.present(outline(golden.after(shape)))
    assert section is not None
    blocks = section.split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]

    assert tables
    for rows in tables:
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(re.findall(r"\|", rows[0]))}
    for block in blocks:
        assert block.count("\n") == 0 or block.startswith("|")
        assert block.count("<sub>") == block.count("</sub>")
        assert not re.search(r"<(?!/?sub>)", block)
