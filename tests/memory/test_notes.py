"""What a plan says of layers that it takes for granted."""

from dataclasses import replace

import pytest
from hubmem.memory.notes import notes
from hubmem.memory.sharding import ranks
from hubmem.memory.workload import AttentionCode, Workload
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Kept, Recurrent

from tests.memory.models import llama

LLAMA, CENSUS = llama(layers=1)


def _notes(architecture: Architecture | None, attention: AttentionCode = "sdpa") -> tuple[str, ...]:
    [rank] = ranks(architecture, CENSUS, Workload(attention=attention))
    return notes(rank, unknown="unknown")


def _with(name: str) -> tuple[str, ...]:
    mixer = Recurrent(name=name, state=Kept())
    return _notes(replace(LLAMA, layers=(Layer(mixers=(mixer,), feed_forward=None),)))


def test_attention_takes_nothing_for_granted() -> None:
    assert _notes(LLAMA) == ()


def test_unknown_layers_are_said_to_be_unknown() -> None:
    assert _notes(None) == ("unknown",)


@pytest.mark.parametrize(("attention", "said"), [("sdpa", 1), ("eager", 0)])
def test_a_family_without_fused_attention_says_so_unless_eager_is_asked(
    attention: AttentionCode, said: int
) -> None:
    found = _notes(replace(LLAMA, model_type="gpt_oss"), attention)
    assert sum("no fused attention for gpt_oss" in note for note in found) == said


def test_a_scan_is_said_to_be_planned_with_its_kernel() -> None:
    (note,) = _with("mamba")
    assert "mamba-ssm" in note


def test_a_short_convolution_needs_no_kernel() -> None:
    assert _with("short_convolution") == ()
