"""Plans made on a Dask cluster: a real scheduler and two workers on loopback."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import hubmem
import pytest
from hubmem.errors import UsageError
from hubmem.report import Report
from hubmem.scanning.executors import open_executor

from tests.hub_server import HubServer
from tests.scanning.conftest import Outcome, without_cost
from tests.scanning.models import models

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed: hubmem[dask]")

Hub = Callable[..., HubServer]
NAMES = [f"org/m{number}" for number in range(40)]


@pytest.fixture
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def address(cluster: Any) -> str:
    return str(cluster.scheduler_address).replace("tcp://", "dask://")


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_reports_of_threads(hub: Hub, scan: Callable[..., Outcome], cluster: Any) -> None:
    hub(*models(40))

    there = scan(*NAMES, "--executor", address(cluster))
    here = scan(*NAMES)

    assert there.code == 0
    assert "The executor failed" not in there.err
    assert without_cost(there.lines) == without_cost(here.lines)


@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_is_killed_loses_nothing(hub: Hub, cluster: Any) -> None:
    hub(*models(40))

    with open_executor(address(cluster)) as executor:
        scan = hubmem.scan(NAMES, executor=executor)
        answers = [next(scan)]
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        answers += scan

    assert all(isinstance(answer, Report) for answer in answers)
    assert sorted(answer.to_dict()["repo"] for answer in answers) == sorted(NAMES)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="No Dask scheduler"), open_executor("dask://127.0.0.1:1"):
        pass
