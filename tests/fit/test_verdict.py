"""Verdicts and solvers, on plans whose memory is plain to see."""

from dataclasses import replace

import pytest
from hubmem.errors import UsageError
from hubmem.fit.advise import changes_to_yes
from hubmem.fit.gpus import Gpu, Target, find, parse_target
from hubmem.fit.matrix import Solver
from hubmem.fit.verdict import Answer, hold, largest_batch, longest_context, smallest
from hubmem.memory.plan import Basis, Moment, Plan, Term
from hubmem.memory.workload import Workload
from hubmem.units import GIB
from hypothesis import given
from hypothesis import strategies as st

WEIGHTS = 20 * GIB
PER_TOKEN = GIB // 1024
OVERHEAD = GIB
SHARES = {None: 1.0, "fp8": 0.5, "nf4": 0.25}


def term(name: str, nbytes: int) -> Term:
    return Term(name=name, nbytes=nbytes, basis=Basis.DERIVED, formula="", source="")


def plan_for(workload: Workload) -> Plan:
    """Twenty GiB of weights, a GiB a thousand tokens, both divided by the ranks; a GiB of overhead on each."""
    if workload.tp == 3:
        raise UsageError("64 heads do not divide by 3.")
    weights = int(WEIGHTS * SHARES[workload.weight_dtype]) // workload.tp
    width = 2 if workload.kv_dtype else 1
    cache = PER_TOKEN * workload.context * workload.batch // workload.tp // width
    return Plan(
        moments=(
            Moment(
                phase="decode", name="next token", terms=(term("weights", weights), term("KV cache", cache))
            ),
        ),
        overheads=(term("context", OVERHEAD),),
        reserved_ratio=(1.0, 1.25),
        devices=workload.tp,
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


@pytest.mark.parametrize(("gib", "gpus"), [(40, 1), (15, 2), (7, 4), (6, 5), (2, None)])
def test_the_smallest_legal_number_that_does_is_found(gib, gpus):
    """Three is skipped where the model's heads forbid it."""
    assert smallest(plan_for, ONE_THOUSAND, target(gib)).gpus == gpus


def test_an_asked_number_the_model_cannot_have_is_an_error():
    with pytest.raises(UsageError, match="64 heads"):
        smallest(plan_for, ONE_THOUSAND, target(40, 3))


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


class TestAdvice:
    def changes(self, gib: float, workload: Workload = ONE_THOUSAND, gpu: Gpu | None = None) -> list[str]:
        advice = changes_to_yes(plan_for, workload, gpu or device(gib), max_context=65536)
        assert all(each.answer is not Answer.NO and each.free >= 0 for each in advice)
        return [each.change for each in advice]

    def test_what_costs_no_quality_comes_first_and_money_last(self):
        changes = self.changes(30, replace(ONE_THOUSAND, context=15_360))

        assert changes == [
            "an FP8 cache",
            "FP8 weights",
            "4-bit weights (nf4)",
            "a context of 9k",
            "2× 30 GiB (TP2)",
        ]

    def test_a_change_that_does_not_help_is_not_proposed(self):
        assert self.changes(9) == ["4-bit weights (nf4)", "4× 9 GiB (TP4)"]

    def test_a_chosen_precision_is_not_second_guessed(self):
        assert self.changes(9, replace(ONE_THOUSAND, weight_dtype="fp8")) == ["2× 9 GiB (TP2)"]

    def test_training_is_made_cheaper_before_it_is_given_up(self):
        """The stand-in plan costs training nothing less, so only devices help; no change of inference is named."""
        changes = self.changes(9, replace(ONE_THOUSAND, train="full"))

        assert changes == ["4× 9 GiB (TP4)"]

    def test_the_next_bigger_of_the_same_make_is_named(self):
        changes = self.changes(0, replace(ONE_THOUSAND, context=40_960), gpu=find("A100-40GB"))

        assert changes[-1].startswith("1× ")
