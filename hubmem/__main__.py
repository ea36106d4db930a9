"""`python -m hubmem`."""

from hubmem.cli import run

run()
