"""Bytes and tokens as integers, and the two ways people write them.

GiB is 2**30 bytes and GB is 10**9 bytes; the two are never mixed. Memory is shown in GiB, because
drivers and frameworks report it so; bytes received over a network are shown in decimal units.
"""

import re

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
# Nothing measured in bytes or tokens comes near 2**63, which has 19 digits; beyond it lies a typing error.
_LARGEST = 2**63
_QUANTITY = re.compile(r"\s*(\d{1,19}(?:\.\d{1,19})?)\s*([a-z]*)\s*", re.IGNORECASE)


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


def _parse(text: str, units: dict[str, int], expected: str) -> int:
    match = _QUANTITY.fullmatch(text)
    unit = units.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise UsageError(f"{text!r} is not {expected}.")
    value = int(match[1]) * unit if match[1].isdigit() else int(float(match[1]) * unit)
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
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if nbytes >= unit:
            return f"{_short(nbytes / unit)} {name}"
    return f"{nbytes} B"


def format_decimal(nbytes: int) -> str:
    """Bytes in decimal units, as network tools show them.

    >>> format_decimal(17_300), format_decimal(940), format_decimal(12_700_000)
    ('17 kB', '940 B', '13 MB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if nbytes >= unit:
            return f"{nbytes / unit:,.0f} {name}"
    return f"{nbytes} B"


def format_count(number: int) -> str:
    """A large count as people say it.

    >>> format_count(70_553_706_496), format_count(124_439_808), format_count(512)
    ('70.6 B', '124 M', '512')
    """
    for unit, name in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= unit:
            value = number / unit
            return f"{value:.0f} {name}" if value >= 100 else f"{value:.1f} {name}"
    return str(number)


def format_tokens(tokens: int) -> str:
    """Tokens, with `k` for exact multiples of 1,024.

    >>> format_tokens(131_072), format_tokens(5_000)
    ('128k', '5,000')
    """
    return f"{tokens // KIB}k" if tokens >= KIB and tokens % KIB == 0 else f"{tokens:,}"


def _short(value: float) -> str:
    text = f"{value:,.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
