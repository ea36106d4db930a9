"""`hubmem gpus`: the catalogue of accelerators and rented machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hubmem.cli.options import format_option

if TYPE_CHECKING:
    from hubmem.fit.gpus import Gpu, Machine

_GPU_COLUMNS = {
    "name": "left",
    "maker's name": "left",
    "usable GiB": "right",
    "basis": "left",
    "GB/s": "right",
}
_MACHINE_COLUMNS = {"name": "left", "GPUs": "left", "host RAM GiB": "right"}


@click.command()
@click.option("--search", metavar="TEXT", help="Only those with this in one of their names.")
@click.option("--machines", "wants_machines", is_flag=True, help="List rented machines instead.")
@click.option(
    "--gpus-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="List GPUs of your own, too, from TOML or JSON.",
)
@format_option("table", "json")
def gpus(search: str | None, wants_machines: bool, gpus_file: str | None, output_format: str) -> int:
    """List the accelerators hubmem knows, with the memory their drivers report.

    \b
      hubmem gpus --search h100
      hubmem gpus --machines --search a100
    """  # noqa: D301 - click wants the character itself
    from hubmem.fit.gpus import catalogue, machines

    wanted = (search or "").lower()
    if wants_machines:
        rented = [each for each in machines() if wanted in f"{each.name} {each.gpu}".lower()]
        _print(rented, _table(_MACHINE_COLUMNS, _machine_rows(rented)), output_format)
        return 0
    known = (*_own(gpus_file), *catalogue())
    found = [
        gpu for gpu in known if any(wanted in text.lower() for text in (gpu.name, gpu.title, *gpu.aliases))
    ]
    _print(found, _table(_GPU_COLUMNS, _gpu_rows(found)), output_format)
    return 0


def _print(found: Sequence["Gpu | Machine"], table: str, output_format: str) -> None:
    if output_format == "json":
        click.echo(json.dumps([asdict(row) for row in found], indent=2, ensure_ascii=False))
    elif found:
        click.echo(table)
    else:
        click.echo("Nothing known has that in its name.", err=True)


def _own(gpus_file: str | None) -> Sequence["Gpu"]:
    from pathlib import Path

    from hubmem.fit.own_gpus import read_own_gpus

    return read_own_gpus(Path(gpus_file)) if gpus_file else ()


def _gpu_rows(found: Sequence["Gpu"]) -> list[list[str]]:
    from hubmem.units import format_gib

    return [
        [
            gpu.name,
            gpu.title,
            format_gib(gpu.memory_bytes),
            gpu.memory_basis,
            str(gpu.bandwidth_gb_per_s or "–"),
        ]
        for gpu in found
    ]


def _machine_rows(found: Sequence["Machine"]) -> list[list[str]]:
    return [[each.name, f"{each.gpus}× {each.gpu}", str(each.host_ram_gib or "–")] for each in found]


def _table(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under headings, each column aligned as its heading says."""
    from tabulate import tabulate

    return tabulate(
        rows,
        headers=list(columns),
        tablefmt="plain",
        disable_numparse=True,
        colalign=tuple(columns.values()) if rows else (),
    )
