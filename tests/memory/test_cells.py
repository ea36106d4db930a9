"""llama.cpp's cells against lines of public start-up logs: each row is a fact of a log with where it was published."""

from typing import Any

import pytest
from hubmem.memory.cells import llama_cpp_cache_bytes
from hubmem.units import MIB

from tests.memory.test_engine_cache import TOLERANCE, architecture_named

# llama.cpp: model, arguments, MiB, source.
CELLS: list[tuple[str, dict[str, Any], float, str]] = [
    ("Qwen/Qwen3-0.6B", {"tokens": 1024}, 112, "public log, CPU"),
    ("meta-llama/Llama-3.2-1B", {"tokens": 1024}, 32, "public log, CPU"),
    ("mistralai/Mistral-7B-Instruct-v0.3", {"tokens": 8192}, 1024, "public log, CPU"),
    ("meta-llama/Llama-3.1-405B", {"tokens": 4096}, 2016, "public log, RPC"),
    ("Qwen/Qwen2.5-7B", {"tokens": 2048}, 112, "JamePeng/llama-cpp-python#1"),
    ("Qwen/Qwen2.5-1.5B", {"tokens": 32768}, 896, "GeniePod/genie-claw#410"),
    ("Qwen/Qwen3-VL-8B-Instruct", {"tokens": 8192}, 1152, "public log of UI-Venus-1.5-8B"),
    (
        "Qwen/Qwen3-VL-8B-Instruct", {"tokens": 8192, "key_type": "q8_0", "value_type": "q8_0"}, 612,
        "public log of UI-Venus-1.5-8B",
    ),
    # 12 layers of 131,072 cells and 12 of 768: a window of 128 and a micro-batch of 512, rounded up.
    ("openai/gpt-oss-20b", {"tokens": 131072}, 3090, "public log, CANN"),
    # 18 layers of 131,072 cells and 18 of 1,280 for each of two sequences.
    (
        "openai/gpt-oss-120b", {"tokens": 262144, "sequences": 2, "micro_batch": 1024}, 9306,
        "ollama/ollama#16480",
    ),
    # 4 full layers, 20 of 1,024 cells, and 18 that read theirs.
    ("gemma-4 E4B", {"tokens": 32768}, 552, "public log"),
    ("deepseek-ai/DeepSeek-R1", {"tokens": 32768, "key_type": "q8_0"}, 1166.62, "ikawrakow/ik_llama.cpp#259"),
    # 12 layers with cells and the states of 36 others for four sequences.
    ("Qwen/Qwen3-Next-80B", {"tokens": 4096, "sequences": 4}, 397.5, "public log of Qwen3-Coder-Next"),
    # 16 layers with cells and the states of 48 others, for one sequence and for four.
    ("Qwen/Qwen3.5-27B", {"tokens": 32768}, 2048 + 149.62, "public log"),
    ("Qwen/Qwen3.5-27B", {"tokens": 32768, "sequences": 4}, 2048 + 598.5, "public log"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments", "mib"), [row[:3] for row in CELLS], ids=[f"{row[0]}, {row[3]}" for row in CELLS]
)
def test_llama_cpp_holds_what_its_log_says(name: str, arguments: dict[str, Any], mib: float) -> None:
    nbytes = llama_cpp_cache_bytes(architecture_named(name), **arguments)
    assert nbytes is not None
    assert nbytes / MIB == pytest.approx(mib, rel=TOLERANCE)


def test_compressed_caches_are_not_laid_out_by_a_rule_that_is_not_theirs() -> None:
    assert llama_cpp_cache_bytes(architecture_named("DeepSeek-V4"), tokens=4096) is None
