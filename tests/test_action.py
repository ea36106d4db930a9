"""action.yml and the workflows: their form, their safety, and what they do when they run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own
from hubmem.card.action import inputs

from tests.act import ROOT, Act, tool
from tests.card import golden
from tests.card.action.job import NAMED
from tests.hub_server import Fault, Repo, Reset, files_of
from tests.hub_server.examples import ELEMENTS, LARGER_LLAMA, LLAMA

ACTION = ROOT / "action.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in (ACTION, *WORKFLOWS)}
DOCUMENTS: dict[str, dict[str, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
LOCK = ROOT / "uv.lock"


def jobs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENTS[name]["jobs"]
    return found


def steps(name: str) -> list[dict[str, Any]]:
    document = DOCUMENTS[name]
    if "runs" in document:
        found: list[dict[str, Any]] = document["runs"]["steps"]
        return found
    return [step for job in document["jobs"].values() for step in job["steps"]]


class TestForm:
    @pytest.mark.parametrize("name", TEXTS)
    def test_no_expression_is_pasted_into_a_shell(self, name):
        """What a pull request can choose, such as its title, reaches a shell by the environment alone."""
        assert [step["run"] for step in steps(name) if "${{" in step.get("run", "")] == []

    @pytest.mark.parametrize("name", TEXTS)
    def test_actions_from_elsewhere_are_pinned_with_their_version(self, name):
        used = re.findall(r"^ *(?:- )?uses: (.*)", TEXTS[name], flags=re.MULTILINE)

        assert used
        for each in used:
            assert each.startswith("./") or re.fullmatch(
                r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each
            )

    def test_every_file_pins_an_action_alike(self):
        pins = {pin for text in TEXTS.values() for pin in re.findall(r"uses: ([^.\s]\S*@\S+)", text)}

        assert len({pin.split("@")[0] for pin in pins}) == len(pins)

    @pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
    def test_a_workflow_has_no_more_rights_than_its_jobs_ask_for(self, name):
        # YAML takes the word `on` for a truth.
        triggers = DOCUMENTS[name].get("on") or DOCUMENTS[name][True]

        assert "pull_request_target" not in triggers
        assert DOCUMENTS[name]["permissions"] == {}
        assert all("permissions" in job for job in jobs(name).values())
        rights = {right for job in jobs(name).values() for right in job["permissions"].items()}
        assert rights <= {("contents", "read"), ("pull-requests", "write"), ("id-token", "write")}

    def test_every_input_reaches_the_program(self):
        """By a variable named after it; and the program looks for no other."""
        [step] = [step for step in steps("action.yml") if step.get("id") == "hubmem"]
        given = {name: value for name, value in step["env"].items() if name.startswith("HUBMEM_")}
        names = {
            name: f"HUBMEM_{name.upper().replace('-', '_')}" for name in DOCUMENTS["action.yml"]["inputs"]
        }

        assert given == {variable: f"${{{{ inputs.{name} }}}}" for name, variable in names.items()}

        asked = set()

        class Environment(dict[str, str]):
            def get(self, name, default=None):
                asked.add(name)
                return default

        inputs.read_inputs(Environment())
        program = Path(sys.modules["hubmem"].__file__ or "").with_name("cli") / "action.py"
        asked |= set(re.findall(r'"(HUBMEM_\w+)"', program.read_text(encoding="utf-8")))
        assert asked == set(given)

    def test_every_output_is_one_the_program_sets(self):
        program = Path(inputs.__file__).with_name("run.py").read_text(encoding="utf-8")

        assert set(DOCUMENTS["action.yml"]["outputs"]) == set(re.findall(r'runner\.output\("(\w+)"', program))

    def test_the_modes_described_are_the_modes_there_are(self):
        described = re.findall(r"(\w+): ", DOCUMENTS["action.yml"]["inputs"]["mode"]["description"])

        assert described == [mode.value for mode in inputs.Mode]


class TestLock:
    """The Action installs what uv.lock says, so that a run today and a run next year are the same."""

    def test_it_names_no_place_but_pypi(self):
        hosts = set(re.findall(r'"([a-z]+://[^/"]+)', LOCK.read_text(encoding="utf-8")))

        assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}

    def test_every_file_has_its_hash(self):
        files = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if "url = " in line]

        assert files
        assert [line for line in files if 'hash = "sha256:' not in line] == []

    def test_it_is_of_the_dependencies_there_are(self):
        """After a change of dependencies: `uv lock --default-index https://pypi.org/simple`."""
        tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader of TOML")
        requirements = pytest.importorskip("packaging.requirements")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        packages = tomllib.loads(LOCK.read_text(encoding="utf-8"))["package"]
        [own] = [package for package in packages if package["name"] == project["name"]]

        def parts(text: str) -> tuple[str, str]:
            requirement = requirements.Requirement(text)
            return requirement.name.lower().replace("_", "-"), str(requirement.specifier)

        extras = project["optional-dependencies"].values()
        wanted = {parts(text) for named in (project["dependencies"], *extras) for text in named}
        locked = {
            parts(each["name"] + each.get("specifier", "")) for each in own["metadata"]["requires-dist"]
        }
        assert locked == wanted


def run_tool(name: str, *arguments: str) -> str:
    """What a checker of the `test` extra says when it finds nothing wrong."""
    command = [tool(name), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


NEEDS_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="this checker needs Python 3.11")


class TestCheckers:
    @NEEDS_3_11
    def test_the_action_has_the_published_schema(self):
        run_tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")

    @NEEDS_3_11
    def test_the_workflows_have_the_published_schema(self):
        run_tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))

    def test_actionlint_finds_nothing(self):
        run_tool("actionlint", *map(str, WORKFLOWS))

    @NEEDS_3_11
    def test_zizmor_finds_nothing(self):
        assert "No findings to report" in run_tool("zizmor", "--offline", "action.yml", *map(str, WORKFLOWS))


# What a new user copies from the README, and a step that keeps what the job leaves of the card.
WORKFLOW = """\
name: Model card
on: [push, pull_request]
permissions: {{}}
jobs:
  card:
    runs-on: ubuntu-latest
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - id: card
        uses: ./
        with:
{inputs}
      - if: always()
        env:
          VERDICT: ${{{{ steps.card.outputs.verdict }}}}
          CHANGED: ${{{{ steps.card.outputs.changed }}}}
        run: |
          cp README.md "$KEEP"
          echo "verdict: [$VERDICT] changed: [$CHANGED]"
