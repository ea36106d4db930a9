"""Solvers on real plans: what they answer fits, and one more does not."""

from dataclasses import replace
from typing import Any

import pytest
from hubmem import inspect
from hubmem.errors import UsageError
from hubmem.fit.matrix import Verdict
from hubmem.fit.verdict import COUNTS, Answer, hold
from hubmem.memory.workload import Workload

CASES = [
    ("meta-llama/Llama-3.1-8B", "RTX-4090", {}),
    ("meta-llama/Llama-3.1-8B", "2xL4", {"engine": "vllm"}),
    ("meta-llama/Llama-3.1-8B", "RTX-4090", {"engine": "llama.cpp"}),
    ("google/gemma-2-9b", "L40S", {"engine": "vllm"}),
    ("mistralai/Mixtral-8x7B-v0.1", "2xH100-80GB", {"dtype": "fp8"}),
    ("openai/gpt-oss-20b", "24GiB", {}),
    ("meta-llama/Llama-3.2-1B", "RTX-4090", {"train": "full", "checkpointing": "full"}),
    ("meta-llama/Llama-3.1-8B", "A100-80GB", {"train": "lora", "context": 2048}),
]
cases = pytest.mark.parametrize(("repo", "gpu", "request_"), CASES, ids=str)


def verdict_of(repo: str, gpu: str, request_: dict[str, Any]) -> Verdict:
    [verdict] = inspect(repo, offline=True, gpus=[gpu], **request_).verdicts
    return verdict


def fits(verdict: Verdict, **changes) -> bool:
    plan = verdict.solver.plan_for(replace(verdict.workload, **changes))
    return hold(plan, verdict.gpu).answer is not Answer.NO


@cases
def test_the_longest_context_fits_and_one_token_more_does_not(repo, gpu, request_):
    verdict = verdict_of(repo, gpu, request_)
    longest = verdict.max_context

    assert longest is not None
    assert fits(verdict, context=longest)
    assert longest == verdict.solver.max_context or not fits(verdict, context=longest + 1)


@cases
def test_the_largest_batch_fits_and_one_more_does_not(repo, gpu, request_):
    verdict = verdict_of(repo, gpu, request_)
    largest = verdict.max_batch

    assert largest is None or fits(verdict, batch=largest)
    assert not fits(verdict, batch=(largest or 0) + 1)


@pytest.mark.parametrize("context", [1024, 8192, 32768])
def test_as_many_users_as_a_paged_cache_holds_are_served_and_no_more(context):
    verdict = verdict_of("meta-llama/Llama-3.1-8B", "A100-80GB", {"engine": "vllm", "context": context})

    assert fits(verdict, batch=verdict.users)
    assert verdict.users == verdict.workload.max_num_seqs or not fits(verdict, batch=verdict.users + 1)


@pytest.mark.parametrize(
    ("repo", "gpu"),
    [("meta-llama/Llama-3.1-70B", "RTX-4090"), ("Qwen/Qwen3-30B-A3B", "L4"), ("tiiuae/falcon-40b", "A10G")],
)
def test_no_smaller_number_and_no_other_division_of_it_would_do(repo, gpu):
    report = inspect(repo, offline=True, gpus=[gpu])
    [verdict] = report.verdicts
    needed = verdict.cells[0].gpus
    assert needed

    for count in (count for count in COUNTS if count < needed):
        for tp in (tp for tp in range(1, count + 1) if count % tp == 0):
            divided = replace(verdict.solver.workload, tp=tp, pp=count // tp)
            try:
                plan = verdict.solver.plan_for(divided)
            except UsageError:
                continue
            assert hold(plan, verdict.gpu).answer is Answer.NO


@pytest.mark.parametrize(("tp", "legal"), [(3, "1, 2, 4, 8, 16, 32"), (6, "1, 2, 4, 8, 16, 32")])
def test_tensor_parallelism_the_model_cannot_have_lists_what_it_can(tp, legal):
    with pytest.raises(UsageError, match=f"32 attention heads cannot be split over {tp} ranks") as caught:
        inspect("meta-llama/Llama-3.1-8B", offline=True, tp=tp)

    assert caught.value.hint == f"Tensor parallelism can be over {legal}."


@pytest.mark.parametrize("batch", [0, -1, 2**40 + 1, 10**30])
def test_counts_that_mean_nothing_are_refused(batch):
    with pytest.raises(UsageError, match="--batch must be a positive number"):
        inspect("meta-llama/Llama-3.1-8B", offline=True, batch=batch)


@pytest.mark.parametrize("batch", [2**20, 2**40])
def test_counts_beyond_all_machines_are_a_no_and_no_fault(batch):
    verdict = verdict_of("meta-llama/Llama-3.1-8B", "H100-80GB", {"batch": batch})

    assert verdict.fit.answer is Answer.NO
    assert verdict.max_batch is not None


class TestPublishedHosting:
    """Hosting advice of a much-read article of July 2024, with its own assumptions on precision.

    Llama-3.1-70B on 4 × A100-80GB and 405B on 8 × A100-80GB, 70B being 140 GB in FP16 and 280 GB in FP32.
    """

    def test_70b_runs_on_four_in_16_bits(self):
        verdict = verdict_of("meta-llama/Llama-3.1-70B", "4xA100-80GB", {})

        assert verdict.fit.answer is Answer.FITS

    def test_70b_in_32_bits_is_not_what_four_hold_with_room_to_serve(self):
        """282 GB are a quarter each; with 8,192 tokens 77 of 79 GiB, and allocators reserve more."""
        verdict = verdict_of("meta-llama/Llama-3.1-70B", "4xA100-80GB", {"dtype": "fp32"})

        assert verdict.fit.answer is Answer.TIGHT

    @pytest.mark.parametrize("engine", ["transformers", "vllm"])
    def test_405b_does_not_run_on_eight_in_16_bits(self, engine):
        """811.7 GB of weights are more than the 680 GB that eight drivers report."""
        verdict = verdict_of("meta-llama/Llama-3.1-405B", "8xA100-80GB", {"engine": engine})

        assert verdict.fit.answer is Answer.NO
        assert verdict.solver.plan_for(Workload(engine=engine)).of("weights").nbytes == 811_706_777_600

    @pytest.mark.parametrize("engine", ["transformers", "vllm"])
    def test_405b_runs_on_eight_in_8_bits(self, engine):
        request_ = {"engine": engine, "dtype": "fp8"}

        assert verdict_of("meta-llama/Llama-3.1-405B", "8xA100-80GB", request_).fit.answer is not Answer.NO

    def test_the_machines_it_names_hold_what_it_says(self):
        """p4d has eight of 40 GB, p4de and ND A100 v4 of 80 GB, a2-megagpu sixteen of 40 GB."""
        fp8 = {"dtype": "fp8", "context": 2048}
        answers = {
            machine: verdict_of("meta-llama/Llama-3.1-405B", machine, fp8).fit.answer is not Answer.NO
            for machine in (
                "aws:p4d.24xlarge", "aws:p4de.24xlarge", "azure:ND96amsr_A100_v4", "gcp:a2-megagpu-16g",
            )
        }  # fmt: skip

        assert answers == {
            "aws:p4d.24xlarge": False,
            "aws:p4de.24xlarge": True,
            "azure:ND96amsr_A100_v4": True,
            "gcp:a2-megagpu-16g": True,
        }
