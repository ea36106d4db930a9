"""`hubmem card` as a user meets it: what it writes, what it says, and what it leaves alone."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hubmem.card import files
from hubmem.cli import main

from tests import git
from tests.hub_server import Fault, HubServer, Repo, Reset, files_of
from tests.hub_server.examples import LARGER_LLAMA, LLAMA, LLAMA_CONFIG

RECORD = {**LLAMA, "config": {**LLAMA_CONFIG, "max_position_embeddings": 65536}}
OTHER = {**RECORD, "repo": "org/other"}
SECTION = "<!-- hubmem:start -->\n<!-- hubmem:end -->\n"
NAMED = '<!-- hubmem:start repo="org/small" -->\n<!-- hubmem:end -->\n'


pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture
def hub(connect, retries_at_once) -> HubServer:
    private = Repo("org/private", files_of(RECORD), private=True)
    gated = Repo("org/gated", files_of(RECORD), gated="manual")
    server: HubServer = connect(RECORD, OTHER, private, gated)
    return server


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".git").mkdir()
    return folder / "README.md"


def base_model(text: str, body: str = SECTION) -> str:
    return f"---\n{text}\n---\n# Title\n{body}"


class TestWhichModel:
    """The command first, then the card's marker, then the git remote, then the base model."""

    def about(self, card: Path, capsys, *arguments: str) -> str:
        assert main(["card", str(card), *arguments]) == 0
        err = capsys.readouterr().err
        found = re.search(r": about (.*)\.$", err, flags=re.MULTILINE)
        assert found, err
        return found[1]

    def clone(self, card: Path, remote: str) -> None:
        (card.parent / ".git").rmdir()
        git.run(card.parent, "init", "-q")
        git.run(card.parent, "remote", "add", "origin", remote)

    def test_the_front_matter_names_a_base_model(self, card, capsys):
        card.write_text(base_model("base_model: org/small"))

        assert self.about(card, capsys) == "org/small"
        assert (
            "Figures are of the base model org/small, which this model is fine-tuned from."
            in card.read_text()
        )

    def test_a_clone_of_a_hub_repo_is_about_that_repo(self, card, capsys):
        card.write_text(base_model("base_model: org/small"))
        self.clone(card, "https://user:hf_secret@huggingface.co/org/other")

        assert self.about(card, capsys) == "org/other"
        assert "base model" not in card.read_text()

    def test_a_clone_of_a_github_repo_says_nothing(self, card, capsys):
        card.write_text(base_model("base_model: org/small"))
        self.clone(card, "https://github.com/org/other")

        assert self.about(card, capsys) == "org/small"

    def test_the_marker_comes_before_the_remote(self, card, capsys):
        card.write_text("# Title\n" + NAMED)
        self.clone(card, "https://huggingface.co/org/other")

        assert self.about(card, capsys) == "org/small"

    def test_the_command_comes_before_the_marker_and_is_written_into_it(self, card, capsys):
        card.write_text("# Title\n" + NAMED)

        assert (
            self.about(card, capsys, "--repo", "org/other", "--gpu", "L4", "--context", "2k") == "org/other"
        )
        assert '<!-- hubmem:start repo="org/other" gpus="L4" context="2k" -->' in card.read_text()

    @pytest.mark.parametrize(
        ("text", "relation"),
        [
            ("base_model: org/small\nbase_model_relation: quantized", "before the quantization"),
            ("base_model: org/small\nquantized_by: someone", "before the quantization"),
            ("base_model: org/small\ntags: [gguf]", "before the quantization"),
            ("base_model: org/small\nlibrary_name: peft", "which this adapter is loaded onto"),
            ("base_model: org/small\nbase_model_relation: adapter", "which this adapter is loaded onto"),
            ("base_model: org/small\nbase_model_relation: merge", "which this model is merged from"),
            ("base_model: org/small\nbase_model_relation: distilled", "which this model is made from"),
            ("base_model: [org/small, org/small]", "which this model is"),
        ],
    )
    def test_the_relation_to_the_base_model_is_said(self, card, text, relation):
        card.write_text(base_model(text))

        assert main(["card", str(card)]) == 0
        assert f"Figures are of the base model org/small, {relation}" in card.read_text()


