"""What a run asked for and was sent, from the Hub's log."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.hub_server import LoggedRequest

LATENCY_SECONDS = 0.040


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one run cost the network.

    Attributes:
        waves: requests that could only be sent after an earlier one was answered, counted in a row.
        nbytes: of the bodies, as sent: compressed where the client takes that.
        weight_nbytes: those of them that lie behind a weight file's header.
    """

    requests: int
    waves: int
    nbytes: int
    weight_nbytes: int


def traffic_of(log: Sequence[LoggedRequest]) -> Traffic:
    """The sums over a log."""
    return Traffic(
        requests=len(log),
        waves=waves([entry.arrived_seconds for entry in log]),
        nbytes=sum(entry.bytes_sent for entry in log),
        weight_nbytes=sum(entry.weight_bytes_sent for entry in log),
    )


def waves(arrivals: Sequence[float]) -> int:
    """The longest row of requests of which each arrived after the one before it was answered."""
    count, answered = 0, 0.0
    for arrived in sorted(arrivals):
        if arrived >= answered:
            count, answered = count + 1, arrived + LATENCY_SECONDS
    return count
