"""What a plan says of layers that it takes for granted."""

from dataclasses import replace

from hubmem.memory.notes import notes
from hubmem.models.architecture import Layer
from hubmem.models.mixers import Kept, Recurrent

from tests.memory.models import llama

LLAMA, _ = llama(layers=1)


def _with(name: str) -> tuple[str, ...]:
    mixer = Recurrent(name=name, state=Kept())
    layer = Layer(mixers=(mixer,), feed_forward=None)
    return notes(replace(LLAMA, layers=(layer,)), unknown="")


def test_attention_takes_nothing_for_granted() -> None:
    assert notes(LLAMA, unknown="unknown") == ()


def test_unknown_layers_are_said_to_be_unknown() -> None:
    assert notes(None, unknown="unknown") == ("unknown",)


def test_a_scan_is_said_to_be_planned_with_its_kernel() -> None:
    (note,) = _with("mamba")
    assert "mamba-ssm" in note


def test_a_short_convolution_needs_no_kernel() -> None:
    assert _with("short_convolution") == ()
