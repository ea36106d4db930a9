"""The README's pictures show what is printed today."""

import html
import re
import xml.etree.ElementTree as ET

import pytest

from tests.readme import README
from tests.render.browser import CHROMIUM
from tests.screenshots import IMAGES, PAGE, PAGE_WIDTH, SCREENSHOTS, drawn, photographed, printed


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_a_picture_is_what_its_command_prints(name):
    """To draw them anew: `python -m tests.screenshots`."""
    now = drawn(SCREENSHOTS[name], printed(name))

    assert (IMAGES / f"{name}.svg").read_text(encoding="utf-8") == now


@pytest.mark.parametrize("picture", [*(f"{name}.svg" for name in SCREENSHOTS), PAGE.name])
def test_the_readme_shows_it_with_words_for_who_cannot_see_it(picture):
    shown = rf"!\[[^\]]{{20,}}\]\(\.github/images/{re.escape(picture)}\)"

    assert re.search(shown, README.read_text(encoding="utf-8"))


def test_the_photograph_is_one_of_the_page():
    assert _png_width(PAGE.read_bytes()) == PAGE_WIDTH


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_can_be_photographed_anew():
    """Not held to the committed one: fonts and antialiasing differ from machine to machine."""
    assert _png_width(photographed()) == PAGE_WIDTH


def _png_width(picture: bytes) -> int:
    """Of the header chunk (PNG specification, 11.2.1): after the signature, its length and its name."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(picture[16:20], "big")


def test_text_is_no_markup_and_colour_becomes_a_class():
    picture = drawn("hubmem <b>", "\x1b[32mfits\x1b[0m & <script>")
    tree = ET.fromstring(picture)

    words = "".join(tree.itertext())
    assert "$ hubmem <b>" in words
    assert "fits & <script>" in words
    assert html.escape("<script>") in picture
    assert [span.get("class") for span in tree.iter("{http://www.w3.org/2000/svg}tspan")] == ["sgr2", "sgr32"]
