"""The Action in its three modes: what it does to cards, what it tells the runner, and how the job ends."""

import re

import pytest
from hubmem.card.action import result as results

from tests.card.action.job import NAMED, Job
from tests.hub_server import Fault, HubServer, Repo, Reset, files_of
from tests.hub_server.blobs import Blob
from tests.hub_server.examples import ELEMENTS, LARGER_LLAMA, LLAMA

pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture
def hub(connect, retries_at_once) -> HubServer:
    server: HubServer = connect(LLAMA, Repo("org/gated", files_of(LLAMA), gated="manual"))
    return server


@pytest.fixture
def job(tmp_path) -> Job:
    return Job.begin(tmp_path)


class TestCheck:
    def test_a_fresh_card_fails_and_is_left_alone(self, job, capsys):
        card = job.card(NAMED)

        assert job.run() == 1
        assert card.read_text() == NAMED
        assert job.outputs["changed"] == "true"
        assert "❌ out of date" in job.summary
        out = capsys.readouterr().out
        assert "::error file=README.md,line=3,title=hubmem::The memory section is out of date" in out
        assert "+## Memory" in out

    def test_a_card_that_is_up_to_date_passes(self, job, capsys):
        job.card(NAMED)
        job.run(mode="update")

        assert job.run() == 0
        assert job.outputs["changed"] == "false"
        assert "::error" not in capsys.readouterr().out

    def test_a_card_without_markers_is_out_of_date(self, job):
        job.card("# Title\n")

        assert job.run(repo="org/small") == 1

    def test_a_card_without_a_model_is_skipped_by_name(self, job):
        job.card("# Title\n")

        assert job.run() == 0
        assert "➖ skipped: it names no model." in job.summary

    def test_no_card_at_all_is_an_error(self, job, capsys):
        assert job.run(cards="*.md, docs/**/*.md") == 2
        assert "No card matches *.md, docs/**/*.md. Is the repository checked out?" in capsys.readouterr().out

    def test_a_card_that_cannot_be_understood_is_an_error_on_its_line(self, job, capsys):
        job.card("# Title\n<!-- hubmem:end -->\n")

        assert job.run() == 2
        assert (
            "::error file=README.md,line=2,title=hubmem::line 2: hubmem:end before" in capsys.readouterr().out
        )

    def test_invalid_front_matter_is_a_warning_where_the_model_is_known(self, job, capsys):
        job.card("---\na: [\n---\n" + NAMED)

        job.run(mode="update")

        assert (
            "::warning file=README.md,line=1,title=hubmem::line 3: the front matter"
            in capsys.readouterr().out
        )


class TestUpdate:
    def test_a_card_is_written(self, job):
        card = job.card("# Title\n\nText.\n")

        assert job.run(repo="org/small", gpus="8GiB", mode="update") == 0
        assert card.read_text().startswith(
            '# Title\n\n<!-- hubmem:start repo="org/small" gpus="8GiB" -->\n\n## Memory\n'
        )
        assert job.outputs["changed"] == "true"
        assert "✏️ written" in job.summary

    def test_a_second_update_changes_nothing(self, job):
        card = job.card(NAMED)
        job.run(mode="update")
        written = card.read_bytes()

        assert job.run(mode="update") == 0
        assert card.read_bytes() == written
        assert job.outputs["changed"] == "false"

    def test_the_hub_is_down(self, job, hub):
        card = job.card(NAMED)
        job.run(mode="update")
        card.write_text(card.read_text().replace("## Memory", "## Old"))
        before = card.read_bytes()
        hub.faults = [Fault(Reset())]

        assert job.run(mode="update") == 4
        assert card.read_bytes() == before
        assert "⚠️ failed: The Hub could not be" in job.summary


class TestReport:
    def test_an_old_section_is_no_error(self, job, capsys):
        card = job.card(NAMED)

        assert job.run(mode="report") == 0
        assert card.read_text() == NAMED
        assert "::error" not in capsys.readouterr().out
        assert f"{ELEMENTS['BF16']:,} parameters" in job.summary

    def test_nor_is_a_model_that_cannot_be_read(self, job, capsys):
        job.card(NAMED.replace("org/small", "org/gated"))

        assert job.run(mode="report") == 0
        assert "::warning file=README.md" in capsys.readouterr().out

    def test_unless_something_is_required_of_it(self, job):
        job.card(NAMED.replace("org/small", "org/gated"))

        assert job.run(mode="report", require="fits: 8GiB") == 3