class TestSkips:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("# Title\n" + SECTION, "it names no model"),
            ("# Title\n", "it names no model"),
            (base_model("license: mit"), "it names no model"),
            (base_model("base_model:"), "it names no model"),
            (base_model("base_model: [org/a, org/b]"), "it names 2 base models and not which of them"),
            (base_model("base_model: /content/checkpoint-500"), "'/content/checkpoint-500' is not a repo"),
            (base_model("sdk: gradio"), "it is the card of a Space"),
            (base_model("task_categories: [text-generation]"), "it is the card of a dataset"),
            (base_model("base_model: org/small", ""), "it has no hubmem section. --insert puts one"),
        ],
        ids=repr,
    )
    def test_a_card_there_is_nothing_to_do_for_is_named_and_left_alone(self, hub, card, capsys, text, reason):
        card.write_text(text)

        assert main(["card", str(card)]) == 0
        assert reason in capsys.readouterr().err
        assert card.read_text() == text
        assert not hub.requests


class TestCheck:
    def test_an_old_section_exits_1_and_shows_the_diff_on_stdout(self, card, capsys):
        card.write_text("# Title\n" + NAMED)

        assert main(["card", str(card), "--check"]) == 1

        out, err = capsys.readouterr()
        assert out.startswith(f"--- a/{card}\n+++ b/{card}\n@@ -1,3 +1,")
        assert "\n+## Memory\n" in out
        assert "out of date: about org/small" in err
        assert card.read_text() == "# Title\n" + NAMED

    def test_a_new_section_exits_0(self, card, capsys):
        card.write_text("# Title\n" + NAMED)
        main(["card", str(card)])
        capsys.readouterr()

        assert main(["card", str(card), "--check"]) == 0
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(
        ("old", "new"),
        [(r"at \[\w+\]\([^)]*\)", "at [0000000](https://x)"), (r"hubmem 0\S+", "hubmem 0.0.1")],
        ids=["commit", "version"],
    )
    def test_another_commit_or_version_alone_makes_no_section_old(self, card, old, new):
        """Else a card in the repo it is about would be out of date as soon as it was pushed."""
        card.write_text("# Title\n" + NAMED)
        main(["card", str(card)])
        before = re.sub(old, new, card.read_text())
        assert before != card.read_text()
        card.write_text(before)

        assert main(["card", str(card), "--check"]) == 0
        assert main(["card", str(card)]) == 0
        assert card.read_text() == before

    def test_another_number_does(self, card):
        card.write_text("# Title\n" + NAMED)
        main(["card", str(card)])
        card.write_text(card.read_text().replace("parameters**", "parameters** or so"))

        assert main(["card", str(card), "--check"]) == 1

    def test_a_model_that_changed_does(self, hub, card):
        card.write_text("# Title\n" + NAMED)
        main(["card", str(card)])
        hub.repo("org/small").push(files_of({**RECORD, "tensors": LARGER_LLAMA["tensors"]}))

        assert main(["card", str(card), "--check"]) == 1


