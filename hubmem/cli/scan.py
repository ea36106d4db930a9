"""`hubmem scan`: many repos."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hubmem.cli.options import format_option, hub_options, request_options
from hubmem.cli.sections import SectionedCommand

_SORTS = ("trending_score", "downloads", "likes", "last_modified", "created_at")


@click.command(cls=SectionedCommand)
@click.argument("names", nargs=-1, metavar="[REPO|FILE|-]…")
@click.option("--author", metavar="NAME", help="The Hub's models of this user or organization.")
@click.option("--search", metavar="TEXT", help="The Hub's models with this in their id.")
@click.option("--filter", "filters", multiple=True, metavar="TAG", help="The Hub's models with this tag.")
@click.option("--sort", type=click.Choice(_SORTS), help="The order of the Hub's models.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many of the Hub's models.")
@request_options
@click.option("--check", is_flag=True, help="Exit 1 unless each fits every GPU.")
@format_option("jsonl", "csv", "markdown", "html", "parquet")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to a file. FILE.sqlite beside it keeps every answer: run the same command to go on.",
)
@click.option(
    "--ordered", is_flag=True, help="Write lines in the order of the repos, not as they are finished."
)
@click.option(
    "--counts",
    is_flag=True,
    help="Weights alone, by the Hub's own counts: 1,000 repos a request.",
)
@click.option(
    "--refresh", is_flag=True, help="Read again the repos that have changed since they were stored."
)
@click.option("--dry-run", is_flag=True, help="Say how many requests it takes and how long; make none.")
@click.option("--query", metavar="SQL", help="Ask a finished scan instead: \"fits='4090' and total < 20e9\".")
@click.option(
    "--executor",
    default="threads",
    show_default=True,
    metavar="threads|processes[:N]|dask://HOST:PORT",
    help="Where plans are made.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    metavar="N",
    default=16,
    show_default=True,
    help="Repos read at once.",
)
@hub_options
def scan(
    *,
    names: tuple[str, ...],
    author: str | None,
    search: str | None,
    filters: tuple[str, ...],
    sort: str | None,
    limit: int | None,
    check: bool,
    output_format: str,
    output: Path | None,
    ordered: bool,
    counts: bool,
    refresh: bool,
    dry_run: bool,
    query: str | None,
    executor: str,
    threads: int,
    offline: bool,
    no_bundled: bool,
    verbose: bool,
    **request: Any,
) -> int:
    """Say what many repos take: those of a file of ids, of an author, of the whole Hub.

    Requests keep within the Hub's quotas. A repo that cannot be read gets a line with the reason.

    \b
      hubmem scan repos.txt -o results.jsonl
      hubmem scan --author Qwen --gpu RTX-4090 --format csv -o qwen.csv
      hubmem scan --author Qwen --dry-run

    \b
    Exit codes: 0 answered, repo by repo · 1 one does not fit (--check) · 2 usage
    · 4 the Hub or the disk failed: run the same command to go on.
    """  # noqa: D301 - click wants the character itself
    if query is not None:
        return _ask(names, query, output_format, output)
    from hubmem.cli.output import print_line
    from hubmem.cli.scan_progress import show_progress
    from hubmem.hub.opening import Access
    from hubmem.request import Request
    from hubmem.scanning.job import Job, carried_out, forecast_lines
    from hubmem.scanning.listing import Search
    from hubmem.scanning.pace import QuotaPacer

    searched = Search(author=author, search=search, filters=filters, sort=sort, limit=limit)
    job = Job(
        names=names,
        search=searched if searched != Search() else None,
        request=Request.of(**request),
        output=output,
        lines=output_format == "jsonl",
        ordered=ordered,
        by_counts=counts,
        refresh=refresh,
        executor=executor,
        threads=threads,
    )
    if dry_run:
        click.echo("\n".join(forecast_lines(job)))
        return 0
    pacer = QuotaPacer()
    kept = str(output or "")
    with show_progress(verbose=verbose, pacer=pacer, total=job.total(), kept=kept) as progress:
        access = Access(offline=offline, bundled=not no_bundled, observer=progress, warn=progress.warn)
        with carried_out(job, access, pacer=pacer, write_line=print_line, tell=progress.tell) as store:
            if not job.lines:
                values = (result.value for _, result in store.answers())
                _render(values, job.fingerprint, output_format, output)
            progress.summarize(store)
            return int(check and store.misfits() > 0)


def _ask(names: tuple[str, ...], query: str, output_format: str, output: Path | None) -> int:
    """Answer a question from a store."""
    from hubmem.cli.output import deliver_parts
    from hubmem.scanning import query as questions

    store = questions.find_store(names, Path())
    if questions.is_statement(query):
        deliver_parts(questions.table(store, query, output_format), output)
    elif output_format == "jsonl":
        deliver_parts((f"{line}\n" for line in questions.reports(store, query)), output)
    else:
        _render(questions.reports(store, query), questions.asked(store), output_format, output)
    return 0


def _render(values: Iterator[str], asked: str, output_format: str, output: Path | None) -> None:
    """Results in another form than their own."""
    from hubmem.cli.output import deliver_parts, refusing, replacing
    from hubmem.render import html, rows
    from hubmem.scanning import parquet
    from hubmem.scanning.fingerprint import columns_of, in_words

    gpus = columns_of(asked)
    flat = (rows.Row.of(json.loads(value)) for value in values)
    if output_format == "parquet":
        if output is None:
            raise click.UsageError("--format parquet needs --output.")
        with refusing(output), replacing(output) as temporary:
            parquet.write(temporary, flat, gpus)
    elif output_format == "html":
        deliver_parts(html.render(flat, gpus, asked=in_words(asked)), output)
    elif output_format == "csv":
        deliver_parts(rows.render_csv(flat, gpus), output)
    else:
        deliver_parts(rows.render_markdown(flat, gpus), output)
