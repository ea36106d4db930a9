"""The page of a scan: nothing a repo wrote becomes markup; a reader can sort, search and see in the dark."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hubmem.render import html
from hubmem.render.rows import Row
from tests.render.browser import CHROMIUM, Page, open_page
from tests.render.rows import GPUS, HOSTILE, STRUCK, USUAL, row

Show = Callable[..., Page]

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def page_of(rows: list[Row], *, gpus: list[str] = GPUS, asked: str = "inference") -> str:
    return "".join(html.render(rows, gpus, asked=asked))


class Elements(HTMLParser):
    """The elements of a page, as a browser's parser finds them, and the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._is_open = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.texts.append("")
        self._is_open = True

    def handle_endtag(self, tag: str) -> None:
        self._is_open = False

    def handle_data(self, data: str) -> None:
        if self._is_open:
            self.texts[-1] += data

    def text_of(self, tag: str) -> list[str]:
        return [text for (name, _), text in zip(self.found, self.texts, strict=True) if name == tag]


class TestMarkup:
    def test_hostile_text_adds_no_element(self) -> None:
        hostile = Elements(page_of(STRUCK, gpus=[*GPUS, *HOSTILE], asked=HOSTILE[0]))

        assert hostile.found == Elements(page_of([])).found

    def test_hostile_text_is_there_as_text(self) -> None:
        data = json.loads(Elements(page_of(STRUCK)).text_of("script")[0])

        assert [row["repo"] for row in data["rows"]] == [*HOSTILE, *HOSTILE]
        assert data["gpus"] == GPUS

    @pytest.mark.parametrize("mark", ["<", ">", "&"])
    def test_data_holds_no_mark_of_markup(self, mark: str) -> None:
        assert mark not in Elements(page_of(STRUCK)).text_of("script")[0]

    def test_the_page_can_be_written_whatever_is_in_it(self) -> None:
        page_of(STRUCK).encode("utf-8")

    def test_the_policy_lets_in_this_script_and_this_style_alone(self) -> None:
        elements = Elements(page_of(USUAL))
        policy = next(
            attrs["content"] or ""
            for tag, attrs in elements.found
            if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
        )

        def hashed(text: str) -> str:
            return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

        assert "default-src 'none'" in policy
        assert f"script-src {hashed(elements.text_of('script')[1])}" in policy
        assert f"style-src {hashed(elements.text_of('style')[0])}" in policy
        assert "unsafe" not in policy

    def test_nothing_is_asked_of_any_network(self) -> None:
        elements = Elements(page_of(USUAL))

        assert not {"link", "img", "iframe", "base", "object", "embed"} & {tag for tag, _ in elements.found}
        assert not any(name in attrs for _, attrs in elements.found for name in ("src", "href", "style"))
        assert not re.search(r"@import|url\(", elements.text_of("style")[0])
        assert not re.search(r"fetch|XMLHttp|innerHTML|eval|document\.write", elements.text_of("script")[1])

    def test_a_row_a_repo_and_a_line_each(self) -> None:
        parts = list(html.render(USUAL, GPUS, asked=""))

        assert len(parts) == len(USUAL) + 3


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with open_page() as page:
        yield page


@pytest.fixture
def show(browser: Page, tmp_path: Path) -> Iterator[Show]:
    """Open rows in the browser; fails of anything the browser complains of."""

    def show(rows: list[Row], **screen: Any) -> Page:
        path = tmp_path / "page.html"
        path.write_text(page_of(rows), encoding="utf-8")
        browser.open(path, **screen)
        return browser

    yield show
    assert browser.complaints == []


def repos(page: Page) -> list[str]:
    return list(page.run("[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent)"))


def click(page: Page, heading: str) -> None:
    page.click(
        "[...document.querySelectorAll('thead button')]"
        f".find(button => button.textContent === {json.dumps(heading)})"
    )


def search(page: Page, words: str) -> None:
    page.click("document.forms[0].elements.search")
    page.type(words)


def choose(page: Page, name: str, value: str) -> None:
    page.run(
        f"document.forms[0].elements[{json.dumps(name)}].value = {json.dumps(value)};"
        f"document.forms[0].dispatchEvent(new Event('input', {{bubbles: true}}))"
    )


