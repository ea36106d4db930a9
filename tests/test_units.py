"""GiB and GB are never mixed, and nothing absurd is a size."""

import pytest
from hubmem.errors import UsageError
from hubmem.units import (
    GIB,
    format_binary,
    format_count,
    format_decimal,
    format_gib,
    format_tokens,
    parse_bandwidth,
    parse_size,
    parse_tokens,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("1GiB", 2**30), ("1GB", 10**9), ("0.5 gib", 2**29), ("80 GB", 80 * 10**9), ("7b", 7), ("2TiB", 2**41),
     ("1.001GB", 1_001_000_000)],
)  # fmt: skip
def test_a_size_has_the_unit_it_says(text, nbytes):
    assert parse_size(text) == nbytes


@pytest.mark.parametrize(
    "text",
    ["", "GiB", "1", "-1GiB", "1e9GiB", "1 GiB GiB", "0GiB", "inf GiB", "99999999999TiB", f"{'9' * 5000}GiB",
     f"{'9' * 400}.5GiB"],
)  # fmt: skip
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize(
    "text", ["", "k", "-1k", "1.5.2k", "0", "0.5", "8192.5", "8 GiB", "9" * 40, "9" * 5000]
)
def test_what_is_no_number_of_tokens_is_refused(text):
    with pytest.raises(UsageError):
        parse_tokens(text)


@pytest.mark.parametrize(
    "text", ["", "fast", "1", "1Gbit", "0Gbit/s", "-1Gbit/s", "1e9bit/s", "9" * 30 + "Gbit/s"]
)
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(UsageError):
        parse_bandwidth(text)


@pytest.mark.parametrize(
    ("text", "bits_per_second"), [("8Mb/s", 8 * 10**6), ("8MB/s", 64 * 10**6), ("1gbps", 10**9)]
)
def test_of_a_speed_a_capital_b_means_bytes(text, bits_per_second):
    assert parse_bandwidth(text) == bits_per_second


@pytest.mark.parametrize("number", [999_499, 999_500, 999_885_952, 999_999_999])
def test_no_number_is_shown_as_a_thousand_of_a_unit(number):
    """gemma-3-1b-it has 999,885,952 parameters: 1.0 B, not 1000 M."""
    shown = (format_count(number), format_decimal(number))

    assert not any("1000" in text or "1,000 " in text for text in shown)


# Digits, points, signs and units in any order, and any other text.
QUANTITIES = st.one_of(st.text(), st.from_regex(r"\s?[-+]?\d*\.?\d*(e\d+)?\s?[kmgt]?i?b?", fullmatch=True))


@given(QUANTITIES)
def test_any_text_is_a_quantity_in_range_or_refused(text):
    for parse in (parse_size, parse_tokens):
        try:
            value = parse(text)
        except UsageError:
            continue
        assert isinstance(value, int)
        assert 0 < value < 2**63


@given(st.integers(min_value=1, max_value=2**30), st.sampled_from(["KiB", "MiB", "GiB"]))
def test_a_whole_number_of_a_unit_is_exact_and_is_read_as_it_is_shown(number, unit):
    nbytes = parse_size(f"{number} {unit}")

    assert nbytes == number * {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]
    assert abs(parse_size(format_binary(nbytes).replace(",", "")) - nbytes) <= nbytes * 0.005


@given(st.integers(min_value=1, max_value=10**6), st.sampled_from(["k", "M", "G", "T"]))
def test_decimal_and_binary_units_are_never_mixed(number, prefix):
    decimal, binary = parse_size(f"{number}{prefix}B"), parse_size(f"{number}{prefix}iB")
    power = "kMGT".index(prefix) + 1

    assert decimal * 1024**power == binary * 1000**power


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
