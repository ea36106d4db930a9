"""What is measured, and what is asked of hubmem in each case."""

from tests.benchmarks.inspect.measuring import Case, Target
from tests.benchmarks.inspect.programs import (
    HUBMEM,
    HUBMEM_HELP,
    HUGGINGFACE_HUB,
    IMPORT_CLICK,
    Program,
    hf_mem,
    lower_bound,
)

LLAMA_8B, LLAMA_405B = "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-405B"
DEEPSEEK, QWEN = "deepseek-ai/DeepSeek-V3", "Qwen/Qwen3-0.6B"


def _wall(most: float) -> Target:
    return Target(name="wall, of the baseline's", most=most, of=lambda measured: measured.wall_ratio)


def _requests(most: int) -> Target:
    return Target(name="requests", most=most, of=lambda measured: measured.traffic.requests)


_TWO_WAVES = Target(name="waves", most=2, of=lambda measured: measured.traffic.waves)
_ONE_CALL = (_TWO_WAVES, _requests(4))
_LITTLE_MEMORY = Target(name="peak MB", most=120, of=lambda measured: measured.peak_bytes / 1e6)
_LITTLE_TRAFFIC = Target(
    name="bytes, of the headers'", most=1.2, of=lambda measured: measured.per_header_byte
)
_NO_WEIGHTS = Target(name="weight bytes", most=0, of=lambda measured: measured.traffic.weight_nbytes)


def cases(peers: str | None) -> list[Case]:
    """All cases, beside hf-mem where an interpreter is given that has it."""
    other = (hf_mem(peers),) if peers else ()

    def beside(way: str) -> tuple[Program, ...]:
        return (HUBMEM, *other, HUGGINGFACE_HUB, lower_bound(way))

    return [
        Case(
            name="405B, one call",
            repo=LLAMA_405B,
            programs=beside("one-call"),
            targets=(_wall(0.2), *_ONE_CALL, _LITTLE_MEMORY, _LITTLE_TRAFFIC, _NO_WEIGHTS),
        ),
        Case(
            name="DeepSeek-V3, one call",
            repo=DEEPSEEK,
            programs=beside("one-call"),
            targets=(_wall(0.2), *_ONE_CALL, _NO_WEIGHTS),
        ),
        Case(
            name="8B, one call",
            repo=LLAMA_8B,
            programs=beside("one-call"),
            targets=(*_ONE_CALL, _NO_WEIGHTS),
        ),
        Case(
            name="405B, ranges",
            repo=LLAMA_405B,
            programs=beside("ranges"),
            one_call=False,
            targets=(_wall(0.5), _LITTLE_MEMORY, _LITTLE_TRAFFIC, _NO_WEIGHTS),
        ),
        Case(
            name="DeepSeek-V3, ranges",
            repo=DEEPSEEK,
            programs=beside("ranges"),
            one_call=False,
            targets=(_wall(0.5), _NO_WEIGHTS),
        ),
        Case(
            name="8B, ranges",
            repo=LLAMA_8B,
            programs=beside("ranges"),
            one_call=False,
            targets=(_NO_WEIGHTS,),
        ),
        Case(name="0.6B, one file", repo=QWEN, programs=beside("single"), targets=(_wall(1.0),)),
        Case(name="405B, warm", repo=LLAMA_405B, programs=beside("warm"), warm=True, targets=(_requests(1),)),
        Case(
            name="help",
            repo=QWEN,
            programs=(HUBMEM_HELP, IMPORT_CLICK),
            baseline=IMPORT_CLICK.name,
            targets=(_wall(1.3),),
        ),
    ]
