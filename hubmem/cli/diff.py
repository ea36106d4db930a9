"""`hubmem diff OLD NEW`: what a change of a model changes."""

from pathlib import Path
from typing import Any

import click

from hubmem.cli.options import access_options, format_option, output_option, workload_options
from hubmem.cli.sections import SectionedCommand


@click.command(cls=SectionedCommand)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--gpu", "gpus", multiple=True, metavar="[N×]GPU", help="Hold both against this GPU.")
@workload_options
@format_option("table", "json", "markdown")
@output_option
@access_options
def diff(
    old: str,
    new: str,
    *,
    output_format: str,
    output: Path | None,
    revision: str | None,
    offline: bool,
    no_bundled: bool,
    verbose: bool,
    **request: Any,
) -> int:
    """Say what lies between two models: repos, revisions of one (REPO@REVISION), or folders.

    \b
      hubmem diff Qwen/Qwen2.5-7B Qwen/Qwen3-8B
      hubmem diff org/name org/name@refs/pr/3
    """  # noqa: D301 - click wants the character itself
    from concurrent.futures import ThreadPoolExecutor

    from hubmem import diff as differences
    from hubmem.cli.output import deliver
    from hubmem.cli.progress import TerminalObserver, warn
    from hubmem.hub.opening import Access, open_model
    from hubmem.inspection import assess
    from hubmem.request import Request
    from hubmem.snapshot import take_snapshot

    asked = Request.of(**request)
    observer = TerminalObserver(verbose=verbose)
    access = Access(
        revision=revision,
        offline=offline,
        bundled=not no_bundled,
        observer=observer,
        warn=warn,
        images=asked.workload.images > 0,
    )
    opened = [open_model(model, access) for model in (old, new)]
    # Not in a `with` block: leaving it would wait for the network even after Ctrl-C.
    reading = ThreadPoolExecutor(max_workers=len(opened)).map(take_snapshot, opened)
    try:
        before, after = [assess(snapshot, asked) for snapshot in reading]
    finally:
        observer.finish()
    for each in (before, after):
        if each.snapshot.stands_in:
            warn(each.snapshot.stands_in)
    deliver(differences.render(differences.compare(before, after), output_format), output)
    return 0
