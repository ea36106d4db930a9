"""The workflows in the README, as a new user copies them: their form, and what they do in a new repository."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from tests import git
from tests.act import Act, Ran
from tests.hub_server import HubServer
from tests.readme import README
from tests.test_action import DOCUMENTS, NEEDS_3_11, run_tool
from tests.weights.records import RECORDS

TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
# Each names its file in its first line.
WORKFLOWS = {
    Path(match[1]).name: block
    for block in BLOCKS
    if (match := re.match(r"# (\.github/workflows/[\w-]+\.yml)\n", block))
}
UPDATE, CHECK = "model-card.yml", "model-card-check.yml"
# What stands for the repository and the commit that hubmem is published at.
PLACE = "OWNER/hubmem@COMMIT"
PINNED = f"OWNER/hubmem@{'0' * 40} # v0.1.0"


def asked(text: str) -> dict[str, Any]:
    """The inputs a workflow gives the Action."""
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    [inputs] = [step["with"] for step in steps if step.get("uses") == PLACE]
    found: dict[str, Any] = inputs
    return found


class TestForm:
    @pytest.fixture
    def files(self, tmp_path) -> list[str]:
        for name, text in WORKFLOWS.items():
            (tmp_path / name).write_text(text.replace(PLACE, PINNED))
        return [str(tmp_path / name) for name in WORKFLOWS]

    def test_there_is_one_of_each_mode(self):
        assert sorted(asked(text)["mode"] for text in WORKFLOWS.values()) == ["check", "report", "update"]

    def test_every_other_block_is_a_step_to_be_put_into_one(self):
        [sync] = [yaml.safe_load(block) for block in BLOCKS if block not in WORKFLOWS.values()]

        assert sync[0]["uses"].startswith("huggingface/hub-sync@")
        assert sync[0]["with"]["repo_type"] == "model"

    @pytest.mark.parametrize("name", WORKFLOWS)
    def test_they_give_inputs_there_are(self, name):
        assert asked(WORKFLOWS[name]).keys() <= DOCUMENTS["action.yml"]["inputs"].keys()

    def test_checkout_is_the_one_our_own_workflows_use(self):
        [pin] = set(re.findall(r"actions/checkout@\S+ # \S+", TEXT))

        assert pin in (README.parent / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")

    @NEEDS_3_11
    def test_they_have_the_published_schema(self, files):
        run_tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)

    def test_actionlint_finds_nothing(self, files):
        run_tool("actionlint", *files)

    @NEEDS_3_11
    def test_zizmor_finds_nothing_but_the_credentials_a_commit_needs(self, files):
        read_only = [file for file in files if not file.endswith(f"/{UPDATE}")]

        assert "No findings to report" in run_tool("zizmor", "--offline", *read_only)
        assert "No findings to report" in run_tool("zizmor", "--offline", "--min-severity", "high", *files)


class TestInANewRepository:
    """Nothing is changed in what is copied but where the Action is fetched from."""

    @pytest.fixture
    def act(self, tmp_path) -> Act:
        act = Act.begin(tmp_path)
        act.publish(PLACE)
        (act.repository / "README.md").write_text("# Our model\n\nIt is new.\n")
        return act

    def run(self, act: Act, name: str, model: str, event: str = "push") -> Ran:
        """Run a workflow of the README on a Hub whose org/name is another model under that name."""
        with HubServer([{**RECORDS[model], "repo": "org/name", "gated": False}]) as hub:
            act.environment = {
                "HF_ENDPOINT": hub.endpoint,
                "HF_HOME": str(act.machine / "hf"),
                "HF_HUB_DISABLE_TELEMETRY": "1",
            }
            act.workflow(WORKFLOWS[name], name)
            return act.run(event)

    def origin(self, act: Act) -> Path:
        """Where the repository is pushed to, as GitHub would be."""
        origin = act.machine / "origin.git"
        git.run(act.machine, "init", "-q", "--bare", str(origin))
        git.commit(act.repository)
        git.run(act.repository, "remote", "add", "origin", str(origin))
        git.run(act.repository, "push", "-q", "-u", "origin", "main")
        return origin

    def test_it_gets_a_section_a_summary_and_a_requirement_that_fails(self, act):
        origin = self.origin(act)

        ran = self.run(act, UPDATE, "meta-llama/Llama-3.1-70B")

        assert not ran.succeeded
        assert "org/name does not meet `fits: RTX-4090, dtype: int4, context: 8k`" in ran.log
        assert "Cheapest way to yes" in ran.log
        assert "❌ does not fit" in ran.log
        pushed = git.run(origin, "show", "main:README.md")
        assert pushed.startswith(
            '# Our model\n\n<!-- hubmem:start repo="org/name" gpus="RTX-4090, H100-80GB" -->'
        )
        assert "**70,553,706,496 parameters**" in pushed
        assert pushed.endswith("<!-- hubmem:end -->\n\nIt is new.\n")
        assert git.run(origin, "log", "-1", "--format=%an: %s", "main") == (
            "github-actions[bot]: Update the memory section\n"
        )

    def test_a_pull_request_then_passes_while_the_section_is_true_and_the_model_fits(self, act):
        origin = self.origin(act)
        ran = self.run(act, UPDATE, "Qwen/Qwen3-8B")
        assert ran.succeeded, ran.log
        (act.repository / "README.md").write_text(git.run(origin, "show", "main:README.md"))

        ran = self.run(act, CHECK, "Qwen/Qwen3-8B", "pull_request")
        assert ran.succeeded, ran.log

        ran = self.run(act, CHECK, "meta-llama/Llama-3.1-70B", "pull_request")
        assert not ran.succeeded
        assert "The memory section is out of date" in ran.log
        assert "org/name does not meet `fits: RTX-4090, dtype: int4, context: 8k`" in ran.log
        assert "org/name does not meet `fits: H100-80GB, train: lora, context: 2k`" in ran.log

    def test_a_second_push_commits_nothing(self, act):
        origin = self.origin(act)
        self.run(act, UPDATE, "Qwen/Qwen3-8B")
        git.run(act.repository, "pull", "-q", "--rebase", "origin", "main")
        before = git.run(origin, "rev-parse", "main")

        ran = self.run(act, UPDATE, "Qwen/Qwen3-8B")

        assert ran.succeeded, ran.log
        assert git.run(origin, "rev-parse", "main") == before
