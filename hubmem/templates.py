"""Tensor names folded: `model.layers.{0..79}.mlp.up_proj.weight` stands for eighty names.

A template has a list of whole numbers and inclusive ranges in braces wherever its names have a numbered part;
several braces multiply out. DeepSeek-V3's 92,000 tensor names fold to some 60 templates, which
is what the header cache stores, the bundled snapshots hold and every sum runs over.
"""

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

# Nine digits at most: a longer number numbers nothing, and Python takes none of some thousand digits for one.
_NUMBER = r"(0|[1-9][0-9]{0,8})(?=\.|$)"
_NUMBERED_PART = re.compile(rf"\.{_NUMBER}", re.MULTILINE)
_BRACES = re.compile(r"\{(\d+(?:\.\.\d+)?(?:,\d+(?:\.\.\d+)?)*)\}")
_EITHER = re.compile(rf"{_BRACES.pattern}|(?<=\.){_NUMBER}")
# No layer, expert or block is numbered beyond this; a template that claims so would take forever to expand.
_MOST_NAMES = 10_000_000
# A name has a layer, an expert, a block or two; one with more numbered parts than this is not folded.
_MOST_NUMBERS = 32

# No model has these in a tensor name; one that does must not be read as a template, or as two names.
_STAND_INS = str.maketrans({"{": "\N{SMALL LEFT CURLY BRACKET}", "\n": "\N{SYMBOL FOR NEWLINE}"})

_Key = TypeVar("_Key", bound=Hashable)


def count(template: str) -> int:
    """How many names a template stands for.

    >>> count("layers.{0..3,7}.experts.{0..255}.w"), count("lm_head.weight")
    (1280, 1)
    """
    return math.prod(len(numbers(braces)) for braces in _BRACES.findall(template))


def expand(template: str) -> Iterator[str]:
    """The names a template stands for, the leftmost number slowest.

    >>> list(expand("h.{0,2..3}.w"))
    ['h.0.w', 'h.2.w', 'h.3.w']

    Raises:
        ValueError: the template stands for more names than any model has.
    """
    if count(template) > _MOST_NAMES:
        raise ValueError(f"{template} stands for more than {_MOST_NAMES:,} names")
    texts = _BRACES.split(template)[::2]
    choices = [numbers(braces) for braces in _BRACES.findall(template)]
    for chosen in itertools.product(*choices):
        yield "".join(itertools.chain(*zip(texts, (*map(str, chosen), ""), strict=True)))


def numbers(braces: str) -> list[int]:
    """The numbers a list of ranges names.

    >>> numbers("0..2,5")
    [0, 1, 2, 5]

    Raises:
        ValueError: a range holds more numbers than any model has parts.
    """
    found: list[int] = []
    for item in braces.split(","):
        first, _, last = item.partition("..")
        span = range(int(first), int(last or first) + 1)
        if len(span) > _MOST_NAMES:
            raise ValueError(f"{item} holds more than {_MOST_NAMES:,} numbers")
        found.extend(span)
    return found


def pattern(template: str) -> str:
    """A template with every number or list of numbers as `{}`: what its names have in common.

    >>> pattern("model.layers.{3..5}.mlp.experts.7.w")
    'model.layers.{}.mlp.experts.{}.w'
    """
    return _NUMBERED_PART.sub(".{}", _BRACES.sub("{}", template))


def cut_at_numbers(template: str, *, last: bool = False) -> tuple[str, list[int], str] | None:
    """A template cut at its first numbered part, which in a model's tensor names is the layer, or at its last.

    >>> cut_at_numbers("model.layers.{3..5}.mlp.experts.{0..7}.w")
    ('model.layers.', [3, 4, 5], '.mlp.experts.{0..7}.w')
    >>> cut_at_numbers("model.layers.{3..5}.mlp.experts.7.w", last=True)
    ('model.layers.{3..5}.mlp.experts.', [7], '.w')
    >>> cut_at_numbers("lm_head.weight") is None
    True
    """
    parts = list(_EITHER.finditer(template))
    if not parts:
        return None
    part = parts[-1 if last else 0]
    return template[: part.start()], numbers(part[1] or part[2]), template[part.end() :]


