"""`--help` of a command with many options: in sections, by the bundles the options come in."""

from collections.abc import Callable
from typing import Any

import click

from hubmem.cli import options

_OTHERS = "Options"
# As they are shown. An option that is in several of these bundles belongs to the smallest.
_SECTIONS: dict[str, Callable[[Any], Any]] = {
    "GPUs": options.request_options,
    "Workload": options.workload_options,
    "Engine": options.engine_options,
    "Parallelism": options.division_options,
    "Training": options.training_options,
    "Files": options.file_options,
    "The Hub": options.access_options,
}


class SectionedCommand(click.Command):
    """A command whose options are listed by what they are about."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of options for each section that has any."""
        section_of = _section_of_each()
        found: dict[str, list[tuple[str, str]]] = {title: [] for title in (_OTHERS, *_SECTIONS)}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record and isinstance(option, click.Option):
                found[section_of.get(option.name, _OTHERS)].append(record)
        for title, records in found.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _section_of_each() -> dict[str | None, str]:
    """The section of every option that is in a bundle, by its name."""
    names = {title: _names(bundle) for title, bundle in _SECTIONS.items()}
    largest_first = sorted(names, key=lambda title: -len(names[title]))
    return {name: title for title in largest_first for name in names[title]}


def _names(bundle: Callable[[Any], Any]) -> list[str | None]:
    @bundle
    def command() -> None:
        """Nothing but options."""

    parameters: list[click.Parameter] = command.__click_params__
    return [parameter.name for parameter in parameters]
