"""GiB and GB are never mixed, and nothing absurd is a size."""

import pytest
from hubmem.errors import UsageError
from hubmem.units import (
    GIB,
    format_binary,
    format_decimal,
    format_gib,
    format_tokens,
    parse_size,
    parse_tokens,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("1GiB", 2**30), ("1GB", 10**9), ("0.5 gib", 2**29), ("80 GB", 80 * 10**9), ("7b", 7), ("2TiB", 2**41)],
)
def test_a_size_has_the_unit_it_says(text, nbytes):
    assert parse_size(text) == nbytes


@pytest.mark.parametrize(
    "text", ["", "GiB", "1", "-1GiB", "1e9GiB", "1 GiB GiB", "0GiB", "inf GiB", "99999999999TiB"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "k", "-1k", "1.5.2k", "0", "8 GiB", "9" * 40])
def test_what_is_no_number_of_tokens_is_refused(text):
    with pytest.raises(UsageError):
        parse_tokens(text)


@given(st.integers(min_value=1, max_value=2**40))
def test_tokens_survive_being_written_and_read(tokens):
    assert parse_tokens(format_tokens(tokens).replace(",", "")) == tokens


@given(st.integers(min_value=0, max_value=2**62))
def test_shown_gib_are_within_half_a_hundredth(nbytes):
    assert abs(float(format_gib(nbytes).replace(",", "")) - nbytes / GIB) <= 0.005 + 1e-9


@given(st.integers(min_value=0, max_value=2**60))
def test_every_number_of_bytes_can_be_shown(nbytes):
    assert format_binary(nbytes).split()[1] in {"B", "KiB", "MiB", "GiB"}
    assert format_decimal(nbytes).split()[1] in {"B", "kB", "MB", "GB"}
