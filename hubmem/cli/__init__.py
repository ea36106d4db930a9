"""The command line: flags to a frozen value, one call, an exit code."""

from hubmem.cli.main import main, run

__all__ = ["main", "run"]
