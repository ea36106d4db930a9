"""Bytes and tokens as integers, and the two ways people write them.

GiB is 2**30 bytes and GB is 10**9 bytes; the two are never mixed. Memory is shown in GiB, because
drivers and frameworks report it so; bytes received over a network are shown in decimal units.
"""

import re
from collections.abc import Mapping, Sequence

from hubmem.errors import UsageError

KIB = 2**10
MIB = 2**20
GIB = 2**30

_BYTE_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
    "tib": 2**40,
}
# "32k" of context is 32,768 tokens in every model card that writes it so.
_TOKEN_UNITS = {"": 1, "k": 2**10, "m": 2**20}
# In bits a second. The one unit whose case matters: MB/s are bytes, Mb/s are bits.
_SPEED_UNITS = {
    f"{prefix}{unit}": bits * 1000**power
    for prefixes in ("kmgt", "KMGT")
    for power, prefix in enumerate(prefixes, start=1)
    for unit, bits in (("bit/s", 1), ("bps", 1), ("b/s", 1), ("B/s", 8))
}
# No quantity comes near 2**63, which has 19 digits; beyond it lies a typing error.
_LARGEST = 2**63
_QUANTITY = re.compile(r"\s*(\d{1,19}(?:\.\d{1,19})?)\s*([a-z/]*)\s*", re.IGNORECASE)


def round_up(number: int, multiple: int) -> int:
    """The least multiple that is no smaller.

    >>> round_up(50257, 64), round_up(128, 64)
    (50304, 128)
    """
    return -(-number // multiple) * multiple


def parse_size(text: str) -> int:
    """Read a number of bytes with its unit.

    >>> parse_size("80GiB"), parse_size("24 GB"), parse_size("512MiB")
    (85899345920, 24000000000, 536870912)

    Raises:
        UsageError: the text is not a positive number followed by a unit of bytes.
    """
    return _parse(text, _BYTE_UNITS, "a size such as 80GiB or 24GB")


def parse_tokens(text: str) -> int:
    """Read a number of tokens; `k` is 1,024 of them and `m` is 1,048,576.

    >>> parse_tokens("32k"), parse_tokens("5000"), parse_tokens("1M")
    (32768, 5000, 1048576)

    Raises:
        UsageError: the text is not a positive whole number of tokens.
    """
    return _parse(text, _TOKEN_UNITS, "a number of tokens such as 8192 or 32k")


def parse_bandwidth(text: str) -> int:
    """Read a network's speed, in bits a second.

    >>> parse_bandwidth("1Gbit/s"), parse_bandwidth("100 Mbps"), parse_bandwidth("50MB/s")
    (1000000000, 100000000, 400000000)

    Raises:
        UsageError: the text is not a positive number followed by a unit of speed.
    """
    return _parse(text, _SPEED_UNITS, "a speed such as 1Gbit/s, 100Mbit/s or 50MB/s")


def _parse(text: str, units: Mapping[str, int], expected: str) -> int:
    """The quantity in the smallest unit, rounded down where its decimals go beyond that."""
    match = _QUANTITY.fullmatch(text)
    unit = units.get(match[2], units.get(match[2].lower())) if match else None
    if match is None or unit is None:
        raise UsageError(f"{text!r} is not {expected}.")
    whole, _, decimals = match[1].partition(".")
    scale: int = 10 ** len(decimals)
    value, rest = divmod(int(whole + decimals) * unit, scale)
    if rest and unit == 1:
        raise UsageError(f"{text!r} is not whole: expected {expected}.")
    if not 0 < value < _LARGEST:
        raise UsageError(f"{text!r} is out of range: expected {expected}.")
    return value


def format_gib(nbytes: int) -> str:
    """Bytes as GiB with two decimals.

    >>> format_gib(141_107_412_992)
    '131.42'
    """
    return f"{nbytes / GIB:,.2f}"


def format_binary(nbytes: int) -> str:
    """Bytes in the largest binary unit that leaves a whole part, for memory.

    >>> format_binary(327_680), format_binary(141_107_412_992), format_binary(3 * 2**40), format_binary(7)
    ('320 KiB', '131.42 GiB', '3,072 GiB', '7 B')
    """
    value, unit = _scaled(nbytes, ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1, "B")))
    return f"{_short(value)} {unit}"


def format_decimal(nbytes: int) -> str:
    """Bytes in decimal units, as network tools show them.

    >>> format_decimal(17_300), format_decimal(940), format_decimal(12_700_000), format_decimal(999_600)
    ('17 kB', '940 B', '13 MB', '1 MB')
    """
    value, unit = _scaled(nbytes, ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B")))
    return f"{value:,.0f} {unit}"


def format_count(number: int) -> str:
    """A large count as people say it.

    >>> format_count(70_553_706_496), format_count(124_439_808), format_count(999_885_952), format_count(512)
    ('70.6 B', '124 M', '1.0 B', '512')
    """
    value, unit = _scaled(number, ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"), (1, "")))
    decimals = 1 if unit and value < 99.95 else 0
    return f"{value:.{decimals}f} {unit}".rstrip()


def format_tokens(tokens: int) -> str:
    """Tokens, with `k` for exact multiples of 1,024.

    >>> format_tokens(131_072), format_tokens(5_000)
    ('128k', '5,000')
    """
    return f"{tokens // KIB}k" if tokens >= KIB and tokens % KIB == 0 else f"{tokens:,}"


def _scaled(number: int, units: Sequence[tuple[int, str]]) -> tuple[float, str]:
    """A number in the largest unit that leaves a whole part once it is rounded to three digits.

    >>> _scaled(999_600, ((10**6, "M"), (10**3, "k"), (1, "")))
    (0.9996, 'M')
    """
    size, name = next((unit for unit in units if number >= 0.9995 * unit[0]), units[-1])
    return number / size, name


def _short(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")