def leading_numbers(template: str) -> list[int] | None:
    """The numbers of a template's first numbered part.

    >>> leading_numbers("model.layers.{3..5}.mlp.experts.{0..7}.w"), leading_numbers("lm_head.weight")
    ([3, 4, 5], None)
    """
    cut = cut_at_numbers(template)
    return cut[1] if cut else None


def with_numbers(before: str, found: Iterable[int], after: str) -> str:
    """A template put together from its parts: what `cut_at_numbers` undoes.

    >>> with_numbers("h.", [7, 3, 4], ".attn.w"), with_numbers("h.", [7], ".attn.w")
    ('h.{3..4,7}.attn.w', 'h.7.attn.w')
    """
    return f"{before}{_braces(sorted(found))}{after}"


def fold(names: Iterable[tuple[str, _Key]]) -> Iterator[tuple[str, _Key]]:
    """Fold names that belong to the same key into templates, in order of first appearance.

    The keys say which names may share a template (for tensors: dtype and shape).

    >>> list(fold([("h.0.w", 8), ("h.1.w", 8), ("h.1.b", 2), ("wte", 8)]))
    [('h.{0..1}.w', 8), ('h.1.b', 2), ('wte', 8)]
    """
    rows = list(names)
    alike: defaultdict[tuple[str, _Key], list[tuple[int, ...]]] = defaultdict(list)
    for (found, own_numbers), (_, key) in zip(_numbered([name for name, _ in rows]), rows, strict=True):
        alike[found, key].append(own_numbers)
    for (found, key), boxed in alike.items():
        texts = found.split("{}")
        for box in _boxes(boxed):
            yield "".join(itertools.chain(*zip(texts, (*map(_braces, box), ""), strict=True))), key


def _numbered(names: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each name's pattern and its numbers, by one search through all: a search for each takes twice as long.

    >>> list(_numbered(["h.0.mlp.7.w", "wte"]))
    [('h.{}.mlp.{}.w', (0, 7)), ('wte', ())]
    """
    text = "\n".join(names)
    if "{" in text or text.count("\n") >= len(names):
        text = "\n".join(name.translate(_STAND_INS) for name in names)
    parts = _NUMBERED_PART.split(text)
    patterns, all_numbers = ".{}".join(parts[::2]).split("\n"), tuple(map(int, parts[1::2]))
    counts = {found: found.count("{}") for found in set(patterns)}
    start = 0
    for found in patterns[: len(names)]:
        stop = start + counts[found]
        yield found, all_numbers[start:stop]
        start = stop


def _boxes(rows: Sequence[tuple[int, ...]]) -> list[tuple[tuple[int, ...], ...]]:
    """Cover distinct rows of numbers by products of sets, exactly.

    >>> _boxes([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)])
    [((0, 1), (0, 1)), ((2,), (0,))]
    """
    if len(set(rows)) < len(rows) or len(rows[0]) > _MOST_NUMBERS:
        # Only names with stand-ins can coincide, and no model's have so many numbers; they are kept one by one.
        return [tuple((number,) for number in row) for row in rows]
    columns = tuple(tuple(sorted(set(column))) for column in zip(*rows, strict=True))
    if math.prod(map(len, columns)) == len(rows):
        return [columns]
    rests: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)
    for first, *rest in rows:
        rests[first].append(tuple(rest))
    firsts: defaultdict[tuple[tuple[tuple[int, ...], ...], ...], list[int]] = defaultdict(list)
    for first, rest_rows in rests.items():
        firsts[tuple(_boxes(rest_rows))].append(first)
    return [(tuple(sorted(same)), *box) for boxes, same in firsts.items() for box in boxes]


def _braces(values: Sequence[int]) -> str:
    """Numbers in braces, runs as ranges; a single number bare.

    >>> _braces([0, 1, 2, 5]), _braces([7])
    ('{0..2,5}', '7')
    """
    if len(values) == 1:
        return str(values[0])
    items: list[str] = []
    for _, run in itertools.groupby(enumerate(values), lambda pair: pair[1] - pair[0]):
        members = [value for _, value in run]
        items.append(str(members[0]) if len(members) == 1 else f"{members[0]}..{members[-1]}")
    return "{" + ",".join(items) + "}"