class TestFailuresLeaveTheCardAlone:
    @pytest.mark.parametrize(
        ("text", "code", "says"),
        [
            ('<!-- hubmem:start repo="org/missing" -->\n<!-- hubmem:end -->\n', 3, "No repo org/missing"),
            ('<!-- hubmem:start repo="org/private" -->\n<!-- hubmem:end -->\n', 3, "org/private"),
            ('<!-- hubmem:start repo="org/gated" -->\n<!-- hubmem:end -->\n', 3, "gated"),
            ("<!-- hubmem:end -->\n", 2, "line 1: hubmem:end before any hubmem:start"),
            (base_model("a: [1"), 2, "line 3: the front matter is not YAML"),
            (
                base_model("base_model: org/small\nbase_model_relation: 7"),
                2,
                "line 3: base_model_relation: expected",
            ),
            (
                base_model("date: 2024-99-99"),
                2,
                "line 2: the front matter is not YAML: month must be in 1..12",
            ),
            (base_model("a: " + "[" * 5000), 2, "line 2: the front matter is not YAML"),
            (base_model("- a list"), 2, "line 2: the front matter is not a mapping"),
            (
                base_model("license: mit\nbase_model: 7"),
                2,
                "line 3: base_model: expected text or a list of texts",
            ),
            (
                base_model("base_model: [{a: b}]"),
                2,
                "line 2: base_model: expected text or a list of texts, got dict",
            ),
            (
                '<!-- hubmem:start repo="a b" -->\n<!-- hubmem:end -->\n',
                2,
                "line 1: 'a b' is neither a repo id",
            ),
            ('<!-- hubmem:start gpus="L5" -->\n<!-- hubmem:end -->\n', 2, "line 1: Unknown GPU 'L5'"),
            (
                '<!-- hubmem:start colour="red" -->\n<!-- hubmem:end -->\n',
                2,
                "line 1: Unknown setting 'colour'",
            ),
            (
                "<!-- hubmem:start org/small -->\n<!-- hubmem:end -->\n",
                2,
                "line 1: 'org/small' is no setting",
            ),
            (
                '<!-- hubmem:start train="all" -->\n<!-- hubmem:end -->\n',
                2,
                "Unknown kind of fine-tuning 'all'",
            ),
        ],
        ids=lambda value: value[:60] if isinstance(value, str) else None,
    )
    def test_each_has_its_exit_code_and_message(self, card, capsys, text, code, says):
        card.write_text(text)

        assert main(["card", str(card)]) == code
        assert says in capsys.readouterr().err
        assert card.read_text() == text

    def test_the_hub_is_down(self, hub, card, capsys):
        """Neither what was stored before nor a bundled snapshot may pass for what the Hub has now."""
        card.write_text("# Title\n" + NAMED)
        assert main(["card", str(card)]) == 0
        written = card.read_bytes()
        bundled = card.with_name("OTHER.md")
        bundled.write_text(NAMED.replace("org/small", "openai-community/gpt2"))
        hub.faults = [Fault(Reset())]

        assert main(["card", str(card), str(bundled), "--gpu", "L4"]) == 4
        assert capsys.readouterr().err.count("failed: The Hub could not be") == 2
        assert card.read_bytes() == written
        assert bundled.read_text() == NAMED.replace("org/small", "openai-community/gpt2")

    def test_it_is_read_only(self, card, capsys):
        card.write_text(NAMED)
        card.chmod(0o444)

        assert main(["card", str(card)]) == 2
        assert "it is read-only" in capsys.readouterr().err
        assert card.read_text() == NAMED

    def test_it_cannot_be_read(self, card, monkeypatch, capsys):
        card.write_text(NAMED)

        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)

        assert main(["card", str(card)]) == 2
        assert "it cannot be read: Permission denied" in capsys.readouterr().err

    def test_it_is_a_link_out_of_the_workspace(self, card, tmp_path, capsys):
        outside = tmp_path / "outside.md"
        outside.write_text(NAMED)
        card.symlink_to(outside)

        assert main(["card", str(card)]) == 2
        assert "a link that leads out of the workspace" in capsys.readouterr().err
        assert outside.read_text() == NAMED

    def test_it_is_in_a_folder_that_is_a_link_out_of_the_workspace(self, card, tmp_path, capsys):
        outside = tmp_path / "elsewhere"
        outside.mkdir()
        (outside / "README.md").write_text(NAMED)
        (card.parent / "docs").symlink_to(outside)

        assert main(["card", str(card.parent / "docs" / "README.md")]) == 2
        assert "a link that leads out of the workspace" in capsys.readouterr().err

    def test_it_is_no_file(self, card, capsys):
        os.mkfifo(card)

        assert main(["card", str(card)]) == 2
        assert "it is not a file" in capsys.readouterr().err

    def test_it_changes_while_its_section_is_computed(self, card, monkeypatch, capsys):
        """As when two jobs write one card: the second writer notices and gives up."""
        card.write_text(NAMED)
        writes = files.write

        def after_someone_else(path, before, after, write_file):
            path.write_text("someone else's\n")
            writes(path, before, after, write_file)

        monkeypatch.setattr(files, "write", after_someone_else)

        assert main(["card", str(card)]) == 2
        assert "it changed while its section was computed" in capsys.readouterr().err
        assert card.read_text() == "someone else's\n"

    def test_the_disk_is_full(self, card, monkeypatch, capsys):
        """Here: no file may grow past 100 bytes while the card is written."""
        card.write_text(NAMED)
        writes = files.write

        def without_room(*arguments):
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
            try:
                writes(*arguments)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

        monkeypatch.setattr(files, "write", without_room)

        assert main(["card", str(card)]) == 2
        assert "it cannot be written: File too large" in capsys.readouterr().err
        assert card.read_text() == NAMED
        assert [path.name for path in card.parent.iterdir() if path.name != ".git"] == ["README.md"]

    def test_there_is_none(self, tmp_path, capsys):
        assert main(["card", str(tmp_path / "nowhere.md")]) == 2
        assert "No card" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "arguments",
        [["--repo", "not a repo"], ["--gpu", "L5"], ["--context", "long"], ["--train", "all"]],
        ids=str,
    )
    def test_an_option_means_nothing(self, hub, card, arguments):
        card.write_text(NAMED)

        assert main(["card", str(card), *arguments]) == 2
        assert card.read_text() == NAMED
        assert not hub.requests


