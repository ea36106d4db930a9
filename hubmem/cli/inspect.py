"""`hubmem REPO…`: the report."""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hubmem.cli.options import access_options, file_options, format_option, output_option, request_options
from hubmem.cli.plotting import check_plot, draw_plot
from hubmem.cli.sections import SectionedCommand


@click.command(cls=SectionedCommand)
@click.argument("models", nargs=-1, required=True, metavar="REPO|FOLDER…")
@request_options
@click.option("--check", is_flag=True, help="Exit 1 unless it fits every GPU.")
@click.option("--explain", is_flag=True, help="Show each term with its formula, numbers and source.")
@click.option("--rules", is_flag=True, help="Show rules of thumb beside the exact answers.")
@format_option("table", "json", "markdown", "csv")
@output_option
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg|png",
    help="Draw memory against context; needs the extra hubmem[plot].",
)
@click.option(
    "--siblings/--no-siblings",
    default=True,
    help="Whether to look on the Hub for quantized versions where the model does not fit a --gpu.",
)
@file_options
@access_options
def inspect(
    models: tuple[str, ...],
    check: bool,
    explain: bool,
    rules: bool,
    output_format: str,
    output: Path | None,
    plot: Path | None,
    siblings: bool,
    revision: str | None,
    offline: bool,
    no_bundled: bool,
    verbose: bool,
    variant: str | None,
    subfolder: str | None,
    file: str | None,
    **request: Any,
) -> int:
    """Say what a model takes and which GPUs it fits, from its config and weight headers.

    \b
      hubmem Qwen/Qwen3-8B --gpu RTX-4090 --gpu 16GiB --context 32k
      hubmem meta-llama/Llama-3.1-70B --gpu 4xA100-80GB --tp 4 --engine vllm
      hubmem meta-llama/Llama-3.1-8B --train qlora --gpu 24GiB
      hubmem google/gemma-7b --dtype nf4 --gpu 24GiB --check && echo yes
      hubmem ./checkpoint --explain

    \b
    Exit codes: 0 answered · 1 it does not fit (--check) · 2 usage
    · 3 the repo cannot be read · 4 the Hub could not be reached.
    """  # noqa: D301 - click wants the character itself
    from hubmem.cli.progress import TerminalObserver, warn
    from hubmem.hub.opening import MODELS_AT_ONCE, Access, open_model

    if _any_written(request):
        # A mistake is told before anything is asked of the Hub.
        from hubmem.request import Request

        Request.of(**request)
    if plot is not None:
        check_plot(plot, models)
    observer = TerminalObserver(verbose=verbose)
    access = Access(
        revision=revision,
        offline=offline,
        bundled=not no_bundled,
        observer=observer,
        warn=warn,
        images=bool(request["images"]),
    )
    opened = [open_model(model, access) for model in models]
    # The first requests are under way: read what comes back while the rest is imported.
    from hubmem.snapshot import take_snapshot
    from hubmem.weights.layout import Selection

    # Not in a `with` block: leaving it would wait for the network even after Ctrl-C.
    readers = ThreadPoolExecutor(max_workers=MODELS_AT_ONCE)
    selection = Selection(variant=variant, subfolder=subfolder, file=file)
    reading = [readers.submit(take_snapshot, each, selection) for each in opened]
    from hubmem.cli.output import deliver, page_for
    from hubmem.inspection import answered
    from hubmem.render.formats import render
    from hubmem.request import Request

    asked = Request.of(**request)
    try:
        reports = [
            answered(source, snapshot.result(), asked, siblings=siblings)
            for source, snapshot in zip(opened, reading, strict=True)
        ]
    finally:
        observer.finish()
    report_alone = len(reports) == 1 and output_format == "table" and not (explain or rules)
    if not (report_alone and output is None and sys.stdout.isatty()):
        # On a terminal the report's own note says it, a few lines below.
        for each in reports:
            if each.snapshot.stands_in:
                warn(each.snapshot.stands_in)
    if plot is not None:
        draw_plot(reports[0], plot)
    deliver(render(reports, output_format, page_for(output), explain=explain, rules=rules), output)
    return int(check and not all(each.fits_all for each in reports))


def _any_written(options: Iterable[str]) -> bool:
    """Whether any of these options is on the command line."""
    source = click.get_current_context().get_parameter_source
    return any(source(name) is ParameterSource.COMMANDLINE for name in options)
