"""What a workflow asks of the Action: the inputs of action.yml, which come as environment variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from hubmem.card.action.requirements import Requirement, parse_requirements
from hubmem.card.settings import Settings, parse
from hubmem.errors import UsageError

# A list may be written on one line with commas, or on several.
_SEPARATOR = re.compile(r"[,\n]")


class Mode(str, Enum):
    """What is done about cards that are out of date."""

    CHECK = "check"
    """The job fails."""
    UPDATE = "update"
    """They are written in the workspace; a later step may commit them."""
    REPORT = "report"
    """Nothing; the summary tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs, read.

    Attributes:
        cards: glob patterns from the workspace's root.
        token: for GitHub's API; "" for no comment.
    """

    cards: tuple[str, ...]
    settings: Settings
    mode: Mode
    requirements: tuple[Requirement, ...]
    token: str


def read_inputs(environment: Mapping[str, str]) -> Inputs:
    """Read the variables `HUBMEM_CARDS`, `HUBMEM_REPO` … that action.yml sets; an empty one counts as none.

    Raises:
        UsageError: an input that means nothing.
    """

    def listed(name: str) -> tuple[str, ...]:
        parts = (part.strip() for part in _SEPARATOR.split(environment.get(f"HUBMEM_{name}", "")))
        return tuple(part for part in parts if part)

    settings = {name: ", ".join(listed(name.upper())) for name in ("repo", "gpus", "context", "train")}
    return Inputs(
        cards=listed("CARDS") or ("README.md",),
        settings=parse(settings),
        mode=_mode(environment.get("HUBMEM_MODE", "").strip() or Mode.CHECK.value),
        requirements=parse_requirements(environment.get("HUBMEM_REQUIRE", "")),
        token=environment.get("HUBMEM_TOKEN", ""),
    )


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        known = ", ".join(mode.value for mode in Mode)
        raise UsageError(f"Unknown mode {text!r}.", hint=f"Known: {known}.") from None