class TestManyCards:
    def test_a_folder_means_its_readmes_and_whatever_has_a_marker(self, card, capsys):
        for name in ("README.md", "docs/readme.md", "docs/sizes.md", "docs/other.md", ".hidden/README.md",
                     "node_modules/x/README.md", ".venv/lib/README.md"):  # fmt: skip
            path = card.parent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("# None\n" if name.endswith("other.md") else NAMED)

        assert main(["card", str(card.parent)]) == 0

        named = re.findall(r"project/(\S+): written", capsys.readouterr().err)
        assert sorted(named) == ["README.md", "docs/readme.md", "docs/sizes.md"]

    def test_each_model_is_read_once(self, hub, card):
        paths = [card.with_name(f"{number}.md") for number in range(5)]
        for path in paths:
            path.write_text(NAMED)

        assert main(["card", *map(str, paths)]) == 0

        assert len([line for line in hub.requests if line.path == "/api/models/org/small"]) == 1
        assert len({path.read_text() for path in paths}) == 1

    def test_one_that_fails_does_not_stop_the_others(self, card):
        broken = card.with_name("broken.md")
        broken.write_text("<!-- hubmem:end -->\n")
        card.write_text(NAMED)

        assert main(["card", str(broken), str(card)]) == 2
        assert "## Memory" in card.read_text()

    def test_a_link_within_the_workspace_is_followed_and_stays(self, card):
        target = card.with_name("CARD.md")
        target.write_text(NAMED)
        card.symlink_to(target)

        assert main(["card", str(card)]) == 0
        assert card.is_symlink()
        assert "## Memory" in target.read_text()


def test_permissions_survive(card):
    card.write_text(NAMED)
    card.chmod(0o640)

    main(["card", str(card)])

    assert card.stat().st_mode & 0o777 == 0o640


def test_offline_answers_from_the_package(card):
    card.write_text(NAMED.replace("org/small", "openai-community/gpt2"))

    assert main(["card", str(card), "--offline"]) == 0
    assert "that ships with it" in card.read_text()
    assert "124,439,808 parameters" in card.read_text()


def test_a_model_of_unknown_type_gets_its_weights_and_no_promise(connect, card):
    connect({**RECORD, "config": {"model_type": "unheard-of"}})
    card.write_text(NAMED)

    assert main(["card", str(card)]) == 0
    assert "badge/weights-" in card.read_text()
    assert "is not known" in card.read_text()


class TestHostileCards:
    def test_names_and_text_of_a_card_cannot_command_the_terminal(self, card, capsys):
        folder = card.with_name("\x1b[31mred")
        folder.mkdir()
        hostile = folder / "README.md"
        hostile.write_text("# A \x1b]0;title\x07 and a\ttab\n" + NAMED)
        unnamed = folder / "unnamed.md"
        unnamed.write_text('---\nbase_model: "\\e[2J/x"\n---\n' + SECTION)

        main(["card", str(hostile), str(unnamed), "--check"])

        out, err = capsys.readouterr()
        assert "\n # A ]0;title and a\ttab\n" in out
        assert "\x1b" not in out + err
        assert "\x07" not in out + err

    def test_one_too_long_to_be_a_card_is_refused(self, card, capsys):
        card.write_bytes(NAMED.encode() + b"x" * 2**24)

        assert main(["card", str(card)]) == 2
        assert "it is longer than 16 MiB" in capsys.readouterr().err

    def test_a_text_file_that_cannot_be_read_is_no_card_of_a_folder(self, card, capsys):
        card.write_text(NAMED)
        (card.parent / "notes.md").write_bytes(b"x" * (2**24 + 1))

        assert main(["card", str(card.parent)]) == 0
        assert "notes.md" not in capsys.readouterr().err


class TestTwoJobsAtOnce:
    def test_whoever_reads_meanwhile_sees_a_whole_card(self, hub, card):
        """Three processes write one card over and over with different sections, and this one reads."""
        before = "# Title\n" + NAMED + "\n# End\n"
        card.write_text(before)
        script = (
            "import sys; from hubmem.cli import main\n"
            "for turn in range(4): main(['card', sys.argv[1], '--gpu', sys.argv[2]])"
        )
        writers = [
            subprocess.Popen([sys.executable, "-c", script, str(card), gpu], stderr=subprocess.DEVNULL)
            for gpu in ("L4", "H200", "T4")
        ]
        seen = set()
        while any(writer.poll() is None for writer in writers):
            seen.add(card.read_text())

        seen.add(card.read_text())
        assert all(text.startswith("# Title\n<!-- hubmem:start") for text in seen)
        assert all(text.endswith("<!-- hubmem:end -->\n\n# End\n") for text in seen)
        assert len(seen) > 1
        assert [path.name for path in card.parent.iterdir() if path.name != ".git"] == ["README.md"]
