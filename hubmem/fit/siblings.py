"""Which published sibling of a model is quantized in which way, told by the words of its tags and name."""

from collections.abc import Mapping, Sequence

from hubmem.hub.siblings import Sibling

# Words that the Hub's own tags and the names of quantized repos use; all words of one set must be there.
_WORDS: Mapping[str, tuple[frozenset[str], ...]] = {
    "fp8": (frozenset({"fp8"}),),
    "int8": (frozenset({"w8a8"}), frozenset({"int8"}), frozenset({"bitsandbytes", "8-bit"})),
    "nf4": (frozenset({"bitsandbytes", "4-bit"}), frozenset({"bnb", "4bit"})),
    "awq-int4": (frozenset({"awq"}),),
    "gptq-int4": (frozenset({"gptq", "4-bit"}), frozenset({"gptq", "int4"})),
    "gguf:Q8_0": (frozenset({"gguf"}),),
    "gguf:Q4_K_M": (frozenset({"gguf"}),),
}


def published_in(precision: str, siblings: Sequence[Sibling]) -> str | None:
    """The first repo, by downloads, that holds the model in a precision, or None.

    >>> published_in("fp8", [Sibling(repo="org/Model-FP8-dynamic", words=frozenset({"model", "fp8"}))])
    'org/Model-FP8-dynamic'
    """
    sets = _WORDS.get(precision, ())
    return next((each.repo for each in siblings if any(words <= each.words for words in sets)), None)
