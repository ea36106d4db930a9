"""A repo of pickled weights tells of the pull request that has them as safetensors, for one request more."""

import json

import pytest
from hubmem.inspection import inspect
from tests.hub_server import Answer, Fault
from tests.hub_server.examples import SMALL

SAFETENSORS = {**SMALL, "config": {}}
PICKLED = {**SAFETENSORS, "weights": {"format": "pytorch", "files": 1}}
CONVERSION = {
    "num": 4,
    "title": "Adding `safetensors` variant of this model",
    "author": {"name": "SFconvertbot"},
    "isPullRequest": True,
    "status": "open",
}


@pytest.fixture
def ask(connect):
    def ask(answer: object, record: dict = PICKLED):
        """The report, and the requests for discussions, of a Hub that answers them so."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        fault = Fault(Answer(200, {"Content-Type": "application/json"}, body), match="/discussions")
        hub = connect(record, faults=[fault])
        report = inspect("org/small")
        assert report.snapshot.cost.requests == len(hub.requests)
        return report, [entry for entry in hub.requests if entry.path.endswith("/discussions")]

    return ask


def test_the_ref_of_an_open_conversion_is_told(ask):
    report, asked = ask({"discussions": [{**CONVERSION, "num": 3}, CONVERSION], "count": 2})

    assert len(asked) == 1
    assert any("hubmem org/small@refs/pr/4 reads it" in note for note in report.notes)


@pytest.mark.parametrize(
    "answer",
    [
        {"discussions": []},
        {"discussions": [{**CONVERSION, "author": {"name": "somebody"}}]},
        {"discussions": [{**CONVERSION, "status": "closed"}]},
        {"discussions": [{**CONVERSION, "isPullRequest": False}]},
        {"discussions": [{**CONVERSION, "title": "Add safetensors"}]},
        {"discussions": [{**CONVERSION, "num": "4\x1b[2J"}, None]},
        {"discussions": None},
        [],
        b"no JSON",
        b"[" * 100_000,
    ],
)
def test_nothing_else_is_taken_for_one(ask, answer):
    report, asked = ask(answer)

    assert len(asked) == 1
    assert not any("refs/pr" in note for note in report.notes)


def test_safetensors_are_not_asked_about(ask):
    _, asked = ask({"discussions": [CONVERSION]}, SAFETENSORS)

    assert asked == []
