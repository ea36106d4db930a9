"""`hubmem gpus`: the catalogue."""

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--search", metavar="TEXT", help="Only those whose name, title or alias has this in it.")
@click.option(
    "--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def gpus(search: str | None, output_format: str) -> int:
    """List the accelerators hubmem knows, with the memory their drivers report."""
    from tabulate import tabulate

    from hubmem.fit.gpus import catalogue
    from hubmem.units import format_gib

    wanted = (search or "").lower()
    found = [
        gpu
        for gpu in catalogue()
        if any(wanted in text.lower() for text in (gpu.name, gpu.title, *gpu.aliases))
    ]
    if output_format == "json":
        click.echo(json.dumps([asdict(gpu) for gpu in found], indent=2, ensure_ascii=False))
        return 0
    rows = [
        [gpu.name, gpu.title, format_gib(gpu.memory_bytes), gpu.memory_basis, gpu.bandwidth_gb_per_s or "–"]
        for gpu in found
    ]
    headers = ["name", "", "usable GiB", "basis", "GB/s"]
    click.echo(
        tabulate(
            rows,
            headers=headers,
            tablefmt="plain",
            disable_numparse=True,
            colalign=("left", "left", "right", "left", "right"),
        )
    )
    return 0
