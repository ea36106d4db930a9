"""`hubmem card CARD…`: write or check the memory section of model cards."""

from pathlib import Path

import click

from hubmem.cli.options import access_options


@click.command()
@click.argument("cards", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CARD|FOLDER…")
@click.option("--repo", default="", metavar="REPO[@REVISION]", help="The model.  [default: as the card says]")
@click.option(
    "--gpu",
    "gpus",
    multiple=True,
    metavar="[N×]GPU",
    help="A row of the fit matrix.  [default: some usual ones]",
)
@click.option(
    "--context",
    "contexts",
    multiple=True,
    metavar="TOKENS",
    help="Show this length; the fit matrix is at the first.  [default: 8k and 32k]",
)
@click.option(
    "--train",
    "trainings",
    multiple=True,
    metavar="KIND",
    help="Show this kind of fine-tuning: lora, qlora, full.  [default: all of them]",
)
@click.option(
    "--check", is_flag=True, help="Write nothing: show what would change; exit 1 if anything would."
)
@click.option("--insert", is_flag=True, help="Give cards that have none a section, after the first heading.")
@access_options
def card(
    cards: tuple[Path, ...],
    *,
    repo: str,
    gpus: tuple[str, ...],
    contexts: tuple[str, ...],
    trainings: tuple[str, ...],
    check: bool,
    insert: bool,
    revision: str | None,
    offline: bool,
    no_bundled: bool,
    verbose: bool,
) -> int:
    """Write what a model takes and where it fits into its card, between two markers.

    \b
      hubmem card README.md --insert
      hubmem card README.md --check
      hubmem card models --repo Qwen/Qwen3-8B --gpu RTX-4090 --gpu 2xH100-80GB

    \b
        <!-- hubmem:start -->
        <!-- hubmem:end -->

    Everything outside the markers stays as it is, byte for byte. The model is named by --repo, by the start
    marker (<!-- hubmem:start repo="org/name" -->), by the git remote, or by base_model in the front matter;
    weight files beside the card are read first. Options are written into the marker.

    \b
    Exit codes: 0 done · 1 a card is out of date (--check)
    · 2 a card or an option makes no sense · 3 a model cannot be read
    · 4 the Hub could not be reached. A card that fails is left as it is.
    """  # noqa: D301 - click wants the character itself
    from hubmem.card import files, outcome, settings
    from hubmem.cli.output import write_atomically
    from hubmem.cli.progress import TerminalObserver, warn
    from hubmem.hub.opening import Access

    asked = settings.parse(
        {"repo": repo, "gpus": ",".join(gpus), "context": ",".join(contexts), "train": ",".join(trainings)}
    )
    observer = TerminalObserver(verbose=verbose)
    access = Access(
        revision=revision, offline=offline, bundled=offline and not no_bundled, observer=observer, warn=warn
    )
    job = outcome.Job(asked=asked, access=access, insert=insert)
    try:
        outcomes = outcome.examine(files.find(cards), job)
    finally:
        observer.finish()
    if not check:
        outcomes = [outcome.write(each, write_atomically) for each in outcomes]
    for each in outcomes:
        click.echo(each.diff(str(each.path)) if each.state is outcome.State.STALE else "", nl=False)
        click.echo(each.describe(str(each.path)), err=True)
    return outcome.exit_code(outcomes)
