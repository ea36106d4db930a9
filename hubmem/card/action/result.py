"""What a run of the Action found, and what that means for the job."""

import json
from dataclasses import dataclass
from typing import Any

from hubmem.card.action.changes import Change
from hubmem.card.action.inputs import Inputs, Mode
from hubmem.card.action.requirements import Judgement
from hubmem.card.outcome import Outcome, State
from hubmem.errors import UsageError
from hubmem.fit.verdict import Answer

# GitHub accepts 1 MB of outputs a job; beside the reports, the rest is small.
_LARGEST_JSON = 900_000
_WORST_FIRST = (Answer.NO, Answer.TIGHT, Answer.FITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedOutcome:
    """A card by its path in the repository."""

    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything a run found.

    Attributes:
        changes: what a pull request changes, of models it changes something about.
        from_fork: whether the pull request comes from a fork, whose jobs get no secrets.
    """

    inputs: Inputs
    outcomes: tuple[NamedOutcome, ...]
    judgements: tuple[Judgement, ...]
    changes: tuple[Change, ...] = ()
    from_fork: bool = False

    @property
    def verdict(self) -> str:
        """The worst answer to a requirement or, without any, for the accelerators asked about; or ""."""
        answers = {each.answer for each in self.judgements}
        if not self.inputs.requirements and self.inputs.settings.gpus:
            parts = [part for each in self.outcomes for part in each.outcome.parts]
            answers = {verdict.fit.answer for part in parts for verdict in part.report.verdicts}
        return next((answer.value for answer in _WORST_FIRST if answer in answers), "")

    @property
    def stale(self) -> bool:
        """Whether a section was not what it should be."""
        return any(each.outcome.state in (State.STALE, State.WRITTEN) for each in self.outcomes)

    @property
    def unjudged(self) -> bool:
        """Whether something is required, and no model was held against it."""
        return bool(self.inputs.requirements) and not self.judgements

    @property
    def exit_code(self) -> int:
        """0, or that of the gravest failure."""
        codes = [1 for each in self.judgements if each.answer is Answer.NO]
        codes += [self._exit_code_of(each.outcome) for each in self.outcomes]
        if self.unjudged and not self.from_fork:
            codes.append(1)
        return max(codes, default=0)

    def forgives(self, outcome: Outcome) -> bool:
        """Whether a card whose model cannot be read does not fail the job.

        A fork has no token for a gated model, and a mere report has nothing at stake.
        """
        nothing_at_stake = self.inputs.mode is Mode.REPORT and not self.inputs.requirements
        return outcome.exit_code > UsageError.exit_code and (self.from_fork or nothing_at_stake)

    def to_json(self) -> str:
        """The result as JSON; without the reports where GitHub would not take them."""
        whole = json.dumps(self._to_dict(with_reports=True), ensure_ascii=False)
        if len(whole.encode()) <= _LARGEST_JSON:
            return whole
        return json.dumps(self._to_dict(with_reports=False), ensure_ascii=False)

    def _exit_code_of(self, outcome: Outcome) -> int:
        if outcome.state is State.STALE:
            return int(self.inputs.mode is Mode.CHECK)
        return 0 if self.forgives(outcome) else outcome.exit_code

    def _to_dict(self, *, with_reports: bool) -> dict[str, Any]:
        return {
            "mode": self.inputs.mode.value,
            "verdict": self.verdict,
            "changed": self.stale,
            "cards": [_card_dict(each, with_reports=with_reports) for each in self.outcomes],
            "requirements": [_judgement_dict(each) for each in self.judgements],
            "changes": [{"card": each.card, **each.difference.to_dict()} for each in self.changes],
        }


def _card_dict(named: NamedOutcome, *, with_reports: bool) -> dict[str, Any]:
    outcome = named.outcome
    return {
        "card": named.name,
        "state": outcome.state.value,
        "message": outcome.message,
        "models": [part.subject.label for part in outcome.parts],
        "reports": [part.report.to_dict() for part in outcome.parts] if with_reports else [],
    }


def _judgement_dict(judgement: Judgement) -> dict[str, Any]:
    return {
        "model": judgement.model,
        "requirement": judgement.requirement.text,
        "verdict": judgement.answer.value,
        "reason": judgement.reason,
    }