class TestRequire:
    @pytest.mark.parametrize("mode", ["update", "report"])
    def test_a_model_that_fits_passes(self, job, mode):
        job.card(NAMED)

        assert job.run(mode=mode, require="fits: 8GiB, dtype: int4, context: 2k\nfits: 2x8GiB, batch: 2") == 0
        assert job.outputs["verdict"] == "fits"
        assert job.summary.count("✅ fits") == 2

    @pytest.mark.parametrize("mode", ["check", "update", "report"])
    def test_one_that_does_not_fails_the_job_and_says_why(self, job, capsys, mode):
        job.card(NAMED)

        assert job.run(mode=mode, require="fits: 8GiB\nfits: 100MiB") == 1
        assert job.outputs["verdict"] == "no"
        assert "❌ does not fit" in job.summary
        assert re.search(
            r"::error title=hubmem::org/small does not meet `fits: 100MiB`: \S+ MiB short on 1× 100 MiB",
            capsys.readouterr().out,
        )

    def test_one_that_cannot_be_split_so_does_not_fit(self, job):
        """Four heads and twenty layers over 101 devices: the model has no such plan."""
        job.card(NAMED)

        assert job.run(mode="report", require="fits: 101x8GiB") == 1
        assert job.json["requirements"][0]["verdict"] == "no"
        assert job.json["requirements"][0]["reason"]

    def test_nothing_to_hold_against_it_is_an_error(self, job, capsys):
        job.card("# Title\n")

        assert job.run(require="fits: 8GiB") == 1
        assert "::error title=hubmem::Nothing was held against what is required." in capsys.readouterr().out

    def test_without_requirements_the_verdict_is_about_the_gpus(self, job):
        job.card(NAMED)

        job.run(mode="report", gpus="8GiB, 100MiB")
        assert job.outputs["verdict"] == "no"
        job.run(mode="report", gpus="8GiB")
        assert job.outputs["verdict"] == "fits"
        job.run(mode="report")
        assert job.outputs["verdict"] == ""


class TestForks:
    """Their jobs have no secrets, so that a gated model cannot be read, and a token that only reads."""

    @pytest.fixture(autouse=True)
    def from_a_fork(self, job):
        job.pull_request("0" * 40, head="someone/project", api="http://127.0.0.1:1")

    def test_a_gated_model_is_a_warning(self, job, capsys):
        job.card(NAMED.replace("org/small", "org/gated"))

        assert job.run(require="fits: 8GiB") == 0
        out = capsys.readouterr().out
        assert "::warning file=README.md" in out
        assert "::error" not in out

    def test_no_comment_is_tried(self, job, capsys):
        job.card(NAMED)

        assert job.run(token="ghs_x", mode="report") == 0
        assert "No comment" not in capsys.readouterr().out

    def test_an_old_section_still_fails(self, job):
        job.card(NAMED)

        assert job.run() == 1

    def test_the_branch_of_a_deleted_fork_is_one_too(self, job):
        job.pull_request("0" * 40, head="", api="http://127.0.0.1:1")
        job.card(NAMED.replace("org/small", "org/gated"))

        assert job.run() == 0


class TestPullRequests:
    def test_another_model_shows_what_it_changes(self, job, hub):
        hub.add({**LARGER_LLAMA, "repo": "org/larger"})
        job.card(NAMED)
        base = job.commit()
        job.card(NAMED.replace("org/small", "org/larger"))
        job.pull_request(base)

        job.run(mode="report")

        assert "### What this pull request changes for README.md" in job.summary
        assert re.search(r"\| parameters +\| +2,816 \| +2,880 \| +\+64 \(\+2.3%\) \|", job.summary)
        assert job.json["changes"][0]["card"] == "README.md"
        assert job.json["changes"][0]["schema"] == "hubmem.diff/1"

    def test_other_weights_behind_a_pointer_show_what_they_change(self, job, hub):
        path = "model.safetensors"
        old, new = (files_of(record) for record in (LLAMA, LARGER_LLAMA))
        hub.repo("org/small").push({**new, "old.safetensors": old[path]})
        job.card(new["config.json"].decode(), "config.json")
        job.card(NAMED)
        job.card(Blob.of(path, old[path]).pointer.decode(), path)
        base = job.commit()
        job.card(Blob.of(path, new[path]).pointer.decode(), path)
        job.pull_request(base)

        job.run(mode="report")

        assert "+64 (+2.3%)" in job.summary

    @pytest.mark.parametrize("before", [NAMED, "# Another card\n", "<!-- hubmem:end -->\n", None], ids=str)
    def test_nothing_to_compare_is_no_error(self, job, before):
        if before:
            job.card(before)
        base = job.commit()
        job.card(NAMED)
        job.pull_request(base)

        assert job.run(mode="report") == 0
        assert "What this pull request changes" not in job.summary

    def test_a_base_that_is_nowhere_is_no_error(self, job):
        job.card(NAMED)
        job.pull_request("0" * 40)

        assert job.run(mode="report") == 0

    @pytest.mark.parametrize(
        "event", ["", "[]", "{}", '{"pull_request": {"number": "x"}}', '{"pull_request": null}'], ids=repr
    )
    def test_an_event_of_another_form_is_no_pull_request(self, job, event):
        job.pull_request("--upload-pack=touch")
        if event:
            (job.files / "event.json").write_text(event)
        job.card(NAMED)

        assert job.run(mode="report") == 0


