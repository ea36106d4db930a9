"""The programs of a case take turns; medians over the rounds, of ratios within a round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.inspect.hub import Hub
from tests.benchmarks.inspect.programs import Program, Run
from tests.benchmarks.inspect.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked of the first program of a case: at most so much of something."""

    name: str
    most: float
    of: Callable[["Measured"], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question put to several programs.

    Attributes:
        programs: the measured one first.
        baseline: the name of the program that ratios are of.
        one_call: whether the Hub has the endpoint for all headers at once.
        warm: whether each run finds what the program's run before it has stored.
    """

    name: str
    repo: str
    programs: tuple[Program, ...]
    baseline: str = "hf-mem"
    one_call: bool = True
    warm: bool = False
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One program in one case.

    Attributes:
        wall_seconds, cpu_seconds: medians.
        wall_ratio, cpu_ratio: medians of the ratios to the baseline in the same round; None without one.
        traffic: of the round with the fewest waves; a machine that stalls makes one wave look like two.
        peak_bytes: the most of any round.
        header_nbytes: of all headers of the repo.
    """

    program: str
    wall_seconds: float
    cpu_seconds: float
    wall_ratio: float | None
    cpu_ratio: float | None
    peak_bytes: int
    traffic: Traffic
    header_nbytes: int

    @property
    def per_header_byte(self) -> float:
        """Bytes received for each byte of the headers."""
        return self.traffic.nbytes / self.header_nbytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    run: Run
    traffic: Traffic


def measure(case: Case, hub: Hub, rounds: int) -> list[Measured]:
    """Run a case, each program once unmeasured and then once a round."""
    turns: dict[str, list[_Turn]] = {program.name: [] for program in case.programs}
    with TemporaryDirectory(prefix="hubmem-benchmark-") as folder:
        for number in range(rounds + 1):
            for program in case.programs:
                home = Path(folder, program.name.replace(" ", "-"), "" if case.warm else str(number))
                turns[program.name].append(_take_turn(case, program, hub, home))
    # The first run compiles what Python keeps compiled, and stores what a warm run finds.
    measured = {name: taken[1:] for name, taken in turns.items()}
    header_nbytes = hub.header_nbytes[case.repo]
    return [
        _summary(name, taken, measured.get(case.baseline), header_nbytes) for name, taken in measured.items()
    ]


def _take_turn(case: Case, program: Program, hub: Hub, home: Path) -> _Turn:
    hub.begin(one_call=case.one_call)
    run = program.run(endpoint=hub.endpoint, repo=case.repo, home=home)
    return _Turn(run=run, traffic=hub.traffic())


def _summary(
    name: str, turns: Sequence[_Turn], baseline: Sequence[_Turn] | None, header_nbytes: int
) -> Measured:
    walls = [turn.run.wall_seconds for turn in turns]
    cpus = [turn.run.cpu_seconds for turn in turns]
    return Measured(
        program=name,
        wall_seconds=median(walls),
        cpu_seconds=median(cpus),
        wall_ratio=_median_ratio(walls, [turn.run.wall_seconds for turn in baseline]) if baseline else None,
        cpu_ratio=_median_ratio(cpus, [turn.run.cpu_seconds for turn in baseline]) if baseline else None,
        peak_bytes=max(turn.run.peak_bytes for turn in turns),
        traffic=min((turn.traffic for turn in turns), key=lambda traffic: traffic.waves),
        header_nbytes=header_nbytes,
    )


def _median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return median(own / other for own, other in zip(ours, theirs, strict=True))
