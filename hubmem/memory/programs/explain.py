"""A set of tensors as one line of arithmetic."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from hubmem.memory.programs.tape import Counts, Extent, Storage

_SYMBOLS: Mapping[str, str] = {
    "T": "tokens of all sequences",
    "t": "tensor-parallel ranks",
    "rows": "tokens with logits",
    "b": "sequences",
    "s": "tokens of one",
    "sₖ": "tokens it attends to",
    "sₑ": "tokens of the encoder's input",
    "h": "hidden size",
    "f": "MLP width",
    "q": "heads × their size",
    "k": "KV heads × their size",
    "a": "heads",
    "D": "size of a head's rotary part",
    "c": "size of the latent",
    "p": "width of a layer's own inputs or of its recurrent projection",
    "P": "relative positions",
    "M": "values of a frame of sound",
    "I": "inner width of a recurrence",
    "N": "rows of its state for each column",
    "m": "heads of its state",
    "u": "tokens of a chunk",
    "L": "layers",
    "e": "experts",
    "n": "experts of a token",
    "w": "width of an expert",
    "r": "rank of the adapters",
    "d": "inputs of a matrix",
    "weight": "elements of a matrix",
    "V": "vocabulary",
    "E": "width of the embedding",
}
_SYMBOL = re.compile(r"[A-Za-z]+[ₖₑ]?")


def formula(storages: Iterable[Storage], counts: Counts) -> str:
    """Tensors summed by what they grow with and the name of their width, then with the numbers put in.

    >>> gate, stream = Storage("gate", "f", 14336, 2), Storage("residual stream", "h", 4096, 2)
    >>> formula([gate, gate, stream], {Extent.TOKENS: 8192})
    'T·(4f + 2h) B = 8,192 × (4 × 14,336 + 2 × 4,096)'
    """
    by_extent: defaultdict[Extent, list[Storage]] = defaultdict(list)
    for storage in filter(lambda storage: storage.each, storages):
        by_extent[_shown(storage.extent, counts)].append(storage)
    parts = [_part(extent, group, counts) for extent, group in by_extent.items()]
    symbols, numbers = " + ".join(part[0] for part in parts), " + ".join(part[1] for part in parts)
    return f"{symbols} B = {numbers}"


def symbols(storages: Iterable[Storage], counts: Counts) -> str:
    """What the symbols of their formula stand for.

    >>> symbols([Storage("gate", "f", 14336, 2)], {Extent.TOKENS: 8192})
    'T: tokens of all sequences, f: MLP width'
    """
    written = (
        name for each in storages if each.each for name in (_shown(each.extent, counts).value, each.symbol)
    )
    used = dict.fromkeys(symbol for name in written for symbol in _SYMBOL.findall(name))
    return ", ".join(f"{symbol}: {_SYMBOLS.get(symbol, '?')}" for symbol in used)


def _shown(extent: Extent, counts: Counts) -> Extent:
    """The residual stream has as many tokens as the rest unless ranks share them."""
    alone = extent is Extent.STREAM and counts.get(extent) == counts.get(Extent.TOKENS)
    return Extent.TOKENS if alone else extent


def _part(extent: Extent, storages: list[Storage], counts: Counts) -> tuple[str, str]:
    widths = _by_symbol(storages)
    symbols = " + ".join(_times(each, symbol) for symbol, (each, _) in widths.items())
    numbers = " + ".join(f"{each} × {width:,}" for each, width in widths.values())
    if extent is Extent.ONCE:
        return symbols, numbers
    return f"{extent.value}·({symbols})", f"{counts[extent]:,} × ({numbers})"


def _by_symbol(storages: list[Storage]) -> dict[str, tuple[int, int]]:
    """Bytes for each unit of a symbol's width, and that width; the smallest of its widths is the unit."""
    groups: defaultdict[str, list[Storage]] = defaultdict(list)
    for storage in storages:
        groups[storage.symbol].append(storage)
    found = {}
    for symbol, group in groups.items():
        unit = min(storage.width for storage in group)
        total = sum(storage.each for storage in group)
        found[symbol] = (total // unit, unit) if total % unit == 0 else (1, total)
    return found


def _times(each: int, symbol: str) -> str:
    return str(each) if symbol == "1" else f"{each}{symbol}"
