"""What a plan's sums say of the device it needs."""

from hubmem.memory.plan import Basis, Moment, Plan, Term
from hypothesis import given
from hypothesis import strategies as st


def _term(name: str, nbytes: int) -> Term:
    return Term(name=name, nbytes=nbytes, basis=Basis.DERIVED, formula="", source="")


def _plan(allocated: int, context: int, *, share: float) -> Plan:
    return Plan(
        moments=(Moment(phase="serving", name="all", terms=(_term("weights", allocated),)),),
        overheads=(_term("context", context),),
        reserved_ratio=(1.0, 1.0),
        share=share,
        beside_share=frozenset({"context"}) if share < 1 else frozenset(),
    )


def test_an_engine_without_a_share_may_use_all_of_a_device() -> None:
    plan = _plan(90, 10, share=1.0)
    assert (plan.counted_bytes, plan.usable_bytes(120), plan.device_bytes) == (100, 120, 100)


def test_what_lies_beside_the_share_is_not_counted_in_it() -> None:
    plan = _plan(90, 10, share=0.9)
    assert (plan.counted_bytes, plan.usable_bytes(120), plan.device_bytes) == (90, 108, 100)


def test_what_lies_beside_the_share_needs_room_of_its_own() -> None:
    assert _plan(90, 10, share=0.99).usable_bytes(100) == 90


@given(
    allocated=st.integers(1, 2**40), context=st.integers(0, 2**32), share=st.floats(0.05, 1, exclude_max=True)
)
def test_a_plan_fits_a_device_of_its_size_and_none_smaller(
    allocated: int, context: int, share: float
) -> None:
    plan = _plan(allocated, context, share=share)
    needed = plan.device_bytes
    # A share of a byte more or less is rounding.
    assert plan.counted_bytes <= plan.usable_bytes(needed + 1)
    assert plan.counted_bytes > plan.usable_bytes(needed - 2)