@needs_browser
class TestInABrowser:
    def test_rows_are_shown_as_they_come(self, show: Show) -> None:
        page = show(USUAL)

        assert repos(page) == [row.repo for row in USUAL]
        assert page.run("document.querySelector('output').value") == "5 of 5"

    def test_hostile_rows_run_nothing(self, show: Show) -> None:
        page = show(STRUCK)
        page.run("new Promise(resolve => setTimeout(resolve, 50))")

        assert page.run("window.struck") is None
        assert repos(page) == [*HOSTILE, *HOSTILE]
        assert page.run("document.querySelectorAll('td a').length") == 0

    def test_a_heading_sorts_and_sorts_back(self, show: Show) -> None:
        page = show(USUAL)

        click(page, "total GiB")
        upwards = repos(page)
        click(page, "total GiB")
        downwards = repos(page)

        assert upwards == ["org/small", "org/middle", "org/split", "org/large", "org/empty"]
        assert downwards == ["org/large", "org/split", "org/middle", "org/small", "org/empty"]
        assert page.run("document.querySelector('th[aria-sort]').textContent") == "total GiB"

    def test_an_accelerator_sorts_by_what_is_needed_of_it(self, show: Show) -> None:
        page = show(USUAL)

        click(page, "RTX-4090")

        assert repos(page) == ["org/small", "org/middle", "org/split", "org/large", "org/empty"]

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("", ["org/middle", "org/small", "org/empty", "org/large", "org/split"]),
            ("gpt2", ["org/split"]),
            ("ORG sm", ["org/small"]),
            ("no-weights", ["org/empty"]),
            ("<script>", []),
        ],
    )
    def test_search_looks_for_each_word(self, show: Show, words: str, found: list[str]) -> None:
        page = show(USUAL)

        search(page, words)

        assert repos(page) == found

    @pytest.mark.parametrize(
        ("verdict", "gpu", "found"),
        [
            ("fits", "0", ["org/middle", "org/small", "org/split"]),
            ("no", "", ["org/large"]),
            ("no", "1", []),
            ("skipped", "", ["org/empty"]),
        ],
    )
    def test_a_verdict_picks(self, show: Show, verdict: str, gpu: str, found: list[str]) -> None:
        page = show(USUAL)

        choose(page, "verdict", verdict)
        choose(page, "gpu", gpu)

        assert repos(page) == found

    def test_a_cell_says_how_much_of_how_many(self, show: Show) -> None:
        page = show(USUAL)

        cells = page.run("[...document.querySelectorAll('td.heat')].map(cell => cell.textContent)")

        assert cells[:2] == ["50 %", "2 × 8 %"]
        assert cells[4] == "4.0×"

    def test_one_that_fits_is_told_from_several_that_do(self, show: Show) -> None:
        """Where a heading itself names two, two are what was asked for."""
        page = show([row("org/one"), row("org/two", gpus=2), row("org/tight", gpus=2, verdict="tight")])

        classes = page.run("[...document.querySelectorAll('td.heat')].map(cell => cell.classList[1])")

        assert classes[::2] == ["fits", "several", "tight"]
        assert classes[1::2] == ["fits"] * 3

    def test_a_heading_says_how_many_of_those_found_fit(self, show: Show) -> None:
        page = show(USUAL)

        def notes() -> list[str]:
            return list(
                page.run("[...document.querySelectorAll('thead small')].map(note => note.textContent)")
            )

        assert notes() == ["3 fit", "4 fit"]
        search(page, "large")
        assert notes() == ["0 fit", "1 fit"]

    def test_heat_grows_with_what_is_taken(self, show: Show) -> None:
        page = show([row("a/b", required=number) for number in (1, 8, 16, 24)])

        strengths = page.run(
            "[...document.querySelectorAll('td.heat:nth-child(6)')]"
            ".map(cell => Number(cell.style.getPropertyValue('--strength')))"
        )

        assert strengths == sorted(strengths)
        assert strengths[-1] == 1

    def test_long_lists_are_shown_a_part_at_a_time(self, show: Show) -> None:
        page = show([row(f"org/m{number:04d}") for number in range(450)])
        assert len(repos(page)) == 200

        page.click("document.getElementById('more')")
        page.click("document.getElementById('more')")

        assert len(repos(page)) == 450
        assert page.run("document.getElementById('more').hidden")

    def test_on_a_phone_the_table_scrolls_and_the_page_does_not(self, show: Show) -> None:
        page = show(USUAL, width=390, height=844)

        assert page.run("document.documentElement.scrollWidth") == 390
        assert page.run("document.documentElement.scrollHeight") == 844
        shown = "document.querySelector('td.heat').getBoundingClientRect()"
        assert page.run(f"{shown}.right") <= 390, "a verdict is seen without scrolling"
        assert page.run("getComputedStyle(document.querySelector('td')).position") == "sticky"

    def test_the_dark_is_dark(self, show: Show) -> None:
        def brightness(page: Page) -> int:
            colour = page.run("getComputedStyle(document.body).backgroundColor")
            return sum(map(int, re.findall(r"\d+", colour)[:3]))

        assert brightness(show(USUAL)) > 600
        assert brightness(show(USUAL, dark=True)) < 150

    def test_a_repo_is_a_link_only_if_its_name_is_one(self, show: Show) -> None:
        page = show([row("org/name"), row("javascript:window.struck=1"), row("./folder")])

        links = page.run("[...document.querySelectorAll('td a')].map(link => link.href)")

        assert links == ["https://huggingface.co/org/name"]
