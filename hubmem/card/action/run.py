"""One run of the Action: examine the cards, judge their models, tell the runner."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from hubmem.card import files
from hubmem.card.action.changes import changes_since
from hubmem.card.action.comments import Comments
from hubmem.card.action.inputs import Inputs, Mode, read_inputs
from hubmem.card.action.page import page
from hubmem.card.action.requirements import judge
from hubmem.card.action.result import NamedOutcome, Result
from hubmem.card.action.runner import Level, Runner
from hubmem.card.outcome import Job, State, examine, write
from hubmem.errors import HubmemError, UsageError
from hubmem.fit.verdict import Answer
from hubmem.hub.opening import Access, open_session

_TITLE = "hubmem"


def run(runner: Runner, write_file: Callable[[Path, bytes], None]) -> int:
    """Do what the workflow asks, tell the runner, and return an exit code.

    Args:
        runner: with the inputs among its environment variables.
        write_file: writes a file whole or not at all.
    """
    try:
        inputs = read_inputs(runner.environment)
        result = _result(inputs, runner, write_file)
    except HubmemError as error:
        runner.annotate("error", f"{error} {error.hint}".strip(), title=_TITLE)
        return error.exit_code
    _tell(result, runner)
    return result.exit_code


def _result(inputs: Inputs, runner: Runner, write_file: Callable[[Path, bytes], None]) -> Result:
    root, pull_request = runner.workspace, runner.pull_request
    paths = files.matching(root, inputs.cards)
    if not paths:
        raise UsageError(f"No card matches {', '.join(inputs.cards)}.", hint="Is the repository checked out?")
    access = Access(bundled=False, session=open_session(warn=runner.show))
    outcomes = examine(paths, Job(asked=inputs.settings, access=access, insert=True, root=root))
    if inputs.mode is Mode.UPDATE:
        outcomes = [write(each, write_file) for each in outcomes]
    named = [(each.path.relative_to(root).as_posix(), each) for each in outcomes]
    changes = (
        changes_since(pull_request.base, named, asked=inputs.settings, access=access) if pull_request else ()
    )
    return Result(
        inputs=inputs,
        outcomes=tuple(NamedOutcome(name=name, outcome=outcome) for name, outcome in named),
        judgements=tuple(judge((part for each in outcomes for part in each.parts), inputs.requirements)),
        changes=tuple(changes),
        from_fork=bool(pull_request and pull_request.from_fork),
    )


def _tell(result: Result, runner: Runner) -> None:
    for each in result.outcomes:
        _tell_of_card(each, result, runner)
    for judgement in result.judgements:
        if judgement.answer is Answer.NO:
            message = f"{judgement.model} does not meet `{judgement.requirement.text}`: {judgement.reason}"
            runner.annotate("error", message, title=_TITLE)
    if result.unjudged:
        level: Level = "warning" if result.from_fork else "error"
        runner.annotate(level, "Nothing was held against what is required.", title=_TITLE)
    text = page(result)
    runner.summarize(text)
    runner.output("summary", text)
    runner.output("changed", str(result.stale).lower())
    runner.output("verdict", result.verdict)
    runner.output("json", result.to_json())
    _comment(result, text, runner)


def _tell_of_card(named: NamedOutcome, result: Result, runner: Runner) -> None:
    outcome = named.outcome
    runner.show(outcome.describe(named.name))
    if outcome.state is State.STALE:
        runner.show(outcome.diff(named.name))
        level: Level = "error" if result.inputs.mode is Mode.CHECK else "notice"
        message = "The memory section is out of date; `mode: update` or `hubmem card --insert` writes it."
        runner.annotate(level, message, file=named.name, line=outcome.line or 1, title=_TITLE)
    if outcome.state is State.FAILED:
        level = "warning" if result.forgives(outcome) else "error"
        message = f"{outcome.message} {outcome.hint}".strip()
        runner.annotate(level, message, file=named.name, line=outcome.line or 1, title=_TITLE)
    if outcome.card and outcome.card.caution:
        runner.annotate("warning", outcome.card.caution, file=named.name, line=1, title=_TITLE)


def _comment(result: Result, text: str, runner: Runner) -> None:
    """Keep one comment on the pull request, begun when there is something to say about it."""
    pull_request, environment = runner.pull_request, runner.environment
    if pull_request is None or pull_request.from_fork or not result.inputs.token:
        return
    comments = Comments(
        api=environment.get("GITHUB_API_URL", "https://api.github.com"),
        repository=environment.get("GITHUB_REPOSITORY", ""),
        number=pull_request.number,
        token=result.inputs.token,
    )
    worth_a_comment = result.stale or bool(result.changes) or result.exit_code > 0
    # Several jobs of one repository may each have a comment of their own; two dashes would end its marker.
    key = quote(",".join(result.inputs.cards), safe="*/,").replace("--", "-")
    problem = comments.keep(key, text, create=worth_a_comment)
    if problem:
        runner.show(f"No comment on the pull request: {problem}")
