"""A scan that keeps what it finds: settled repos are answered from the store, the others are read."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from hubmem.report import Report
from hubmem.scanning.listing import Candidate
from hubmem.scanning.scan import Answer, Planning, Reading, answers, plan_all
from hubmem.scanning.store import Result, Store

# Controls that JSON lets pass, and the separators at which some tools break lines.
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def run(
    candidates: Iterable[Candidate],
    *,
    store: Store,
    reading: Reading,
    planning: Planning,
    refresh: bool,
    listeners: Sequence[Callable[[Result], None]],
) -> None:
    """Answer for each candidate once, and keep each answer before going on.

    Args:
        candidates: asked for as they are needed.
        store: where answers are kept, and found if they still stand.
        reading: what the others are read with.
        planning: what they are asked; makes a `Result` of each.
        refresh: whether repos that have moved since they were stored are read again.
        listeners: called with each answer once the store has it.

    Raises:
        HubUnreachable: the Hub has failed many repos in a row.
        StoreUnavailable: the store cannot be written.
    """

    def settle(result: Result) -> None:
        store.answered(result.repo)
        for tell in listeners:
            tell(result)

    def keep(result: Result) -> None:
        store.put(result)
        settle(result)

    def unsettled() -> Iterator[str]:
        for candidate in candidates:
            if not store.ask(candidate.repo):
                continue
            known = store.find(candidate.repo)
            if known and _is_settled(known, candidate, refresh=refresh):
                settle(known)
            elif candidate.known:
                (result,) = plan_all([(candidate.repo, candidate.known)], planning.request, planning.then)
                keep(result)
            else:
                yield candidate.repo

    for result in answers(unsettled(), reading, planning):
        keep(result)


def _is_settled(known: Result, candidate: Candidate, *, refresh: bool) -> bool:
    """Whether a stored answer stands: no try would mend it, and where asked, it is of the present commit."""
    if known.retryable:
        return False
    return not refresh or (known.commit is not None and known.commit == candidate.commit)


def result_of(repo: str, answer: Answer) -> Result:
    """An answer as the store keeps it."""
    if isinstance(answer, Report):
        commit, retryable = answer.snapshot.listing.commit, False
    else:
        commit, retryable = answer.commit, answer.retryable
    return Result(
        repo=repo,
        commit=commit,
        is_report=isinstance(answer, Report),
        retryable=retryable,
        value=_json(answer.to_dict()),
    )


def _json(value: object) -> str:
    r"""One line of JSON; what a terminal may obey, and half a surrogate pair, are written as JSON's own escapes.

    >>> _json({"model_type": "×\ud800\x9b"})
    '{"model_type":"×\\ud800\\u009b"}'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)
    return text.encode("utf-8", "backslashreplace").decode()
