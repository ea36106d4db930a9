"""Of a small file that is not what it should be, the file is named and what it holds."""

import pytest
from hubmem import json_text
from hubmem.errors import MalformedConfig


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ('{"a": 1', "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "expected object, got list"),
        ("null", "expected object, got null"),
        ("NaN", "expected object, got number"),
        ("true", "expected object, got true or false"),
    ],
)
def test_what_is_no_object_is_refused_by_the_name_of_its_file(text: str, message: str) -> None:
    with pytest.raises(MalformedConfig, match=rf"^unet/config\.json: {message}"):
        json_text.parse(text, "unet/config.json", dict)


def test_what_was_asked_for_is_handed_on() -> None:
    assert json_text.parse('{"a": [1]}', "config.json", dict) == {"a": [1]}
    assert json_text.parse("[1]", "modules.json", list) == [1]
