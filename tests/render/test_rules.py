"""Rules of thumb on one screen and in JSON."""

import json

import pytest
from hubmem import inspect
from hubmem.errors import UsageError
from hubmem.memory.rules import RULES
from hubmem.render.formats import render
from hubmem.render.text import Page


@pytest.fixture(scope="module")
def report():
    return inspect("meta-llama/Llama-3.1-8B", offline=True)


def test_each_rule_stands_under_the_exact_answer_to_its_question(report):
    text = render([report], "table", Page(), rules=True)

    assert all(rule.question.label in text for rule in RULES)
    assert all(rule.name in text for rule in RULES)


def test_each_document_is_named_with_its_rules(report):
    text = " ".join(render([report], "table", Page(), rules=True).split())

    assert all(source in text for rule in RULES for source in rule.sources)
    assert "arXiv 2205.05198, section 4.1, equation 1 alpha-beta-layers" in text


def test_it_says_where_a_document_errs_by_its_own_rule(report):
    text = " ".join(render([report], "table", Page(), rules=True).split())

    assert "7 B in float32, says 26.04 GiB, which is 26.08" in text
    assert "70 B in FP8, says 21 GB, which is 84" in text
    assert "two A100 of 80 GB are enough, which have 160" in text
    assert "1 B in int8" not in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_it_keeps_to_the_page(report, width):
    assert max(map(len, render([report], "table", Page(width=width), rules=True).splitlines())) <= width


def test_in_json_the_rules_stand_beside_the_report_when_asked_for(report):
    value = json.loads(render([report], "json", Page(), rules=True))
    first = value["rules"][0]

    assert value["schema"] == "hubmem.report/1"
    assert first["formula"] == "P·b"
    assert first["exact_bytes"] == first["bytes"][0] == 2 * report.census.parameters
    assert first["examples"][0] == {
        "case": "7 B in float32",
        "printed": ["26.04"],
        "right": ["26.08"],
        "unit": "GiB",
        "remark": "and calls GiB “GB”",
    }
    assert "rules" not in json.loads(render([report], "json", Page()))


@pytest.mark.parametrize("output_format", ["csv", "markdown"])
def test_a_format_without_a_place_for_them_is_refused(report, output_format):
    with pytest.raises(UsageError, match="--rules has no"):
        render([report], output_format, Page(), rules=True)
