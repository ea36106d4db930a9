"""The screen a user sees."""

import pytest
from hubmem.render.formats import render
from hubmem.render.text import Page, plain, shorten
from tests.render.reports import report

GOLDEN = """\
org/model · 8f2c1d4 · gated                                         hub · 4 requests · 17 kB · 0.4 s
BF16 · 1 safetensors file · 486.02 MiB
llama · 2 layers · hidden 4,096 · 32 heads / 8 KV heads × 128 · MLP 11,008 · vocabulary 32,000
context 4,096

254,808,064 parameters
  embedding 51.4%   mlp 35.4%   attention 13.2%
  stored elements: 254,803,968 BF16, 4,096 F32, 256 U8; 256 of them buffers

Inference · transformers · BF16 · batch 1 · 8,192 tokens                               GiB
  weights       7 tensors as stored                                                  14.00  measured
  KV cache      2 layers × 2 × 8 × 128 × 2 B = 8 KiB a token × 8,192                  1.00  derived
  activations   e·T·(4h + 3f)                                                         0.50  derived
  driver state  driver context                                                        0.50  assumed
  total on one device                                                                16.00

Fits?      usable GiB  BF16      longest context
24 GiB          24.00  1×        4k
16 GiB          16.00  1× tight  4k
1×, 2×: GPUs needed.
tight: expected to fit, but not in the worst case, which counts what PyTorch's allocator reserved in
  simulated runs, and CUDA contexts seen on A100, RTX 4090 and V100.

On 1× 24 GiB it fits: 16.00 of 24.00 GiB, 18.05 in the worst case.
Its limits: 4k tokens, the model's own limit, at batch 1 · batch 65,536 at 8k tokens.

On 1× 16 GiB it is tight: 16.00 of 16.00 GiB, 18.05 in the worst case.
Its limits: 4k tokens, the model's own limit, at batch 1 · batch 65,536 at 8k tokens.

Host: 15 GiB of disk, at least 2 min to download at 1 Gbit/s; 4 GiB of RAM to load.
"""


def table(*gpus: str, page: Page = Page(), explain: bool = False, **options) -> str:
    return render([report(*gpus, **options)], "table", page, explain=explain)


def test_the_whole_screen():
    assert table() == GOLDEN


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_no_line_is_wider_than_the_page(width):
    text = table("8GiB", page=Page(width=width), notes=("A long note about what is unusual here. " * 5,))

    plan_and_matrix = [line for line in text.splitlines() if not line.startswith(("Fits?", "8 GiB"))]
    assert max(map(len, plan_and_matrix)) <= width


def test_the_plan_is_that_of_each_gpu_where_one_kind_and_a_number_is_named():
    divided = table("2x24GiB")
    assert "total on each of 2 devices (TP2)" in divided
    assert "\n2× 24 GiB" in divided
    assert "total on one device" in table("2x24GiB", "24GiB")


def test_precisions_that_make_the_weights_no_smaller_have_no_column():
    """Of this model's weights as much is planned in every precision."""
    assert "FP8" not in table()


def test_colour_is_only_what_the_page_allows():
    assert "\x1b" not in table()
    coloured = table(page=Page(colour=True))
    assert "\x1b[32m1×" in coloured
    assert "\x1b[33m1× tight" in coloured


def test_a_no_says_what_is_missing_and_what_would_help():
    text = table("12GiB")

    assert "On 1× 12 GiB it does not fit: 16.00 of 12.00 GiB, 4 GiB short.\nNo change" in text


def test_an_accelerator_nobody_asked_about_gets_no_advice():
    assert "does not fit" not in render([report("12GiB", named=False)], "table", Page())


def test_an_unknown_cache_shows_no_context_column():
    text = table(known=False, notes=("Model type 'x' is not known.",))

    assert "longest context" not in text
    assert "note: Model type 'x' is not known." in text


def test_names_from_a_repo_cannot_move_the_cursor():
    text = table(repo="org/\x1b[2Jevil", notes=("bad\x07bell",))

    assert "\x1b" not in text
    assert "\x07" not in text


def test_explain_accounts_for_every_byte_of_the_total():
    text = table(explain=True)

    assert "At its peak (MLP of one layer), the device holds:" in text
    shown = [
        int(line.split(": ")[1].split(" bytes")[0].replace(",", ""))
        for line in text.splitlines()
        if " bytes (" in line
    ]
    *terms, total = shown
    assert sum(terms) == total == 16 * 2**30
    assert "range: 0.25 to 1.00 GiB" in text
    assert "peaks: prefill 15.50 GiB, decode 15.00 GiB" in text


def test_several_reports_stand_side_by_side():
    text = render([report(repo="org/a"), report(repo="org/b")], "table", Page())

    assert text.splitlines()[0].split() == ["repo", "org/a", "org/b"]
    assert "24 GiB" in text


def test_control_characters_are_dropped():
    assert plain("a\x1b[31mb\x9bc\nd") == "a[31mbcd"


@pytest.mark.parametrize(("text", "width", "short"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("", 0, "")])
def test_what_is_too_wide_ends_in_an_ellipsis(text, width, short):
    assert shorten(text, width) == short
