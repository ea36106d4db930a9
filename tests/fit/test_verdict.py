"""Verdicts and solvers, on plans whose memory is plain to see."""

from dataclasses import replace

import pytest
from hubmem.errors import UsageError
from hubmem.fit.gpus import Gpu, Target, parse_target
from hubmem.fit.matrix import Solver
from hubmem.fit.splits import label_of
from hubmem.fit.verdict import Answer, hold, largest_batch, legal_ranks, longest_context, smallest
from hubmem.memory.engine_cache import BlockLayout, Layers
from hubmem.memory.plan import Moment, Plan
from hubmem.memory.workload import Workload
from hubmem.units import GIB
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.memory.terms import term

WEIGHTS = 20 * GIB
PER_TOKEN = GIB // 1024
OVERHEAD = GIB
POOL = BlockLayout(
    kinds=(Layers(kind="full", groups=1, block_tokens=16),),
    block_bytes=16 * PER_TOKEN,
    max_batched_tokens=2048,
)
SHARES = {None: 1.0, "fp8": 0.5, "int8": 0.5, "nf4": 0.25, "awq-int4": 0.25}


def plan_for(workload: Workload) -> Plan:
    """Twenty GiB of weights, a GiB a thousand tokens, both divided by the ranks; a GiB of overhead on each."""
    if 64 % workload.tp:
        raise UsageError(f"64 heads do not divide by {workload.tp}.")
    weights = int(WEIGHTS * SHARES[workload.weight_dtype]) // workload.devices
    cache = PER_TOKEN * workload.context * workload.batch // workload.devices
    return Plan(
        moments=(
            Moment(
                phase="decode", name="next token", terms=(term("weights", weights), term("KV cache", cache))
            ),
        ),
        overheads=(term("context", OVERHEAD),),
        reserved_ratio=(1.0, 1.25),
        devices=workload.devices,
        pool=POOL if workload.engine == "vllm" else None,
    )


def device(gib: float) -> Gpu:
    return parse_target(f"{gib}GiB").gpu


def target(gib: float, count: int | None = None) -> Target:
    return Target(gpu=device(gib), count=count)


ONE_THOUSAND = Workload(context=1024)


@pytest.mark.parametrize(
    ("gib", "answer"), [(21.9, Answer.NO), (22, Answer.TIGHT), (27.2, Answer.TIGHT), (27.25, Answer.FITS)]
)
def test_allocated_decides_between_no_and_yes_and_reserved_between_tight_and_fits(gib, answer):
    """21 GiB allocated, 26.25 reserved at most, 1 of overhead."""
    assert hold(plan_for(ONE_THOUSAND), device(gib)).answer is answer


def test_what_is_missing_is_counted_in_bytes():
    assert hold(plan_for(ONE_THOUSAND), device(12)).short == 10 * GIB


@pytest.mark.parametrize(
    ("gib", "gpus", "division"),
    [(40, 1, ""), (15, 2, "TP2"), (8, 3, "PP3"), (7, 4, "TP4"), (4.5, 6, "TP2·PP3"), (2, None, "")],
)
def test_the_smallest_number_that_does_is_found_with_how_it_is_shared(gib, gpus, division):
    """Tensor parallelism goes first; where the model's heads forbid it, a pipeline has the ranks that are left."""
    cell = smallest(plan_for, ONE_THOUSAND, target(gib))

    assert (cell.gpus, label_of(cell.workload)) == (gpus, division)


def test_a_division_the_user_asks_for_is_kept():
    cell = smallest(plan_for, replace(ONE_THOUSAND, pp=4), target(40))

    assert (cell.gpus, label_of(cell.workload)) == (4, "PP4")


def test_a_division_the_model_cannot_have_is_an_error_that_lists_those_it_can():
    with pytest.raises(UsageError, match="64 heads") as caught:
        smallest(plan_for, replace(ONE_THOUSAND, tp=3), target(40))

    assert caught.value.hint == "Tensor parallelism can be over 1, 2, 4, 8, 16, 32, 64."
    assert legal_ranks(plan_for, ONE_THOUSAND) == (1, 2, 4, 8, 16, 32, 64)


