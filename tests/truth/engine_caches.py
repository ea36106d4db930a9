"""Pools, needs and cells of vLLM, SGLang and llama.cpp, as public start-up logs print them."""

from collections.abc import Iterator

from hubmem.memory.engine_cache import llama_cpp_cache_bytes
from hubmem.units import GIB, MIB

from tests.memory.test_engine_cache import CELLS, HYBRIDS, NEEDED, POOLS, architecture_of, layout_of
from tests.truth import Comparison


def rows() -> Iterator[Comparison]:
    """Each line of a log that gives a cache's size, or what fits into one."""
    for name, settings, tokens, gib, source in POOLS:
        predicted = layout_of(name, **settings).request_bytes(tokens) / GIB
        yield _row(f"{name}, {tokens:,} tokens, {source}", "pool of vLLM and SGLang", "GiB", gib, predicted)
    for name, settings, pool, length, concurrency, tokens in HYBRIDS:
        layout, size = layout_of(name, **settings), int(pool * GIB)
        what = f"{name}, {pool} GiB"
        group = "concurrency and tokens of vLLM's hybrids"
        yield _row(what, group, "sequences", concurrency, float(layout.concurrency(size, length)))
        yield _row(what, group, "tokens", tokens, layout.tokens_in(size))
    for name, settings, tokens, gib, source in NEEDED:
        predicted = layout_of(name, **settings).request_bytes(tokens) / GIB
        yield _row(f"{name} at {tokens:,}, {source}", "need of one request in vLLM", "GiB", gib, predicted)
    for name, arguments, mib, source in CELLS:
        nbytes = llama_cpp_cache_bytes(architecture_of(name), **arguments)
        predicted_mib = None if nbytes is None else nbytes / MIB
        yield _row(f"{name}, {source}", "cache and states of llama.cpp", "MiB", mib, predicted_mib)


def _row(name: str, group: str, unit: str, measured: float, predicted: float | None) -> Comparison:
    return Comparison(name=name, group=group, unit=unit, measured=measured, predicted=predicted)
