"""Front matter that strangers wrote: what is read of it, and what reading it can cost."""

import time

import pytest
from hubmem.card.front_matter import Metadata, read_metadata
from hubmem.card.outline import FrontMatter, outline
from hubmem.card.refusal import CardRefused
from hypothesis import given
from hypothesis import strategies as st

NINE = ", ".join(["*{0}"] * 9)
# Each merges, or lists, the one before it nine times.
MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{level}: &a{level}\n  <<: [{NINE.format(f'a{level - 1}')}]\n" for level in range(1, 30)
)
LISTS = "a0: &a0 [x]\n" + "".join(
    f"a{level}: &a{level} [{NINE.format(f'a{level - 1}')}]\n" for level in range(1, 30)
)


def read(text: str) -> Metadata:
    return read_metadata(FrontMatter(text=text.encode(), line=2))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: " + "[" * 200_000, "line 2: the front matter is not YAML: more than 50 deep"),
        ("a: " + "[" * 100_000 + "]" * 100_000, "line 2: the front matter is not YAML: more than 50 deep"),
        ("".join(f"{' ' * level}a:\n" for level in range(300)), "line 52: .* more than 50 deep"),
        ("a: " + "9" * 5000, "not YAML: Exceeds the limit"),
        ("a: !!python/object/apply:os.system ['false']", "could not determine a constructor"),
        ("? &a [*a]\n: 1", "unhashable key"),
        ("a: \x00", "unacceptable character"),
        ("tags:\n- a" + " " * 2**19, "the front matter is longer than 512 KiB"),
        (LISTS + "base_model: *a29", "line 32: base_model: expected text or a list of texts, got list"),
    ],
    ids=lambda text: text[:40],
)
def test_what_would_take_for_ever_or_run_code_is_refused_with_its_line(text, reason):
    with pytest.raises(CardRefused, match=reason):
        read(text)


@pytest.mark.parametrize("text", [MERGES, LISTS], ids=["merges", "lists"])
def test_mappings_that_merge_or_list_each_other_take_no_longer_for_it(text):
    started = time.process_time()

    assert read(f"base_model: org/name\n{text}").base_model == ("org/name",)
    assert time.process_time() - started < 5


def test_what_a_mapping_merges_into_itself_is_left_out():
    assert read("x: &x {base_model: a/b}\n<<: *x\ntags: [gguf]") == Metadata(base_model_relation="quantized")


@given(st.text())
def test_any_text_is_metadata_or_refused(text):
    try:
        metadata = read(text)
    except CardRefused:
        return
    assert all(isinstance(model, str) for model in metadata.base_model)


names = st.from_regex(r"[A-Za-z0-9][\w.-]{0,20}/[\w.-]{1,20}", fullmatch=True)


@given(models=st.lists(names, min_size=1, max_size=3), newline=st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_written_in_any_style_is_read(models, newline):
    """In a block or in a flow, quoted or not, with comments and other keys around it, behind a byte order mark."""
    block = newline.join(["base_model:", *(f"- '{model}'  # comment" for model in models)])
    flow = "base_model: [" + ", ".join(f'"{model}"' for model in models) + "]"
    for written in (block, flow):
        card = newline.join(["\ufeff---", "license: mit", written, "tags: []", "---", "# Title", ""])
        found = outline(card.encode()).front_matter

        assert found is not None
        assert read_metadata(found).base_model == tuple(models)
