"""SGLang's pools against lines of public start-up logs: each row is a fact of a log with where it was published."""

import math

import pytest
from hubmem.memory.engine_cache import PagedCache
from hubmem.memory.engines.token_pool import TokenPool, token_pool
from hubmem.units import GIB

from tests.memory.test_engine_cache import TOLERANCE, architecture_named


def pool_of(name: str, **settings: int) -> TokenPool:
    pool = token_pool(architecture_named(name), PagedCache(**settings, state_bits=32))
    assert pool is not None
    return pool


# `max_total_num_tokens`, and `K size` and `V size` together: model, settings, tokens, GiB, source.
POOLS: list[tuple[str, dict[str, int], int, float, str]] = [
    ("Qwen/Qwen3-235B-A22B", {"tp": 4}, 367404, 16.46, "vllm-project/vllm#21348"),
    ("Qwen/Qwen3-0.6B", {}, 15387, 1.64, "public log, 4 GB card"),
    ("meta-llama/Llama-3.1-8B-Instruct", {}, 20480, 2.5, "public log, with LoRA"),
    ("meta-llama/Llama-3.2-1B-Instruct", {}, 2405039, 73.4, "public log"),
    ("Qwen/Qwen2.5-0.5B-Instruct", {}, 2658165, 30.42, "public log"),
    ("deepseek-ai/DeepSeek-V3", {"tp": 8, "cache_bits": 8}, 2659072, 87.01, "public log, FP8 cache"),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", {"tp": 4}, 46611, 2.84, "public log, 4 × 2080 Ti"),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", {}, 105531, 5.64, "public log"),
]

# The same with `max_mamba_cache_size`: model, settings, all pools in GiB, tokens, states, source. Their sum has the
# states' one slot more, which is for sequences that fill up a batch.
HYBRIDS: list[tuple[str, dict[str, int], float, int, int, str]] = [
    ("LiquidAI/LFM2-700M", {}, 5.42 + 4.88, 473854, 85292, "public log, 16 GB card"),
    ("Qwen/Qwen3.5-9B", {"tp": 2}, 5.0 + 4.48 * 186 / 187, 327310, 186, "public log, 2 × 24 GB"),
]


@pytest.mark.parametrize(
    ("name", "settings", "tokens", "gib"),
    [row[:4] for row in POOLS],
    ids=[f"{row[0]}, {row[4]}" for row in POOLS],
)
def test_a_pool_of_the_logged_tokens_has_the_logged_size(
    name: str, settings: dict[str, int], tokens: int, gib: float
) -> None:
    assert pool_of(name, **settings).request_bytes(tokens) / GIB == pytest.approx(gib, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "settings", "gib", "tokens", "states"),
    [row[:5] for row in HYBRIDS],
    ids=[f"{row[0]}, {row[5]}" for row in HYBRIDS],
)
def test_states_have_nine_parts_of_nineteen(
    name: str, settings: dict[str, int], gib: float, tokens: int, states: int
) -> None:
    pool, nbytes = pool_of(name, **settings), int(gib * GIB)
    assert pool.states_in(nbytes) == pytest.approx(states, rel=TOLERANCE)
    assert pool.tokens_in(nbytes) == pytest.approx(tokens, rel=TOLERANCE)


@pytest.mark.parametrize("context", [1, 4096, 65536])
@pytest.mark.parametrize("sequences", [1, 7, 64])
@pytest.mark.parametrize("name", ["LiquidAI/LFM2-700M", "Qwen/Qwen3.5-9B", "Qwen/Qwen3-0.6B"])
def test_pools_of_what_sequences_need_hold_them_and_three_states_each(
    name: str, sequences: int, context: int
) -> None:
    pool = pool_of(name)
    nbytes = sequences * pool.request_bytes(context)
    assert pool.concurrency(nbytes, context) == sequences
    assert pool.tokens_in(nbytes) >= sequences * context
    assert not pool.state_bytes or pool.states_in(nbytes) >= 3 * sequences


def test_windows_with_a_pool_of_their_own_have_room_for_eight_tokens_of_ten() -> None:
    """gpt-oss-20b: 12 full and 12 sliding layers of 8 KV heads × 64."""
    assert pool_of("openai/gpt-oss-20b").token_bytes == math.ceil((12 * 1.0 + 12 * 0.8) * 2 * 8 * 64 * 2)


def test_windows_of_other_models_are_kept_whole() -> None:
    assert pool_of("google/gemma-3-1b-it").token_bytes == 26 * 2 * 256 * 2


def test_compressed_caches_have_no_pool_here() -> None:
    assert token_pool(architecture_named("DeepSeek-V4"), PagedCache()) is None
