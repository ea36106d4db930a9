"""The entry point: which command is meant, and what every way to end looks like."""

import gc
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from hubmem.errors import HubmemError
from hubmem.version import __version__

# What a shell reports for a process ended by Ctrl-C.
_INTERRUPTED = 130
# EX_SOFTWARE of sysexits.h.
_BUG = 70
_DEFAULT_COMMAND = "inspect"
# What each command is for; its module `hubmem.cli.NAME` is imported when it is called, not to list it.
_COMMANDS = {
    "inspect": "Say what a model takes and which GPUs it fits.",
    "gpus": "List the accelerators hubmem knows.",
    "scan": "Inspect many repos, paced and resumable.",
    "card": "Write or check the memory section of model cards.",
    "diff": "Say what lies between two models.",
}


class _ReposFirst(click.Group):
    """A group whose first argument is a repo unless it is a command: `hubmem gpt2` inspects gpt2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before what is neither a command nor an option of the group."""
        own_options = {"--help", "-h", "--version"}
        if args and args[0] not in _COMMANDS and args[0] not in own_options:
            args = [_DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"hubmem.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in `--help`, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_ReposFirst,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`hubmem REPO` is short for `hubmem inspect REPO`; `hubmem inspect --help` lists its options.",
)
@click.version_option(__version__, message="hubmem %(version)s")
def _commands() -> None:
    """Will it fit, and why? Exact memory plans for Hugging Face Hub models, from headers alone.

    \b
      hubmem meta-llama/Llama-3.1-70B                 one repo, or a local folder
      hubmem Qwen/Qwen3-8B google/gemma-7b            several, side by side
      hubmem REPO --gpu 2xH100-80GB --context 32k --check
      hubmem gpus --search h100
    """  # noqa: D301 - click wants the character itself


def run() -> NoReturn:
    """The process of the `hubmem` command: `main`, then out at once.

    To take the interpreter down piece by piece would cost a tenth of a quick answer.
    """
    # A header is a great many small objects and no cycles: to look for cycles as often as Python does by
    # itself would cost a tenth of a large answer.
    gc.set_threshold(50_000)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal and pipe can have `×` or a name in Arabic: the rest of the answer still can be read.
        sys.stdout.reconfigure(errors="replace")
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; errors meant for people end here, without a traceback."""
    try:
        code = _commands.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except HubmemError as error:
        return _complain(str(error), error.hint, error.exit_code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("Interrupted.", "", _INTERRUPTED)
        # Threads that wait for the network would hold the process until their time-outs.
        os._exit(_INTERRUPTED)
    except Exception:  # noqa: BLE001 - a bug must not look like exit code 1, "it does not fit"
        traceback.print_exc()
        return _complain("This is a bug in hubmem; please report it with the lines above.", "", _BUG)
    return code if isinstance(code, int) else 0


def _complain(message: str, hint: str, code: int) -> int:
    from hubmem.cli.progress import say

    say(message, hint)
    return code
