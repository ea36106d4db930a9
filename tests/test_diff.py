"""What lies between two models, in every format."""

import json

import pytest
from hubmem import diff
from hubmem.cli import main
from hubmem.inspection import inspect

from tests.hub_server import files_of
from tests.hub_server.examples import LARGER_LLAMA, LLAMA

GPT2, BLOOM = "openai-community/gpt2", "bigscience/bloom-560m"


def difference(old: str, new: str, **request) -> diff.Difference:
    return diff.compare(*(inspect(model, offline=True, **request) for model in (old, new)))


def facts(found: diff.Difference) -> dict[str, diff.Row]:
    return {row.fact.name: row for row in found.rows}


class TestCompare:
    def test_numbers_are_those_of_the_reports(self):
        old, new = (inspect(model, offline=True) for model in (GPT2, BLOOM))
        rows = facts(diff.compare(old, new))

        assert (rows["parameters"].old, rows["parameters"].new) == (124_439_808, 559_214_592)
        assert rows["parameters"].change == 559_214_592 - 124_439_808
        assert rows["memory of a device"].new == new.plan.per_gpu_bytes
        assert rows["cache"].old == old.cache.nbytes
        assert rows["model type"].change is None
        assert rows["layers"].change == 12

    def test_roles_and_dtypes_of_either_side_are_rows(self):
        rows = facts(difference(GPT2, BLOOM))

        assert rows["F32 elements"].new == 0
        assert rows["F16 elements"].old == 0
        by_role = [row.change for name, row in rows.items() if name.endswith(" parameters") and row.change]
        assert sum(by_role) == rows["parameters"].change

    def test_only_a_mixture_of_experts_has_active_parameters(self):
        rows = facts(difference("Qwen/Qwen3-8B", "mistralai/Mixtral-8x7B-v0.1"))

        assert rows["active parameters"].old is None
        assert rows["active parameters"].new == 12_879_925_248

    def test_verdicts_are_compared_by_gpu_and_precision(self):
        found = difference("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", gpus=["RTX-4090", "2xH100-80GB"])

        assert [(row.gpu, row.precision, row.changed) for row in found.verdicts] == [
            ("RTX-4090", "as stored", True),
            ("RTX-4090", "FP8", True),
            ("RTX-4090", "4-bit (nf4)", found.verdicts[2].changed),
            ("H100-80GB", "as stored", False),
            ("H100-80GB", "FP8", False),
            ("H100-80GB", "4-bit (nf4)", False),
        ]

    def test_a_model_does_not_differ_from_itself(self):
        found = difference(GPT2, GPT2)

        assert not found.changed
        assert not any(row.changed for row in (*found.rows, *found.verdicts))


class TestCommand:
    def test_a_table_shows_what_differs_and_the_essentials(self, capsys):
        assert main(["diff", GPT2, BLOOM, "--offline", "--gpu", "L4"]) == 0

        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == [GPT2, BLOOM, "change"]
        [parameters] = [line for line in lines if line.startswith("parameters ")]
        assert parameters.split() == ["parameters", "124,439,808", "559,214,592", "+434,774,784", "(+349.4%)"]

    def test_a_smaller_number_has_a_minus(self, capsys):
        main(["diff", BLOOM, GPT2, "--offline"])

        assert "−434,774,784 (−77.7%)" in capsys.readouterr().out

    def test_a_verdict_that_changes_is_a_row(self, capsys):
        main(["diff", "Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "--offline", "--gpu", "1xRTX-4090"])

        lines = capsys.readouterr().out.splitlines()
        assert ["RTX-4090,", "as", "stored", "1×", "no"] in [line.split() for line in lines]

    def test_nothing_is_said_to_differ_where_nothing_does(self, capsys):
        assert main(["diff", GPT2, GPT2, "--offline"]) == 0

        out = capsys.readouterr().out
        assert out.endswith("\nNothing else differs.\n")
        assert len(out.splitlines()) == 6

    def test_json_has_its_schema(self, capsys):
        assert main(["diff", GPT2, BLOOM, "--offline", "--format", "json"]) == 0

        value = json.loads(capsys.readouterr().out)
        assert list(value) == ["schema", "old", "new", "changed", "facts", "verdicts"]
        assert value["schema"] == "hubmem.diff/1"
        assert value["facts"][0].keys() == {"name", "unit", "old", "new", "change"}
        assert value["verdicts"][0].keys() == {"gpu", "precision", "old", "new"}
        assert value["verdicts"][0]["old"].keys() == {"gpus", "verdict"}

    def test_markdown_is_a_table_in_which_names_are_no_markup(self, tmp_path, capsys):
        for name in ("a_*b", "c|d"):
            folder = tmp_path / name
            folder.mkdir()
            for path in ("config.json", "model.safetensors"):
                (folder / path).write_bytes(bytes(files_of(LLAMA)[path]))

        assert main(["diff", str(tmp_path / "a_*b"), str(tmp_path / "c|d"), "--format", "markdown"]) == 0
        out = capsys.readouterr().out
        assert r"a\_\*b" in out
        assert r"c\|d" in out

    def test_revisions_of_a_repo_have_their_commits(self, connect, capsys):
        server = connect(LLAMA)
        old = server.repo("org/small").commit().sha
        new = server.repo("org/small").push(files_of(LARGER_LLAMA))

        assert main(["diff", f"org/small@{old}", "org/small"]) == 0
        out = capsys.readouterr().out
        assert f"org/small@{old[:7]}" in out
        assert f"org/small@{new[:7]}" in out
        assert "+64" in out

    def test_a_file_gets_the_answer(self, tmp_path):
        assert main(["diff", GPT2, BLOOM, "--offline", "-o", str(tmp_path / "diff.txt")]) == 0
        assert "parameters" in (tmp_path / "diff.txt").read_text()

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [([GPT2], 2), ([GPT2, "./nowhere", "--offline"], 3), ([GPT2, "org/none", "--offline"], 4)],
        ids=str,
    )
    def test_a_model_that_cannot_be_read_has_its_exit_code(self, arguments, code):
        assert main(["diff", *arguments]) == code