def test_a_division_over_another_number_than_the_one_named_is_an_error():
    with pytest.raises(UsageError, match="TP4 takes 4 GPUs, and 8 are named"):
        smallest(plan_for, replace(ONE_THOUSAND, tp=4), target(40, 8))


@settings(deadline=None)
@given(gib=st.integers(min_value=1, max_value=200), most=st.integers(min_value=1, max_value=10**6))
def test_the_longest_context_fits_and_one_token_more_does_not(gib, most):
    found = longest_context(plan_for, ONE_THOUSAND, device(gib), most)

    def fits(context: int) -> bool:
        return hold(plan_for(replace(ONE_THOUSAND, context=context)), device(gib)).answer is not Answer.NO

    if found is None:
        assert not fits(1)
    else:
        assert fits(found)
        assert found == most or not fits(found + 1)


@settings(deadline=None)
@given(gib=st.integers(min_value=1, max_value=200))
def test_the_largest_batch_fits_and_one_more_does_not(gib):
    found = largest_batch(plan_for, ONE_THOUSAND, device(gib))

    assert found == (gib - 21 if gib > 21 else None)


class TestJudge:
    def solver(self, **changes):
        fields = {
            "plan_for": plan_for,
            "workload": ONE_THOUSAND,
            "max_context": 65536,
            "depends_on_length": True,
        }
        return Solver(**{**fields, **changes})

    def test_a_named_accelerator_means_one_of_it(self):
        verdict = self.solver().judge(target(15), named=True)

        assert (verdict.gpus, verdict.fit.answer) == (1, Answer.NO)
        assert verdict.cells[0].gpus == 2

    def test_of_the_usual_ones_the_smallest_number_is_meant(self):
        verdict = self.solver().judge(target(15), named=False)

        assert (verdict.gpus, verdict.fit.answer) == (2, Answer.FITS)

    def test_an_asked_number_is_the_only_one_tried(self):
        verdict = self.solver().judge(target(7, 2), named=True)

        assert [cell.gpus for cell in verdict.cells] == [None, 2, 2]

    def test_each_precision_has_its_own_smallest_number(self):
        verdict = self.solver().judge(target(12.1), named=False)

        assert [cell.gpus for cell in verdict.cells] == [2, 1, 1]

    def test_without_a_known_cache_no_length_is_claimed(self):
        verdict = self.solver(depends_on_length=False).judge(target(40), named=False)

        assert (verdict.max_context, verdict.max_batch, verdict.context_at_smallest) == (None, None, None)

    def test_advice_is_given_only_to_a_no(self):
        assert self.solver().judge(target(40), named=True).advice == ()
        assert self.solver().judge(target(15), named=True).advice != ()

    @pytest.mark.parametrize(("gib", "precision"), [(40, "as stored"), (15, "fp8"), (8, "nf4"), (3, None)])
    def test_the_widest_precision_that_fits_is_found(self, gib, precision):
        assert self.solver().judge(target(gib), named=True).largest_precision == precision

    def test_users_at_a_context_are_told_of_an_engine_with_a_pool_alone(self):
        paged = self.solver(workload=replace(ONE_THOUSAND, engine="vllm")).judge(target(40), named=True)

        assert paged.users == 19
        limited = replace(ONE_THOUSAND, engine="vllm", max_num_seqs=4)
        assert self.solver(workload=limited).judge(target(40), named=True).users == 4
        assert self.solver().judge(target(40), named=True).users is None

    def test_a_division_over_several_means_that_many_of_the_accelerator(self):
        verdict = self.solver(workload=replace(ONE_THOUSAND, tp=4)).judge(target(7), named=True)

        assert (verdict.gpus, verdict.fit.answer) == (4, Answer.TIGHT)
