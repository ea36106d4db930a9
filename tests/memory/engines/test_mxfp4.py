"""What kernels for MXFP4 experts fill matrices up to: gpt-oss has a hidden size and a width of 2,880."""

from fractions import Fraction

import pytest
from hubmem.memory.engines.mxfp4 import MARLIN, TRITON, Kernel, kernel_for
from hubmem.weights.census import Census

from tests.memory.models import published


@pytest.fixture(scope="module")
def tensors() -> Census:
    """Those of gpt-oss-20b."""
    return published("openai/gpt-oss-20b")[1]


@pytest.mark.parametrize(
    ("kernel", "tp", "part", "grown"),
    [
        pytest.param(TRITON, 1, "gate_up_proj_blocks", Fraction(3072, 2880), id="inputs of values"),
        pytest.param(TRITON, 1, "gate_up_proj_scales", 1, id="no scales"),
        pytest.param(
            MARLIN, 1, "gate_up_proj_blocks", Fraction(3072 * 2944, 2880**2), id="hidden size and width"
        ),
        pytest.param(MARLIN, 1, "down_proj_scales", Fraction(3072 * 2944, 2880**2), id="scales too"),
        pytest.param(
            MARLIN, 8, "down_proj_blocks", Fraction(3072 * 8 * 384, 2880**2), id="the width of each rank"
        ),
        pytest.param(MARLIN, 1, "down_proj_bias", 1, id="no bias"),
        pytest.param(
            kernel_for("10.0"), 1, "down_proj_blocks", Fraction(3072 * 3072, 2880**2), id="wider on Blackwell"
        ),
    ],
)
def test_experts_are_filled_up(
    tensors: Census, kernel: Kernel, tp: int, part: str, grown: Fraction | int
) -> None:
    group = next(group for group in tensors.kinds if group.template.endswith(part))
    assert group.nbytes + kernel.filled_bytes(group, tp) == group.nbytes * grown


def test_attention_is_not_filled_up(tensors: Census) -> None:
    others = [group for group in tensors.kinds if "experts" not in group.template]
    assert others
    assert not any(MARLIN.filled_bytes(group, 1) for group in others)
