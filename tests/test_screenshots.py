"""The README's pictures show what is printed today."""

import html
import re
import xml.etree.ElementTree as ET

import pytest

from tests.readme import README
from tests.screenshots import IMAGES, SCREENSHOTS, drawn, printed


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_a_picture_is_what_its_command_prints(name):
    """To draw them anew: `python -m tests.screenshots`."""
    now = drawn(SCREENSHOTS[name], printed(name))

    assert (IMAGES / f"{name}.svg").read_text(encoding="utf-8") == now


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_the_readme_shows_it_with_words_for_who_cannot_see_it(name):
    assert re.search(rf"!\[[^\]]{{20,}}\]\(\.github/images/{name}\.svg\)", README.read_text(encoding="utf-8"))


def test_text_is_no_markup_and_colour_becomes_a_class():
    picture = drawn("hubmem <b>", "\x1b[32mfits\x1b[0m & <script>")
    tree = ET.fromstring(picture)

    words = "".join(tree.itertext())
    assert "$ hubmem <b>" in words
    assert "fits & <script>" in words
    assert html.escape("<script>") in picture
    assert [span.get("class") for span in tree.iter("{http://www.w3.org/2000/svg}tspan")] == ["sgr2", "sgr32"]
