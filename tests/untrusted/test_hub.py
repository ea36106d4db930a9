"""A Hub, a mirror or a proxy that answers with more than was asked for, or with something else."""

import gzip
import resource

import pytest
from hubmem.cli import main

from tests.hub_server import Answer, Fault, HubServer, files_of
from tests.hub_server.examples import SMALL

# 200 MB in 200 kB.
BOMB = gzip.compress(b"0" * 200_000_000)


@pytest.fixture
def hub(connect, retries_at_once) -> HubServer:
    server: HubServer = connect(SMALL)
    return server


@pytest.mark.parametrize(
    ("limit", "most"),
    [("_LARGEST_LISTING", 100), ("_LARGEST_TEXT", 10)],
)
def test_an_answer_longer_than_such_a_file_is_left_off(hub, monkeypatch, capsys, limit, most):
    monkeypatch.setattr(f"hubmem.hub.remote.{limit}", most)

    assert main(["org/small", "--no-bundled"]) == 3
    assert f"is larger than {most:,} bytes" in capsys.readouterr().err


def test_a_short_answer_that_unpacks_into_a_long_one_is_left_off(hub, capsys):
    hub.faults = [Fault(Answer(200, {"Content-Encoding": "gzip"}, BOMB), match="config.json")]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert main(["org/small", "--no-bundled"]) in (3, 4)
    assert "larger than" in capsys.readouterr().err
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b"\xff\xfe", b'{"siblings": 7}', b'{"siblings": [null], "sha": 1}', b"<html>",
     b'{"id": "../../etc", "sha": "../..", "siblings": [{"rfilename": "../../x"}]}', b"[" * 100_000],
    ids=lambda body: body[:30],
)  # fmt: skip
def test_a_listing_of_another_form_is_no_bug_of_ours(hub, capsys, body):
    hub.faults = [Fault(Answer(200, {}, body), match="/api/models/")]

    assert main(["org/small", "--no-bundled"]) in (3, 4)
    assert "This is a bug" not in capsys.readouterr().err


def test_a_file_of_a_name_that_leads_elsewhere_is_asked_of_its_repo_alone(hub, hf_home):
    """Names in a listing become parts of addresses and of nothing on this disk."""
    rows = {**files_of(SMALL), "../../../escaped/config.json": b"{}", "x/..%2f..%2fy.safetensors": b"{}"}
    hub.repo("org/small").push(rows)

    main(["org/small", "--no-bundled"])

    assert all("escaped" not in line.path for line in hub.requests)
    assert not [path for path in hf_home.parent.rglob("*") if "escaped" in path.name]


def test_a_commit_that_is_no_commit_names_no_file_on_this_disk(hub, hf_home):
    body = b'{"id": "org/small", "sha": "../../../../planted", "siblings": [{"rfilename": "config.json"}]}'
    hub.faults = [Fault(Answer(200, {}, body), match="/api/models/")]

    main(["org/small", "--no-bundled"])

    assert not [path for path in hf_home.parent.rglob("*") if "planted" in path.name]
