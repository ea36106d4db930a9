"""The command line as a user meets it: what it prints, where, and what it exits with."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import hubmem.cli
import pytest
from hubmem.cli import main
from hubmem.cli.main import _COMMANDS as COMMANDS
from tests.hub_server import Fault, HubServer, Reset
from tests.hub_server.examples import LLAMA, SHARDED_LLAMA


@pytest.fixture
def hub(connect, retries_at_once) -> HubServer:
    server: HubServer = connect(LLAMA, SHARDED_LLAMA)
    return server


GPT2 = ["openai-community/gpt2", "--offline"]


class TestAnswers:
    def test_a_repo_prints_its_report_and_exits_0(self, capsys):
        assert main(GPT2) == 0

        out, err = capsys.readouterr()
        assert "124,439,808 parameters" in out
        assert "bundled with hubmem" in err

    def test_a_stand_in_is_said_once_on_a_terminal_and_wherever_the_answer_goes_without_its_notes(
        self, capsys, monkeypatch
    ):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        said = []
        for options in ([], ["--explain"], ["--format", "csv"]):
            main([*GPT2, *options])
            out, err = capsys.readouterr()
            said.append(("bundled with hubmem" in " ".join(out.split()), "bundled with hubmem" in err))

        assert said == [(True, False), (False, True), (False, True)]

    def test_options_may_come_first(self, capsys):
        assert main(["--format", "json", *GPT2]) == 0

        assert json.loads(capsys.readouterr().out)["repo"] == "openai-community/gpt2"

    def test_check_exits_1_when_one_does_not_fit(self, capsys):
        assert main([*GPT2, "--gpu", "24GiB", "--check"]) == 0
        assert main([*GPT2, "--gpu", "24GiB", "--gpu", "100MiB", "--check"]) == 1
        assert main([*GPT2, "--gpu", "100MiB"]) == 0

    def test_a_context_may_be_written_with_k(self, capsys):
        main([*GPT2, "--context", "1k", "--format", "json"])

        assert json.loads(capsys.readouterr().out)["workload"]["context"] == 1024

    def test_a_context_beyond_the_models_own_is_noted(self, capsys):
        main([*GPT2, "--context", "32k"])

        assert "32k tokens are more than the model's own 1k" in capsys.readouterr().out

    def test_the_default_context_ends_where_the_model_does(self, capsys):
        main([*GPT2, "--format", "json"])

        assert json.loads(capsys.readouterr().out)["workload"]["context"] == 1024

    def test_a_file_gets_the_answer_and_stdout_nothing(self, tmp_path, capsys):
        file = tmp_path / "report.json"

        assert main([*GPT2, "--format", "json", "-o", str(file)]) == 0

        assert capsys.readouterr().out == ""
        assert json.loads(file.read_text())["repo"] == "openai-community/gpt2"
        assert list(tmp_path.iterdir()) == [file] or {path.name for path in tmp_path.iterdir()} == {
            "report.json",
            "hf",
        }

    def test_verbose_shows_each_request_on_stderr(self, hub, capsys):
        main(["org/small", "-v"])

        err = capsys.readouterr().err
        assert len([line for line in err.splitlines() if line.startswith("GET ")]) == len(hub.requests) == 5

    def test_several_repos_are_compared(self, hub, capsys):
        assert main(["org/small", "org/sharded"]) == 0

        assert capsys.readouterr().out.splitlines()[0].split() == ["repo", "org/small", "org/sharded"]

    def test_gpus_lists_the_catalogue(self, capsys):
        assert main(["gpus", "--search", "h100"]) == 0
        assert "H100-80GB" in capsys.readouterr().out

        assert main(["gpus", "--format", "json"]) == 0
        assert len(json.loads(capsys.readouterr().out)) >= 120


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "code", "says"),
        [
            (["org/missing"], 3, "No repo org/missing"),
            (["./nowhere"], 3, "No folder"),
            (["org/small@nope"], 3, "no such revision"),
            (["not a repo"], 2, "neither a repo id nor a folder"),
            (["org/small", "--gpu", "H10O"], 2, "H100"),
            (["org/small", "--context", "many"], 2, "number of tokens"),
            (["org/small", "--batch", "0"], 2, "batch"),
            (["org/small", "--dtype", "fp3"], 2, "fp3"),
            (["org/small", "--format", "xml"], 2, "xml"),
        ],
        ids=str,
    )
    def test_each_has_its_exit_code_and_a_message_on_stderr(self, hub, capsys, arguments, code, says):
        assert main(arguments) == code

        out, err = capsys.readouterr()
        assert says in err + out
        assert "Traceback" not in err

    @pytest.mark.parametrize("option", [("--gpu", "H10O"), ("--dtype", "fp3"), ("--kv-dtype", "q9")])
    def test_a_mistake_is_told_before_anything_is_asked_of_the_hub(self, hub, option):
        assert main(["org/small", *option]) == 2
        assert hub.requests == ()

    def test_nothing_to_do_shows_how_to_ask(self, capsys):
        main([])

        out, err = capsys.readouterr()
        assert "Usage" in out + err

    def test_an_unreachable_hub_exits_4(self, hub, capsys):
        hub.faults = [Fault(Reset())]

        assert main(["org/small"]) == 4
        assert "could not be reached" in capsys.readouterr().err

    def test_an_oversight_of_ours_exits_70_with_its_traceback_and_the_wish_for_a_report(
        self, capsys, monkeypatch
    ):
        def divide(*_, **__):
            return 1 // 0

        monkeypatch.setattr("hubmem.render.formats.render", divide)

        assert main(GPT2) == 70
        out, err = capsys.readouterr()
        assert out == ""
        assert "return 1 // 0" in err
        assert "This is a bug in hubmem; please report it" in err

    def test_a_file_that_cannot_be_written_exits_2(self, capsys):
        assert main([*GPT2, "-o", "/nowhere/report.json"]) == 2
        assert "cannot be written" in capsys.readouterr().err


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hubmem", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


class TestProcess:
    def test_a_reader_that_has_enough_is_no_error(self):
        """A pipe that is closed before anything is written, as `| head -0` would."""
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.run(
            [sys.executable, "-m", "hubmem", *GPT2],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(writer)

        assert process.returncode == 0
        assert "Error" not in process.stderr

    def test_a_pipe_gets_no_colour_and_no_progress(self):
        process = run(*GPT2)

        assert process.returncode == 0
        assert "\x1b" not in process.stdout + process.stderr

    def test_a_pipe_gets_all_of_the_answer_before_the_process_ends(self):
        process = run(*GPT2, "--format", "json")

        assert json.loads(process.stdout)["repo"] == "openai-community/gpt2"

    @pytest.mark.parametrize(
        ("arguments", "code"), [((), 0), (("--gpu", "1MiB", "--check"), 1), (("--gpu",), 2)]
    )
    def test_the_process_ends_with_the_exit_code(self, arguments, code):
        assert run(*GPT2, *arguments).returncode == code

    @pytest.mark.parametrize("module", ["huggingface_hub", "tabulate", "httpx", "httpx2", "hubmem.report"])
    def test_help_imports_only_click(self, module):
        code = f"import sys, hubmem.cli; hubmem.cli.main(['--help']); sys.exit({module!r} in sys.modules)"
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

        assert process.returncode == 0


class TestHelp:
    def test_every_command_is_listed(self):
        names = {path.stem for path in Path(hubmem.cli.__file__).parent.glob("*.py")} - {"__init__", "main"}

        assert {name for name in names if hasattr(import_module(f"hubmem.cli.{name}"), name)} == set(COMMANDS)

    @pytest.mark.parametrize("command", ["inspect", *COMMANDS])
    def test_no_mark_for_the_formatter_is_shown(self, command, capsys):
        main([command, "--help"])

        assert "\\b" not in capsys.readouterr().out
