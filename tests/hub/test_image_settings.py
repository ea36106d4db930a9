"""The settings of a repo's image processor: what they cost, and where they are found."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hubmem import inspect
from hubmem.errors import MalformedConfig
from hubmem.report import Report
from tests.hub_server import HubServer, Repo, repo_from_record
from tests.hub_server.examples import SMALL

Serve = Callable[..., HubServer]

VISION = {"depth": 2, "embed_dim": 16, "hidden_size": 64, "num_heads": 2}
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 32,
}
CONFIG = {"model_type": "qwen2_vl", "text_config": TEXT, "vision_config": VISION}
FEW = {"max_pixels": 100 * 28 * 28}
ASSUMED = "no settings of an image processor were read"


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, retries_at_once: None) -> Callable[..., Report]:
    """Inspect a repo of a server with an image, as a new process would."""

    def ask(hub: HubServer, images: int = 1, **options: Any) -> Report:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        return inspect("org/small", images=images, bundled=False, siblings=False, **options)

    return ask


def seeing(**texts: Mapping[str, Any]) -> Repo:
    files = {f"{name}.json": json.dumps(text) for name, text in texts.items()}
    return repo_from_record({**SMALL, "config": CONFIG, "texts": files})


def tokens(report: Report) -> int:
    assert report.architecture is not None
    assert report.architecture.tower is not None
    return report.architecture.tower.sight.see(1024, 1024).tokens


def settings_read(hub: HubServer) -> list[str]:
    return [entry.path for entry in hub.requests if "processor_config" in entry.path and entry.host == "hub"]


def test_without_images_nothing_is_asked_for_them(serve: Serve, ask: Callable[..., Report]) -> None:
    hub = serve(seeing(preprocessor_config=FEW))
    report = ask(hub, images=0)
    assert report.snapshot.cost.requests == len(hub.requests) == 5
    assert settings_read(hub) == []


def test_with_images_they_are_asked_for_before_the_commit_is_known(
    serve: Serve, ask: Callable[..., Report]
) -> None:
    """As config.json is: nothing waits for them. A file costs a redirect and an answer, none a refusal."""
    hub = serve(seeing(preprocessor_config=FEW))
    report = ask(hub)
    assert tokens(report) == 100
    first_hops = [path for path in settings_read(hub) if path.startswith("/org/small/resolve/")]
    assert sorted(first_hops) == [
        "/org/small/resolve/main/preprocessor_config.json",
        "/org/small/resolve/main/processor_config.json",
    ]
    assert len(hub.requests) == 5 + 2 + 1
    # The file that is not there is not waited for, so that its refusal may come after the count.
    assert report.snapshot.cost.requests in (5 + 2, 5 + 2 + 1)


def test_a_second_run_reads_them_from_the_cache(serve: Serve, ask: Callable[..., Report]) -> None:
    hub = serve(seeing(preprocessor_config=FEW))
    ask(hub)
    hub.clear_log()
    assert tokens(ask(hub)) == 100
    assert len(hub.requests) == 1


def test_after_a_run_without_images_only_they_are_read(serve: Serve, ask: Callable[..., Report]) -> None:
    hub = serve(seeing(preprocessor_config=FEW))
    ask(hub, images=0)
    hub.clear_log()
    assert tokens(ask(hub)) == 100
    assert len(hub.requests) == 1 + 2


def test_a_part_of_the_processors_own_file_comes_first(serve: Serve, ask: Callable[..., Report]) -> None:
    part = {"image_processor": {"max_pixels": 25 * 28 * 28}}
    assert tokens(ask(serve(seeing(preprocessor_config=FEW, processor_config=part)))) == 25


def test_a_processors_file_without_that_part_leaves_the_other(
    serve: Serve, ask: Callable[..., Report]
) -> None:
    assert tokens(ask(serve(seeing(preprocessor_config=FEW, processor_config={"patch_size": 14})))) == 100


def test_a_repo_without_settings_has_those_of_its_family_and_a_note(
    serve: Serve, ask: Callable[..., Report]
) -> None:
    with_settings, without = (ask(serve(repo)) for repo in (seeing(preprocessor_config=FEW), seeing()))
    assert tokens(without) == 37 * 37
    assert any(ASSUMED in note for note in without.notes)
    assert not any(ASSUMED in note for note in with_settings.notes)


def test_offline_an_answer_stored_without_images_still_answers(
    serve: Serve, ask: Callable[..., Report]
) -> None:
    hub = serve(seeing(preprocessor_config=FEW))
    ask(hub, images=0)
    report = ask(hub, offline=True)
    assert tokens(report) == 37 * 37
    assert any(ASSUMED in note for note in report.notes)


def test_a_bundled_snapshot_answers_with_what_its_family_publishes() -> None:
    report = inspect("Qwen/Qwen2.5-VL-7B-Instruct", images=1, offline=True)
    assert tokens(report) == 37 * 37
    assert any(ASSUMED in note for note in report.notes)


def test_settings_that_are_no_object_are_refused_by_name(serve: Serve, ask: Callable[..., Report]) -> None:
    with pytest.raises(MalformedConfig, match="preprocessor_config"):
        ask(serve(seeing(preprocessor_config=[])))  # type: ignore[arg-type]