class TestTheWorkspace:
    def test_patterns_may_not_leave_it(self, job, capsys):
        for pattern in ("../*.md", "/etc/*"):
            assert job.run(cards=pattern) == 2
        assert capsys.readouterr().out.count("leads out of the workspace") == 2

    def test_neither_may_links(self, job, tmp_path, capsys):
        outside = tmp_path / "outside.md"
        outside.write_text(NAMED)
        (job.workspace / "README.md").symlink_to(outside)

        assert job.run(mode="update") == 2
        assert "a link that leads out of the workspace" in capsys.readouterr().out
        assert outside.read_text() == NAMED

    def test_several_patterns_find_each_card_once(self, job):
        for name in ("README.md", "docs/README.md", "docs/deep/card.md", "node_modules/x/README.md"):
            job.card(NAMED, name)

        job.run(cards="**/README.md\ndocs/**/*.md, README.md", mode="report")

        assert [card["card"] for card in job.json["cards"]] == [
            "README.md",
            "docs/README.md",
            "docs/deep/card.md",
        ]


class TestInputs:
    @pytest.mark.parametrize(
        ("inputs", "says"),
        [
            ({"mode": "fix"}, "Unknown mode 'fix'. Known: check, update, report."),
            ({"repo": "a b"}, "'a b' is neither a repo id nor a folder."),
            ({"gpus": "L5"}, "Unknown GPU 'L5'."),
            ({"context": "long"}, "'long' is not a number of tokens"),
            ({"train": "all"}, "Unknown kind of fine-tuning 'all'."),
            ({"require": "RTX-4090"}, "'RTX-4090' is not a name and a value."),
            ({"require": "fits:"}, "'fits:' is not a name and a value."),
            ({"require": "dtype: int4"}, "A requirement must say what the model fits."),
            ({"require": "fits: L4, colour: red"}, "Unknown word 'colour' in a requirement."),
            ({"require": "fits: L4, dtype: int5"}, "Unknown precision 'int5'."),
            ({"require": "fits: L4, batch: few"}, "'few' is not a number of tokens"),
        ],
        ids=str,
    )
    def test_one_that_means_nothing_is_an_error_before_anything_is_asked(
        self, job, hub, capsys, inputs, says
    ):
        job.card(NAMED)

        assert job.run(**inputs) == 2
        assert f"::error title=hubmem::{says}" in capsys.readouterr().out
        assert not hub.requests

    def test_empty_ones_count_as_none(self, job):
        job.card(NAMED)

        assert job.run(cards="", repo="", gpus="", context="", train="", mode="", require="", token="") == 1


class TestJson:
    def test_it_has_the_reports(self, job):
        job.card(NAMED)
        job.run(mode="report", require="fits: 8GiB")

        value = job.json
        assert list(value) == ["mode", "verdict", "changed", "cards", "requirements", "changes"]
        assert value["cards"][0]["reports"][0]["schema"] == "hubmem.report/1"
        assert value["cards"][0]["state"] == "out of date"
        assert value["requirements"] == [
            {"model": "org/small", "requirement": "fits: 8GiB", "verdict": "fits", "reason": ""}
        ]

    def test_it_goes_without_them_where_github_would_not_take_it(self, job, monkeypatch):
        job.card(NAMED)
        monkeypatch.setattr(results, "_LARGEST_JSON", 1000)
        job.run(mode="report")

        assert job.json["cards"][0]["reports"] == []
        assert job.json["cards"][0]["models"] == ["org/small"]
