"""What stands in where the Hub cannot be read."""

import pytest
from hubmem.errors import GatedRepo, HubUnreachable
from hubmem.hub import bundled
from hubmem.hub.opening import Access, open_model
from hubmem.snapshot import take_snapshot
from hubmem.weights.layout import Selection

from tests.hub_server import HubServer
from tests.hub_server.examples import SMALL

GPT2 = "openai-community/gpt2"


@pytest.fixture
def unreachable(monkeypatch, retries_at_once):
    with HubServer() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)


@pytest.mark.usefixtures("unreachable")
class TestWithoutTheHub:
    def test_a_bundled_repo_is_answered_and_says_so(self):
        snapshot = take_snapshot(open_model(GPT2, Access()))

        assert snapshot.listing.origin.value == "bundled"
        assert snapshot.census.basis == "bundled"
        assert snapshot.census.parameters == 124_439_808
        assert "bundled with hubmem" in snapshot.stands_in

    def test_no_bundled_turns_it_off(self):
        with pytest.raises(HubUnreachable):
            take_snapshot(open_model(GPT2, Access(bundled=False)))

    def test_a_repo_that_is_not_bundled_is_an_error(self):
        with pytest.raises(HubUnreachable):
            take_snapshot(open_model("org/small", Access()))

    def test_files_that_are_picked_have_no_stand_in(self):
        """A bundled snapshot is of the files that loaders take."""
        with pytest.raises(HubUnreachable):
            take_snapshot(open_model(GPT2, Access()), Selection(variant="fp16"))

    def test_offline_is_answered_too(self):
        assert take_snapshot(open_model(GPT2, Access(offline=True))).listing.origin.value == "bundled"


class TestGated:
    @pytest.fixture(autouse=True)
    def gated(self, connect):
        connect({**SMALL, "repo": "meta-llama/Llama-3.2-1B", "gated": "manual"})

    def test_a_user_without_access_gets_the_bundled_answer_checked_against_the_public_count(self):
        snapshot = take_snapshot(open_model("meta-llama/Llama-3.2-1B", Access()))

        assert snapshot.listing.origin.value == "bundled"
        assert "gated" in snapshot.stands_in
        assert any("The Hub counts 2,832 elements" in note for note in snapshot.notes)

    def test_without_bundled_snapshots_the_gate_is_an_error(self):
        with pytest.raises(GatedRepo):
            take_snapshot(open_model("meta-llama/Llama-3.2-1B", Access(bundled=False)))


@pytest.mark.parametrize("repo", bundled.repos())
def test_every_bundled_snapshot_is_readable(repo):
    snapshot = take_snapshot(open_model(repo.upper(), Access(offline=True)))

    assert snapshot.listing.repo == repo
    assert snapshot.census.parameters > 0
    assert snapshot.config is not None
