"""The step in a process of its own: what its inputs and the job's variables say to the Hub's client."""

import pytest

from tests.card.action.job import NAMED, Job
from tests.hub_server import Repo, files_of
from tests.hub_server.access import TOKEN_OK
from tests.hub_server.examples import LLAMA


@pytest.fixture
def job(tmp_path, serve) -> Job:
    hub = serve(Repo("org/small", files_of(LLAMA), gated="manual"))
    job = Job.begin(tmp_path)
    job.card(NAMED)
    job.inputs |= {"mode": "update", "endpoint": hub.endpoint}
    return job


@pytest.mark.parametrize(
    ("hf_token", "of_the_job"),
    [(TOKEN_OK, ""), ("", TOKEN_OK), (TOKEN_OK, "hf_another")],
    ids=["an input", "the job's own", "an input before the job's own"],
)
def test_a_gated_model_is_read_with_the_token(job, hf_token, of_the_job):
    job.environment["HF_TOKEN"] = of_the_job

    done = job.process(hf_token=hf_token)

    assert done.returncode == 0, done.stdout + done.stderr
    assert job.outputs["changed"] == "true"


def test_without_a_token_the_job_fails_and_says_why(job):
    done = job.process()

    assert done.returncode == 3
    assert "org/small is gated" in done.stdout
