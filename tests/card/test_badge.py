"""The badge: where a model fits with the least memory in all, as shields.io draws it."""

import pytest
from hubmem.card.badge import Badge, badge_of

from tests.render.reports import report


@pytest.mark.parametrize(
    ("gpus", "message"),
    [
        (["24GiB", "16GiB"], "just fits 1× 16 GiB in BF16"),
        (["24GiB", "L4"], "fits 1× L4 in BF16"),
        (["H200", "RTX-4090"], "fits 1× RTX 4090 in BF16"),
        (["2x24GiB"], "fits 2× 24 GiB in BF16"),
        (["1GiB", "2GiB"], "does not fit 1 GiB, 2 GiB"),
    ],
    ids=str,
)
def test_it_names_the_smallest_place(gpus, message):
    badge = badge_of(report(*gpus))

    assert f"{badge.label} {badge.message}" == message


@pytest.mark.parametrize(
    ("gpu", "colour"), [("24GiB", "brightgreen"), ("17GiB", "yellow"), ("1GiB", "red")], ids=str
)
def test_its_colour_is_the_answer(gpu, colour):
    assert badge_of(report(gpu)).colour == colour


def test_a_model_of_unknown_layers_gets_no_promise():
    badge = badge_of(report(known=False))

    assert badge.label == "weights"
    assert badge.colour == "lightgrey"


def test_what_shields_io_takes_for_a_separator_is_doubled():
    text = Badge(label="a-b", message="c_d e/f?", colour="red").to_markdown()

    assert text == "![a-b c_d e/f?](https://img.shields.io/badge/a--b-c__d%20e%2Ff%3F-red)"
