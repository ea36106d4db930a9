"""A repo that cannot be answered for is an answer too: a value with its reason, never the end of a scan."""

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from hubmem import errors

SCHEMA = "hubmem.skipped/1"
# A fault of hubmem's own: the repo is passed over, and the message asks for a report.
_FAULT = "internal-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Why there is no report for a repo.

    Attributes:
        repo: as it was asked for.
        reason: one of a few words that can be counted, such as `gated` or `no-weights`.
        message: what is wrong, in a sentence.
        hint: what to do next, or "".
        retryable: whether the same scan may succeed later.
        commit: what was judged, where it is known.
    """

    repo: str
    reason: str
    message: str
    hint: str = ""
    retryable: bool = False
    commit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values, schema `hubmem.skipped/1`."""
        return {
            "schema": SCHEMA,
            "repo": self.repo,
            "commit": self.commit,
            "reason": self.reason,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
        }


def skipped(repo: str, error: Exception, *, commit: str | None = None) -> Skipped:
    """The skip an error leads to; the most specific reason of its class wins."""
    if not isinstance(error, errors.HubmemError):
        return Skipped(
            repo=repo,
            reason=_FAULT,
            message=f"{type(error).__name__}: {error} ({_place(error)})",
            hint="This is a fault of hubmem: please report it with the repo's name.",
            commit=commit,
        )
    return Skipped(
        repo=repo,
        reason=reason_of(type(error)),
        message=str(error),
        hint=error.hint,
        retryable=error.retryable,
        commit=commit,
    )


def _place(error: Exception) -> str:
    """Where it was raised, for who is to mend it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "elsewhere"


def reason_of(kind: type[errors.HubmemError]) -> str:
    """The reason of an error class: its own, or that of the nearest class above it.

    >>> reason_of(errors.NoWeights), reason_of(errors.UnknownGpu)
    ('no-weights', 'usage')
    """
    return next(REASONS[base] for base in _bases(kind) if base in REASONS)


def _bases(kind: type[errors.HubmemError]) -> Iterator[type[errors.HubmemError]]:
    return (base for base in kind.__mro__ if issubclass(base, errors.HubmemError))


REASONS: Mapping[type[errors.HubmemError], str] = {
    errors.HubmemError: "unreadable",
    errors.UsageError: "usage",
    errors.UnreadableRepo: "unreadable",
    errors.RepoNotFound: "not-found",
    errors.RevisionNotFound: "revision-not-found",
    errors.GatedRepo: "gated",
    errors.TokenRefused: "token-refused",
    errors.RangeIgnored: "range-ignored",
    errors.NoWeights: "no-weights",
    errors.MalformedConfig: "malformed-config",
    errors.MalformedWeights: "malformed-weights",
    errors.HubUnreachable: "unreachable",
    errors.NotCached: "not-cached",
    errors.RateLimited: "rate-limited",
}
