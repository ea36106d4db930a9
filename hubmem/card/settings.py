"""What a card's section is to be about: said by the command, or by the card's own start marker.

What the command says is written into the marker, so that the next run needs no arguments to come to the same
section: `<!-- hubmem:start repo="org/name" gpus="RTX-4090, 2xA100-80GB" context="8k, 32k" train="lora" -->`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from hubmem.card.refusal import CardRefused
from hubmem.errors import UsageError
from hubmem.fit.gpus import parse_target
from hubmem.hub.opening import split_revision
from hubmem.hub.remote import check_repo_id
from hubmem.memory.workload import Training
from hubmem.units import format_tokens, parse_tokens

_SETTING = re.compile(r'\s*([a-z]+)="([^"]*)"')
# What would end the comment the marker is, or one of its settings.
_UNWRITABLE = re.compile(r'--|[">\r\n]')
_TRAININGS: dict[str, Training] = {"lora": "lora", "qlora": "qlora", "full": "full"}
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Empty where nothing is said.

    Attributes:
        repo: models, `owner/name` or `owner/name@revision`.
        gpus: as `--gpu` takes them.
        context: tokens of a sequence, the first for the fit matrix.
        train: kinds of fine-tuning to plan.
    """

    repo: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    context: tuple[int, ...] = ()
    train: tuple[Training, ...] = ()

    def over(self, other: "Settings") -> "Settings":
        """These, and the other's where these say nothing."""
        return Settings(
            **{each.name: getattr(self, each.name) or getattr(other, each.name) for each in fields(self)}
        )


def parse_marker(text: str, line: int) -> Settings:
    """The settings in a start marker.

    Raises:
        CardRefused: not a list of known settings with values that mean something.
    """
    found: dict[str, str] = {}
    at = 0
    while setting := _SETTING.match(text, at):
        found[setting[1]] = setting[2]
        at = setting.end()
    if text[at:].strip():
        raise CardRefused(
            f"{text[at:].strip()!r} is no setting.",
            line=line,
            hint='Settings look like repo="org/name" gpus="RTX-4090, H100-80GB" context="8k, 32k".',
        )
    try:
        return parse(found)
    except UsageError as error:
        raise CardRefused(str(error), line=line, hint=error.hint) from error


def parse(values: Mapping[str, str]) -> Settings:
    """Settings from comma lists by name.

    >>> parse({"gpus": "RTX-4090, 2xA100-80GB", "context": "8k"}).context
    (8192,)

    Raises:
        UsageError: an unknown setting, or a value that means nothing.
    """
    known = [each.name for each in fields(Settings)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UsageError(f"Unknown setting {unknown[0]!r}.", hint=f"Known: {', '.join(known)}.")
    return Settings(
        repo=_list(values.get("repo", ""), _repo),
        gpus=_list(values.get("gpus", ""), _gpu),
        context=_list(values.get("context", ""), parse_tokens),
        train=_list(values.get("train", ""), _training),
    )


def to_marker(settings: Settings) -> str:
    """The settings as a start marker says them.

    >>> to_marker(Settings(repo=("org/name",), context=(8192, 32768)))
    'repo="org/name" context="8k, 32k"'
    """
    written = {
        "repo": ", ".join(settings.repo),
        "gpus": ", ".join(settings.gpus),
        "context": ", ".join(format_tokens(tokens).replace(",", "") for tokens in settings.context),
        "train": ", ".join(settings.train),
    }
    return " ".join(f'{name}="{text}"' for name, text in written.items() if text)


def _list(text: str, read: Callable[[str], _Value]) -> tuple[_Value, ...]:
    return tuple(read(each.strip()) for each in text.split(",") if each.strip())


def _repo(text: str) -> str:
    repo, revision = split_revision(text)
    check_repo_id(repo)
    return f"{repo}@{_writable(revision)}" if revision else repo


def _gpu(text: str) -> str:
    parse_target(text)
    return _writable(text)


def _training(text: str) -> Training:
    if text not in _TRAININGS:
        raise UsageError(f"Unknown kind of fine-tuning {text!r}.", hint=f"Known: {', '.join(_TRAININGS)}.")
    return _TRAININGS[text]


def _writable(text: str) -> str:
    if _UNWRITABLE.search(text):
        raise UsageError(f"{text!r} cannot be written in a marker.")
    return text
