"""Which model a card means."""

from collections.abc import Sequence
from dataclasses import dataclass

from hubmem.card.front_matter import Metadata
from hubmem.errors import UsageError
from hubmem.hub.opening import split_revision
from hubmem.hub.remote import check_repo_id

_HOW_TO_SAY = 'Name it with --repo, or in the card: <!-- hubmem:start repo="org/name" -->.'
# How the model of a card was made from its base model, in words that continue "the base model X, …".
_IN_WORDS = {
    "finetune": "which this model is fine-tuned from",
    "adapter": "which this adapter is loaded onto; the adapter's own weights come on top",
    "quantized": "before the quantization that this card is about",
    "merge": "which this model is merged from",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model that a card's section is about.

    Attributes:
        repo: on the Hub, or None for weight files that lie beside the card and belong to no known repo.
        beside: whether its weight files lie beside the card.
        relation: how the card's own model was made from this one, in words; "" where this is the card's own.
    """

    repo: str | None
    revision: str | None = None
    beside: bool = False
    relation: str = ""

    @property
    def name(self) -> str:
        """The repo with its revision; "" for weight files that belong to none."""
        return f"{self.repo}@{self.revision}" if self.repo and self.revision else self.repo or ""

    @property
    def label(self) -> str:
        """What to call it in a message."""
        return self.name or "the weight files beside the card"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSubject:
    """A card about no model that could be told: skipped, and named."""

    reason: str
    hint: str = ""


def subjects_of(
    *, asked: Sequence[str], metadata: Metadata, remote: str | None, weights_beside: bool
) -> tuple[Subject, ...] | NoSubject:
    """The models a card means.

    Args:
        asked: models named by the command or by the card's marker; they come first.
        metadata: of the card's front matter; its base model comes last, because it is another model.
        remote: the Hub's repo the card's folder is a clone of.
        weights_beside: whether weight files lie beside the card; they are read before the Hub is asked.
    """
    own = tuple(_asked(model) for model in asked) or ((Subject(repo=remote),) if remote else ())
    if weights_beside and len(own) <= 1 and not any(subject.revision for subject in own):
        return (Subject(repo=own[0].repo if own else None, beside=True),)
    return own or _base(metadata)


def _asked(model: str) -> Subject:
    repo, revision = split_revision(model)
    return Subject(repo=repo, revision=revision)


def _base(metadata: Metadata) -> tuple[Subject, ...] | NoSubject:
    if metadata.kind != "model":
        return NoSubject(reason=f"it is the card of a {metadata.kind}, and names no model.")
    named = dict.fromkeys(metadata.base_model)
    if not named:
        return NoSubject(reason="it names no model.", hint=_HOW_TO_SAY)
    if len(named) > 1:
        return NoSubject(
            reason=f"it names {len(named)} base models and not which of them its figures should be of.",
            hint=_HOW_TO_SAY,
        )
    [base] = named
    try:
        check_repo_id(base)
    except UsageError:
        return NoSubject(reason=f"its base model {base!r} is not a repo on the Hub.", hint=_HOW_TO_SAY)
    relation = _IN_WORDS.get(metadata.base_model_relation, "which this model is made from")
    return (Subject(repo=base, relation=relation),)
