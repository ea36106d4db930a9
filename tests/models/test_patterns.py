"""Each way that layers alternate, on configs of a few keys."""

from typing import Any

import pytest
from hubmem.errors import MalformedConfig
from hubmem.models import patterns
from hubmem.models.config import Config
from hubmem.models.patterns import CHUNKED, FULL, INDEXED, LINEAR, SLIDING, Pattern, layer_kinds

NAMES = {"full_attention": "F", "sliding_attention": "S", "chunked_attention": "C"}


def _letters(pattern: Pattern, count: int, **config: Any) -> str | None:
    kinds = pattern(Config(config), count)
    return None if kinds is None else "".join(NAMES.get(kind, kind) for kind in kinds)


F_S = patterns.cycle("F", "S")
UNSAID = patterns.listed("missing", "F", "S")


@pytest.mark.parametrize(
    ("pattern", "config", "five_layers"),
    [
        (patterns.by_window, {"sliding_window": 8, "attention_chunk_size": 8}, "SSSSS"),
        (patterns.by_window, {"attention_chunk_size": 8}, "CCCCC"),
        (patterns.by_window, {}, "FFFFF"),
        (patterns.all_of("M"), {}, "MMMMM"),
        (patterns.every(2, "F", "S"), {}, "SFSFS"),
        (patterns.every(2, "F", "S", first=0), {}, "FSFSF"),
        (patterns.every("period", "F", "S", first="offset"), {"period": 3, "offset": 1}, "SFSSF"),
        (F_S, {}, "FSFSF"),
        (patterns.with_last("M", F_S), {}, "FSFSM"),
        (patterns.with_first(2, "M", F_S), {}, "MMFSF"),
        (patterns.with_first(7, "M", F_S), {}, "MMMMM"),
        (patterns.after(("M", "N"), F_S), {}, "MNFSF"),
        (patterns.after(("M",) * 7, F_S), {}, "MMMMM"),
        (patterns.backwards(patterns.cycle("F", "F", "S")), {}, "FFSFF"),
        (patterns.backwards(patterns.cycle("M", "F", "F", "S")), {}, "MSFFM"),
        (patterns.if_set("key", F_S), {"key": True}, "FSFSF"),
        (patterns.if_set("key", F_S), {"key": 4}, "FSFSF"),
        (patterns.if_set("key", F_S), {"key": False}, "FFFFF"),
        (patterns.if_set("key", F_S, "M"), {}, "MMMMM"),
        (patterns.beyond_max_window_layers, {"max_window_layers": 3}, "FFFSS"),
        (patterns.until("end", F_S, "M"), {"end": 2}, "FSMMM"),
        (patterns.until("end", F_S, "M"), {"end": 5}, "FSFSF"),
        (patterns.restarted_after("number", F_S, patterns.cycle("M", "N")), {"number": 3}, "FSFMN"),
        (patterns.restarted_after("number", F_S, patterns.cycle("M", "N")), {"number": 9}, "FSFSF"),
        (patterns.listed("numbers", "F", "S"), {"numbers": [0, 4]}, "FSSSF"),
        (patterns.listed("numbers", "F", "S", base=1), {"numbers": [1, 5]}, "FSSSF"),
        (patterns.at((1, 2), "F", "S"), {}, "SFFSS"),
        (patterns.spelled("letters", {"*": "F", "M": "S"}), {"letters": "*M*MM"}, "FSFSS"),
        (patterns.spelled("flags", {0: "F", 1: "S"}, repeated=True), {"flags": [0, 1, 1]}, "FSSFS"),
        (patterns.spelled("flags", {0: "F", 1: "S"}), {"flags": [0, 1, 1, 0, 0, 1]}, "FSSFF"),
        (patterns.inside("text", patterns.listed("numbers", "F", "S")), {"text": {"numbers": [2]}}, "SSFSS"),
        (patterns.either(UNSAID, F_S, patterns.all_of("M")), {}, "FSFSF"),
    ],
)
def test_layers_alternate(pattern: Pattern, config: dict[str, Any], five_layers: str) -> None:
    assert _letters(pattern, 5, **config) == five_layers


@pytest.mark.parametrize(
    "pattern",
    [
        UNSAID,
        patterns.spelled("missing", {}),
        patterns.inside("missing", F_S),
        patterns.either(UNSAID, UNSAID),
        patterns.with_last("M", UNSAID),
        patterns.with_first(2, "M", UNSAID),
        patterns.after(("M",), UNSAID),
        patterns.backwards(UNSAID),
        patterns.until("end", UNSAID, "M"),
        patterns.restarted_after("end", UNSAID, F_S),
        patterns.restarted_after("end", F_S, UNSAID),
    ],
)
def test_a_pattern_whose_key_is_missing_is_unknown_and_so_is_what_is_made_of_it(pattern: Pattern) -> None:
    assert _letters(pattern, 5, end=2) is None


def test_a_letter_without_a_meaning_is_refused_by_its_key() -> None:
    with pytest.raises(MalformedConfig, match=r"letters.*unknown kind of layer 'X'"):
        _letters(patterns.spelled("letters", {"M": "S"}), 2, letters="MX")


def test_an_entry_that_can_mean_nothing_is_refused_by_its_key() -> None:
    with pytest.raises(MalformedConfig, match=r"unknown kind of layer \[\]"):
        _letters(patterns.spelled("letters", {"M": "S"}), 2, letters=["M", []])


def test_fewer_entries_than_layers_are_refused() -> None:
    with pytest.raises(MalformedConfig, match="has 2 entries, but there are 3 layers"):
        _letters(patterns.spelled("letters", {"M": "S"}), 3, letters="MM")


def test_the_list_of_the_config_goes_before_the_pattern_of_its_class() -> None:
    listed = [SLIDING, FULL]
    assert list(layer_kinds(Config({"layer_types": listed}), 2, patterns.all_of(CHUNKED))) == listed


def test_older_names_of_kinds_mean_the_newer_ones() -> None:
    older = ["mamba", "attention", "deepseek_sparse_attention", "qwen_sparse_attention"]
    kinds = layer_kinds(Config({"layer_types": older}), 4, UNSAID)
    assert list(kinds) == [LINEAR, FULL, INDEXED, INDEXED]


@pytest.mark.parametrize("key", ["num_nextn_predict_layers", "num_mtp_layers"])
def test_kinds_of_draft_layers_may_follow_those_of_the_model(key: str) -> None:
    config = Config({"layer_types": [FULL, FULL, SLIDING], key: 1})
    assert list(layer_kinds(config, 2, UNSAID)) == [FULL, FULL]
    assert list(layer_kinds(config, 3, UNSAID)) == [FULL, FULL, SLIDING]


@pytest.mark.parametrize("count", [1, 3])
def test_a_list_of_another_length_is_refused_with_both_numbers(count: int) -> None:
    with pytest.raises(MalformedConfig, match=f"lists 2 layers, but num_hidden_layers is {count}"):
        layer_kinds(Config({"layer_types": [FULL, FULL]}), count, UNSAID)


def test_a_config_that_does_not_say_its_kinds_is_refused() -> None:
    with pytest.raises(MalformedConfig, match="does not say of what kind each layer is"):
        layer_kinds(Config({}), 2, UNSAID)
