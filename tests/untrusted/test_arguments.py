"""What can be typed, or stand in a list or on a card: any text is understood or refused, at once."""

import re
from contextlib import suppress

import pytest
from hubmem.errors import HubmemError, UsageError
from hubmem.fit.gpus import parse_target
from hubmem.hub.opening import split_revision
from hubmem.hub.remote import check_repo_id
from hubmem.request import Request
from hubmem.units import parse_bandwidth
from hypothesis import example, given
from hypothesis import strategies as st

LONG = "9" * 5000


@given(st.text())
@example(f"{LONG}xH100")
@example(f"{LONG}GiB")
@example(f"{'9' * 400}.5GiB")
@example("2x")
@example("x" * 10_000)
def test_any_text_is_an_accelerator_or_refused(text):
    try:
        target = parse_target(text)
    except HubmemError:
        return
    assert target.gpu.memory_bytes > 0


@given(st.one_of(st.text(), st.from_regex(r"\d{0,30}(\.\d{0,30})?[kMGT]?(bit/s|B/s)", fullmatch=True)))
@example(f"{LONG}Gbit/s")
def test_any_text_is_a_bandwidth_or_refused(text):
    try:
        assert parse_bandwidth(text) > 0
    except UsageError:
        return


@given(st.one_of(st.text(), st.text(alphabet="ab./-_@%?#:\\\x00\n\x1b", max_size=30)))
def test_a_repo_id_stays_within_its_place_in_an_address(text):
    """Its own path can hold nothing that leads to another: no second slash, query, fragment, escape or `..`."""
    repo, _ = split_revision(text)
    try:
        check_repo_id(repo)
    except UsageError:
        return
    assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo)
    assert ".." not in repo


@pytest.mark.parametrize("name", ["context", "batch", "encoder_context", "tp", "rank"])
@given(number=st.one_of(st.integers(), st.floats(allow_nan=True)))
def test_a_count_is_in_range_or_refused(name, number):
    try:
        request = Request.of(**{name: number})
    except UsageError:
        return
    assert 0 < getattr(request.workload, name) <= 2**40


@pytest.mark.parametrize("name", ["dtype", "kv_dtype"])
@given(text=st.text())
def test_any_text_is_a_precision_or_refused(name, text):
    with suppress(UsageError):
        Request.of(**{name: text})
