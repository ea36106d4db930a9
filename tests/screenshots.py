"""The pictures in the README, drawn from what commands print; `python -m tests.screenshots` draws them anew.

Each is a terminal as an SVG: text that can be searched and read aloud, dark in light pages and dark ones; but
the page of a scan is a photograph, for which Chromium must be installed.
"""

import base64
import html
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hubmem.cli import main

from tests.hub_server import HubServer
from tests.render.browser import CHROMIUM, open_page
from tests.walks.terminal import Terminal
from tests.weights.records import RECORDS

IMAGES = Path(__file__).parents[1] / ".github" / "images"
SCREENSHOTS = {
    "report": "hubmem Qwen/Qwen3-32B --gpu RTX-4090",
    "explain": "hubmem meta-llama/Llama-3.1-8B --explain",
    "card": "hubmem card README.md --insert --check --gpu RTX-4090",
}
_MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "meta-llama/Llama-3.1-8B")
_CARD = "---\nbase_model: Qwen/Qwen3-8B\n---\n\n# Tidy-8B\n\nIt answers in tidy paragraphs.\n"
_COLUMNS = 100
PAGE = IMAGES / "page.png"
PAGE_WIDTH, _PAGE_HEIGHT = 1200, 560
_SCANNED = [
    "Qwen/Qwen3-0.6B",
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-32B",
    "Qwen/QwQ-32B",
    "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-3.1-70B",
    "meta-llama/Llama-3.1-405B",
    "mistralai/Mixtral-8x7B-v0.1",
    "google/gemma-7b",
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
    "deepseek-ai/DeepSeek-V3",
]
_SCANNED_FOR = ["--gpu=RTX-4090", "--gpu=L40S", "--gpu=A100-80GB", "--gpu=2xH100-80GB", "--gpu=8xH200"]
# Seconds differ from run to run.
_SECONDS = re.compile(r" · \d+\.\d s(?=\x1b|$)", re.MULTILINE)

_CHARACTER, _LINE, _MARGIN = 8.4, 18, 16
_STYLE = """\
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #e6edf3; white-space: pre; }
  .sgr1 { font-weight: bold; } .sgr2 { fill: #8b949e; }
  .sgr31 { fill: #ff7b72; } .sgr32 { fill: #3fb950; } .sgr33 { fill: #d29922; }"""
_PAINTED = re.compile(r"\x1b\[(?P<code>\d+)m(?P<text>.*?)\x1b\[0m")


def printed(name: str) -> str:
    """What a command prints on a terminal, its colours in it, with a Hub and a card to be about."""
    with (
        tempfile.TemporaryDirectory() as folder,
        HubServer([{**RECORDS[model], "gated": False} for model in _MODELS]) as hub,
    ):
        home = Path(folder)
        (home / "README.md").write_text(_CARD)
        screen = Terminal(home, {"HF_ENDPOINT": hub.endpoint}, _COLUMNS).type(SCREENSHOTS[name])
    lines = (line.split("\r")[-1].removeprefix("\x1b[K") for line in screen.raw.splitlines())
    return _SECONDS.sub("", "\n".join(lines))


def drawn(command: str, output: str) -> str:
    """A terminal with a command and its output."""
    lines = [f"\x1b[2m$ {command}\x1b[0m", *(part for line in output.splitlines() for part in _broken(line))]
    width = _COLUMNS * _CHARACTER + 2 * _MARGIN
    height = len(lines) * _LINE + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" role="img">',
            f"<title>{html.escape(command)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f'<rect width="{width:g}" height="{height}" rx="8" fill="#0d1117"/>',
            *(_text(line, number) for number, line in enumerate(lines, start=1) if line.strip()),
            "</svg>\n",
        ]
    )


def _broken(line: str) -> Iterator[str]:
    """A line as a terminal breaks it; one with colours is made for the terminal's width."""
    if "\x1b" in line:
        yield line
        return
    for start in range(0, len(line) or 1, _COLUMNS):
        yield line[start : start + _COLUMNS]


def _text(line: str, number: int) -> str:
    """A line as wide as its characters, whatever the font makes of the rarer ones."""
    characters = len(_PAINTED.sub(lambda painted: painted["text"], line))
    y = _MARGIN + number * _LINE - 4
    spans = "".join(_spans(line))
    return f'<text x="{_MARGIN}" y="{y}" textLength="{characters * _CHARACTER:g}">{spans}</text>'


def _spans(line: str) -> Iterator[str]:
    end = 0
    for painted in _PAINTED.finditer(line):
        yield html.escape(line[end : painted.start()])
        yield f'<tspan class="sgr{painted["code"]}">{html.escape(painted["text"])}</tspan>'
        end = painted.end()
    yield html.escape(line[end:])


def photographed() -> bytes:
    """The page of a scan in a browser, as a PNG."""
    with tempfile.TemporaryDirectory() as folder, open_page() as page:
        path = Path(folder) / "page.html"
        assert main(["scan", *_SCANNED, *_SCANNED_FOR, "--offline", "--format", "html", "-o", str(path)]) == 0
        page.open(path, width=PAGE_WIDTH, height=_PAGE_HEIGHT)
        return base64.b64decode(page.send("Page.captureScreenshot", format="png")["data"])


def draw_all() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    if CHROMIUM:
        PAGE.write_bytes(photographed())
    for name, command in SCREENSHOTS.items():
        (IMAGES / f"{name}.svg").write_text(drawn(command, printed(name)), encoding="utf-8")


if __name__ == "__main__":
    draw_all()
