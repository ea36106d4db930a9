"""What vLLM, SGLang and llama.cpp hold, as public start-up logs print it: weights, start-up, pools, caches, buffers."""

from collections.abc import Iterator

from hubmem.memory.cells import llama_cpp_cache_bytes
from hubmem.units import GIB, MIB

from tests.memory.engines.test_llama_cpp import BUFFERS, mib_of, plan_of
from tests.memory.engines.test_sglang import STARTS as SGLANG_STARTS
from tests.memory.engines.test_sglang import sizes, started
from tests.memory.engines.test_token_pool import HYBRIDS as SGLANG_HYBRIDS
from tests.memory.engines.test_token_pool import POOLS as SGLANG_POOLS
from tests.memory.engines.test_token_pool import pool_of
from tests.memory.engines.test_vllm import LOADED, STARTED, WEIGHTS, Start, gib_of
from tests.memory.test_cells import CELLS
from tests.memory.test_engine_cache import HYBRIDS, NEEDED, POOLS, architecture_named, layout_of
from tests.truth import Comparison

REASONS: dict[str, str] = {}
_POOL_LEFT = "pool left by a start-up of vLLM or SGLang"


def rows() -> Iterator[Comparison]:
    """Each line of a log that gives a size, or what fits into one."""
    yield from _vllm_starts()
    yield from _sglang_starts()
    yield from _caches()
    yield from _llama_cpp()


def _vllm_starts() -> Iterator[Comparison]:
    for start in LOADED:
        yield _row(_name(start), "weights of a vLLM rank", "GiB", start.weights, gib_of(start.plan, *WEIGHTS))
    for start in STARTED:
        logged = [start.weights, start.outside, start.activations]
        total = gib_of(start.plan, *WEIGHTS, "non-torch memory", "activations")
        yield _row(
            _name(start), "vLLM at start-up, without its pool", "GiB", sum(filter(None, logged)), total
        )
    for start in STARTED:
        if start.pool:
            left = (start.plan.pool_bytes(start.memory_bytes) or 0) / GIB
            yield _row(_name(start), _POOL_LEFT, "GiB", start.pool, left)


def _sglang_starts() -> Iterator[Comparison]:
    for model, tp, weights, free, pool, source in SGLANG_STARTS:
        plan = started(model, tp)
        # What the log counts as free before loading, and what it does not print.
        memory = int((weights + free) * GIB) + sizes(plan, "CUDA context", "non-torch memory")
        yield _row(
            f"{model}, SGLang, {source}", _POOL_LEFT, "GiB", pool, (plan.pool_bytes(memory) or 0) / GIB
        )


def _caches() -> Iterator[Comparison]:
    for name, settings, tokens, gib, source in POOLS:
        predicted = layout_of(name, **settings).request_bytes(tokens) / GIB
        yield _row(f"{name}, {tokens:,} tokens, {source}", "pool of vLLM and SGLang", "GiB", gib, predicted)
    for name, settings, tokens, gib, source in SGLANG_POOLS:
        predicted = pool_of(name, **settings).request_bytes(tokens) / GIB
        yield _row(f"{name}, {tokens:,} tokens, {source}", "pool of vLLM and SGLang", "GiB", gib, predicted)
    for name, settings, gib, tokens, states, source in SGLANG_HYBRIDS:
        pools, size = pool_of(name, **settings), int(gib * GIB)
        group = "states and tokens of SGLang's hybrids"
        yield _row(f"{name}, {source}", group, "states", states, pools.states_in(size))
        yield _row(f"{name}, {source}", group, "tokens", tokens, pools.tokens_in(size))
    for name, settings, pool, length, concurrency, tokens in HYBRIDS:
        layout, size = layout_of(name, **settings), int(pool * GIB)
        what = f"{name}, {pool} GiB"
        group = "concurrency and tokens of vLLM's hybrids"
        yield _row(what, group, "sequences", concurrency, float(layout.concurrency(size, length)))
        yield _row(what, group, "tokens", tokens, layout.tokens_in(size))
    for name, settings, tokens, gib, source in NEEDED:
        predicted = layout_of(name, **settings).request_bytes(tokens) / GIB
        yield _row(f"{name} at {tokens:,}, {source}", "need of one request in vLLM", "GiB", gib, predicted)


def _llama_cpp() -> Iterator[Comparison]:
    for name, arguments, mib, source in CELLS:
        nbytes = llama_cpp_cache_bytes(architecture_named(name), **arguments)
        predicted = None if nbytes is None else nbytes / MIB
        yield _row(f"{name}, {source}", "cache and states of llama.cpp", "MiB", mib, predicted)
    for name, workload, mib, source in BUFFERS:
        predicted = mib_of(plan_of(name, **workload), "compute buffer")
        yield _row(f"{name}, {source}", "compute buffer of llama.cpp", "MiB", mib, predicted)


def _name(start: Start) -> str:
    return f"{start.model}, {start.source}"


def _row(name: str, group: str, unit: str, measured: float | None, predicted: float | None) -> Comparison:
    assert measured is not None
    return Comparison(name=name, group=group, unit=unit, measured=measured, predicted=predicted)