"""


class TestExecuted:
    """On a fresh repository, by the runner's own rules."""

    @pytest.fixture
    def hub(self, serve):
        return serve(LLAMA, Repo("org/gated", files_of(LLAMA), gated="manual"))

    @pytest.fixture
    def act(self, tmp_path, hub) -> Act:
        act = Act.begin(tmp_path)
        act.environment = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "KEEP": str(tmp_path / "kept.md"),
        }
        (act.repository / "README.md").write_text("# A fresh repository\n\nWith a card.\n")
        return act

    def ask(self, act: Act, **asked: str) -> None:
        lines = "\n".join(f'          {name.replace("_", "-")}: "{value}"' for name, value in asked.items())
        act.workflow(WORKFLOW.format(inputs=lines))

    def kept(self, act: Act) -> str:
        return Path(act.environment["KEEP"]).read_text(encoding="utf-8")

    def test_update_gives_a_fresh_repository_a_section_and_check_then_passes(self, act):
        self.ask(act, repo="org/small", gpus="8GiB, L4", mode="update")
        ran = act.run()

        assert ran.succeeded, ran.log
        assert "changed: [true]" in ran.log
        assert "verdict: [fits]" in ran.log
        assert "# A fresh repository\n\n<!-- hubmem:start" in self.kept(act)

        (act.repository / "README.md").write_text(self.kept(act))
        self.ask(act, mode="check")
        ran = act.run()

        assert ran.succeeded, ran.log
        assert "changed: [false]" in ran.log

    def test_check_fails_when_the_section_goes_stale(self, act, hub):
        (act.repository / "README.md").write_text(NAMED)
        self.ask(act, mode="update")
        act.run()
        (act.repository / "README.md").write_text(self.kept(act))
        hub.repo("org/small").push(files_of(LARGER_LLAMA))
        self.ask(act, mode="check")

        ran = act.run()

        assert not ran.succeeded
        assert "The memory section is out of date" in ran.log
        assert f"+**{ELEMENTS['BF16'] + 64:,} parameters**" in ran.log
        assert self.kept(act) == (act.repository / "README.md").read_text()

    def test_require_fails_the_job_and_says_what_would_help(self, act):
        self.ask(act, repo="org/small", mode="report", require="fits: 100MiB, context: 2k")

        ran = act.run()

        assert not ran.succeeded
        assert "verdict: [no]" in ran.log
        assert "does not meet `fits: 100MiB, context: 2k`" in ran.log
        assert "❌ does not fit" in ran.log

    def test_the_hub_is_down_and_the_card_stays(self, act, hub):
        (act.repository / "README.md").write_text(NAMED)
        hub.faults = [Fault(Reset())]
        self.ask(act, mode="update")

        ran = act.run()

        assert not ran.succeeded
        assert "The Hub could not be reached" in ran.log
        assert self.kept(act) == NAMED

    @pytest.mark.parametrize("head", ["org/project", "someone/project"], ids=["same repository", "fork"])
    def test_on_a_pull_request_a_fork_is_forgiven_what_it_has_no_secrets_for(self, act, head):
        (act.repository / "README.md").write_text(NAMED.replace("org/small", "org/gated"))
        self.ask(act, mode="check", require="fits: 8GiB")
        event = {
            "pull_request": {
                "number": 7,
                "head": {"repo": {"full_name": head}, "sha": "0" * 40, "ref": "branch"},
                "base": {"repo": {"full_name": "org/project"}, "sha": "0" * 40, "ref": "main"},
            }
        }

        ran = act.run("pull_request", event)

        assert ran.succeeded is (head != "org/project"), ran.log
        assert "org/gated is gated" in ran.log

    def test_inputs_are_no_shell_and_cards_are_no_commands(self, act):
        (act.repository / "README.md").write_text(
            NAMED + "\n::set-output name=changed::hacked\n$(touch hacked)\n"
        )
        self.ask(act, mode="report", gpus="8GiB$(touch hacked); touch hacked; `touch hacked`")

        ran = act.run()

        assert not ran.succeeded
        assert "Unknown GPU" in ran.log
        assert "changed: [hacked]" not in ran.log
        assert not list(act.machine.rglob("hacked"))

    def test_modules_in_the_workspace_are_not_the_actions(self, act):
        """A pull request must not be able to bring its own `yaml` or `click`."""
        elsewhere = act.repository / "the-action"
        elsewhere.mkdir()
        for name in ("hubmem", "action.yml", "pyproject.toml"):
            shutil.move(act.repository / name, elsewhere / name)
        for name in ("yaml", "click", "hubmem", "sitecustomize"):
            (act.repository / f"{name}.py").write_text("raise SystemExit('taken over')\n")
        self.ask(act, repo="org/small", mode="update")
        workflow = act.repository / ".github" / "workflows" / "workflow.yml"
        workflow.write_text(workflow.read_text().replace("uses: ./", "uses: ./the-action"))

        ran = act.run()

        assert ran.succeeded, ran.log
        assert "taken over" not in ran.log
        assert "## Memory" in self.kept(act)

    @pytest.mark.parametrize("job", jobs("model-cards.yml"))
    def test_the_example_workflow_passes(self, act, job):
        name = "model-cards.yml"
        act.workflow(TEXTS[name], name)
        shutil.copytree(golden.CARDS, act.repository / "fixtures" / "cards")
        with golden.serve_models() as hub:
            act.environment["HF_ENDPOINT"] = hub.endpoint
            ran = act.run(job=job)

        assert ran.succeeded, ran.log
