"""Sections in cards of any content: what is outside the markers is never touched."""

import pytest
from hubmem.card import splice
from hubmem.card.outline import Outline, outline
from hubmem.card.refusal import CardRefused
from hypothesis import assume, given
from hypothesis import strategies as st

# What a Markdown file is made of where it could be taken for something else.
PIECES = [
    b"",
    b"text",
    b"caf\xc3\xa9 \xf0\x9f\x90\x88",
    b"trailing   ",
    b"# heading",
    b"####### no heading",
    b"title\n=====",
    b"---",
    b"---\nbase_model: org/name # comment\n---",
    b"```",
    b"````",
    b"~~~",
    b"``` ticks ` inside",
    b"    <!-- hubmem:start -->",
    b"<!-- a comment",
    b"-->",
    b"`<!-- hubmem:end -->`",
    b"| a | b |\n|---|---|",
    b"> # quoted",
    b"- # listed",
    b"\xef\xbb\xbf",
    b"\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8",
]
NEWLINES = [b"\n", b"\r\n", b"\r"]
SECTION = b'<!-- hubmem:start gpus="L4" -->\nold words\n<!-- hubmem:end -->'

lines = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(NEWLINES)), max_size=12)
settings = st.sampled_from(["", 'repo="org/name"', 'repo="a/b" gpus="L4, 2xH100" context="8k"'])
texts = st.lists(
    st.sampled_from(["## Memory", "| a |\n|---|\n| 1 |", "some words", "<sub>x</sub>"]), min_size=1
)


def joined(parts) -> bytes:
    return b"".join(text + newline for text, newline in parts)


def outline_of(card: bytes) -> Outline:
    """The outline, where the pieces do not happen to make a card that is refused."""
    try:
        return outline(card)
    except CardRefused:
        assume(False)
        raise


@given(before=lines, after=lines, newline=st.sampled_from(NEWLINES), text=texts, new_settings=settings)
def test_replacing_keeps_every_byte_around_the_markers(before, after, newline, text, new_settings):
    head, tail = joined(before), joined(after)
    card = head + SECTION.replace(b"\n", newline) + newline + tail
    found = outline_of(card)
    assume(found.section is not None and found.section.first.start == len(head))

    written = splice.replace(found, "\n\n".join(text), new_settings)

    end = newline + tail
    assert written.startswith(head + b"<!-- hubmem:start")
    assert written.endswith(b"<!-- hubmem:end -->" + end)
    again = outline(written)
    assert splice.present(again) == "\n\n".join(text)
    assert splice.replace(again, "\n\n".join(text), new_settings) == written


@given(parts=lines, text=texts, new_settings=settings, ends=st.booleans())
def test_inserting_adds_bytes_at_one_place_and_is_found_again(parts, text, new_settings, ends):
    card = joined(parts)
    card = card if ends else card.rstrip(b"\r\n")
    found = outline_of(card)
    assume(found.section is None)

    written = splice.insert(found, "\n\n".join(text), new_settings)

    at = found.insertion.next_start if found.insertion else found.top
    assert written[:at] == card[:at]
    assert written.endswith(card[at:])
    again = outline(written)
    assert splice.present(again) == "\n\n".join(text)
    assert splice.replace(again, "\n\n".join(text)) == written


@pytest.mark.parametrize(
    ("card", "follows"),
    [
        (b"# A\n\n## B\n", b"# A\n"),
        (b"A\n===\ntext\n", b"A\n===\n"),
        (b"A\n---\ntext\n", b"A\n---\n"),
        (b"---\n# comment\n---\n# A\n", b"---\n# comment\n---\n# A\n"),
        (b"---\na: b\n---\ntext\n", b"---\na: b\n---\n"),
        (b"```\n# code\n```\n# A\n", b"```\n# code\n```\n# A\n"),
        (b"<!--\n# hidden\n-->\n# A\n", b"<!--\n# hidden\n-->\n# A\n"),
        (b"    # code\n\n# A", b"    # code\n\n# A"),
        (b"#hashtag\n\n# A\n", b"#hashtag\n\n# A\n"),
        (b"| a |\n---\n# A\n", b"| a |\n---\n# A\n"),
        (b"\xef\xbb\xbftext\n", b"\xef\xbb\xbf"),
        (b"text\n", b""),
        (b"", b""),
    ],
    ids=repr,
)
def test_a_new_section_follows_the_first_heading(card, follows):
    """Or else the front matter; what looks like a heading inside YAML, code, comments or tables is none."""
    written = splice.insert(outline(card), "WORDS", "")

    head = written[: written.index(b"<!-- hubmem:start")]
    assert head.rstrip(b"\n") == follows.rstrip(b"\n")


@pytest.mark.parametrize("newline", NEWLINES, ids=repr)
def test_a_new_section_ends_its_lines_as_the_card_does(newline):
    card = newline.join([b"# A", b"", b"text", b""])

    written = splice.insert(outline(card), "one\n\ntwo", "")

    assert written.replace(newline, b"").count(b"\n") == written.replace(newline, b"").count(b"\r") == 0
    assert newline.join([b"# A", b"", b"<!-- hubmem:start -->", b"", b"one", b"", b"two"]) in written


START, END = "<!-- hubmem:start -->", "<!-- hubmem:end -->"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([START, END, START, END], "line 3: a second hubmem:start; the section ends on line 2"),
        ([START, END, "", END], "line 4: a second hubmem:end"),
        ([END, START], "line 1: hubmem:end before any hubmem:start"),
        (["", START, START, END], "line 3: hubmem:start inside the section that begins on line 2"),
        (["", START], "line 2: hubmem:start without a hubmem:end"),
        ([START + END], "line 1: hubmem:start must be alone on its line"),
        ([START + " words", END], "line 1: hubmem:start must be alone on its line"),
        ([START, '<!-- hubmem:end repo="a/b" -->'], "line 2: hubmem:end takes no settings"),
        (["<!-- hubmem:start", "-->", END], "line 1: the marker is not closed on its line"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_markers_that_are_not_one_pair_are_refused_with_the_line(lines, message):
    with pytest.raises(CardRefused, match=message):
        outline("\n".join(lines).encode())


@pytest.mark.parametrize(
    "card",
    [
        f"```\n{START}\n{END}\n```\n",
        f"~~~ md\n{START}\n```\n~~~\n",
        f"````\n{START}\n```\n{END}\n````\n",
        f"    {START}\n    {END}\n",
        f"`{START}`\n",
        f"> {START}\n> {END}\n",
        f"---\nnote: |\n  {START}\n---\n",
        f"<!--\n{START}\n",
        f"```\n{START}\n",
    ],
    ids=repr,
)
def test_markers_in_code_quotes_comments_and_front_matter_are_text(card):
    assert outline(card.encode()).section is None


def test_a_fence_ends_only_at_its_own_kind_and_length():
    found = outline(f"````\n~~~~\n```\n```` not the end\n````\n{START}\n{END}\n".encode())

    assert found.section is not None
    assert found.section.first.number == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# Modèle\n".encode("latin-1"), "line 1: not UTF-8 text .byte 0xe8"),
        ("# A\n\ntext\n".encode("utf-16"), "line 1: not UTF-8 text .byte 0xff"),
        (b"# A\n\n\xc3\x28\n", "line 3: not UTF-8"),
    ],
    ids=["Latin-1", "UTF-16", "a broken sequence"],
)
def test_another_encoding_is_refused_with_the_line(content, message):
    with pytest.raises(CardRefused, match=message):
        outline(content)
