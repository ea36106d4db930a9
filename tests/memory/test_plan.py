"""What a plan's sums say of the device it needs."""

from dataclasses import replace

from hubmem.memory.plan import Basis, Moment, Plan
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.terms import term


def _plan(allocated: int, context: int, *, share: float) -> Plan:
    return Plan(
        moments=(Moment(phase="serving", name="all", terms=(term("weights", allocated),)),),
        overheads=(term("context", context),),
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


_TRAINING = Plan(
    moments=(
        Moment(phase="forward", name="loss", terms=(term("weights", 100), term("logits", 60))),
        Moment(phase="backward", name="last layer", terms=(term("weights", 100), term("gradients", 90))),
        Moment(phase="backward", name="first layer", terms=(term("weights", 100), term("gradients", 20))),
    ),
    overheads=(term("context", 10),),
    reserved_ratio=(1.1, 1.5),
)


def test_the_moment_that_needs_most_decides_and_the_others_are_not_added() -> None:
    assert _TRAINING.deciding.name == "last layer"
    assert [term.name for term in _TRAINING.terms] == ["weights", "gradients", "context"]
    assert sum(term.nbytes for term in _TRAINING.terms) == _TRAINING.per_gpu_bytes == 200


def test_a_phase_peaks_at_its_largest_moment_whichever_comes_last() -> None:
    assert _TRAINING.peaks == {"forward": 160, "backward": 190}


def test_an_allocator_reserves_a_multiple_of_the_peak_and_none_of_the_overheads() -> None:
    assert _TRAINING.reserved_bytes == (209, 285)


def test_all_devices_hold_what_the_fullest_does_and_one_is_enough_unless_said() -> None:
    assert (_TRAINING.total_bytes, replace(_TRAINING, devices=4).total_bytes) == (200, 800)


def test_a_term_is_found_by_its_name_at_the_deciding_moment_or_among_the_overheads() -> None:
    assert _TRAINING.of("gradients") == term("gradients", 90)
    assert _TRAINING.of("context") == term("context", 10)
    assert _TRAINING.of("logits") is None


def test_the_pool_is_what_the_share_leaves_once_the_cache_the_workload_asked_for_is_given_back() -> None:
    asked = replace(
        _TRAINING,
        moments=(Moment(phase="serving", name="all", terms=(term("weights", 100), term("KV cache", 30))),),
        share=0.5,
    )
    assert asked.pool_bytes(400) == 200 - (100 + 10)
    assert asked.pool_bytes(200) == -10
    assert _TRAINING.pool_bytes(300) == 100


def test_a_share_of_what_is_free_leaves_out_what_was_there_first() -> None:
    first = replace(
        _plan(90, 20, share=0.5), beside_share=frozenset({"context"}), before_share=frozenset({"context"})
    )
    assert (first.share_bytes(200), first.usable_bytes(200)) == (90, 90)
    assert first.device_bytes == 20 + 2 * 90
    assert first.usable_bytes(first.device_bytes) == first.counted_bytes


def test_only_an_assumed_term_has_a_range_which_may_begin_at_nothing() -> None:
    assert term("weights", 7).range == (7, 7)
    assert replace(term("workspace", 7), basis=Basis.ASSUMED, low=0, high=9).range == (0, 9)
