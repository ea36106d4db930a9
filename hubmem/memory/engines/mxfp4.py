"""What vLLM's kernels for MXFP4 experts fill matrices up to.

Source: vLLM 0.11, quantization/mxfp4.py (get_mxfp4_backend, Mxfp4MoEMethod.create_weights).
"""

from dataclasses import dataclass

from hubmem.units import round_up
from hubmem.weights.census import TensorGroup
from hubmem.weights.roles import Role

# Values are stored in blocks of 32, two in a byte: [experts, outputs, blocks, 16]. Beside a block lies a scale of a byte.
_VALUES, _SCALES = "_blocks", "_scales"
_BLOCK = 32
_DOWN = "down_proj"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kernel.

    Attributes:
        hidden, width: multiples up to which it fills a layer's hidden size, and an expert's width on a rank.
        inputs_only: whether it fills rows of values alone, and neither outputs nor scales.
    """

    name: str
    hidden: int
    width: int
    inputs_only: bool = False

    def filled_bytes(self, group: TensorGroup, tp: int) -> int:
        """Bytes added to all tensors of a group, of which each of `tp` ranks has its part."""
        if group.role is not Role.EXPERTS or not group.template.endswith((_VALUES, _SCALES)):
            return 0
        outputs, inputs = group.shape[1], _BLOCK * group.shape[2]
        if self.inputs_only:
            filled = round_up(inputs, self.hidden)
            return group.nbytes * (filled - inputs) // inputs if group.template.endswith(_VALUES) else 0
        if _DOWN in group.template:
            filled = round_up(outputs, self.hidden) * round_up(inputs, self.width * tp)
        else:
            filled = round_up(outputs, 2 * self.width * tp) * round_up(inputs, self.hidden)
        return group.nbytes * (filled - outputs * inputs) // (outputs * inputs)


# Triton's is as logs of gpt-oss on H100 show; its source leaves the layout to a library.
TRITON = Kernel(name="Triton", hidden=256, width=256, inputs_only=True)
MARLIN = Kernel(name="Marlin", hidden=256, width=128)
_TRTLLM = Kernel(name="TensorRT-LLM", hidden=256, width=256)
_BY_CAPABILITY = {"9.0": TRITON, "10.0": _TRTLLM, "10.3": _TRTLLM}


def kernel_for(compute_capability: str | None) -> Kernel:
    """The kernel of a device; Triton's, which fills least, where the device is not known.

    >>> kernel_for("9.0").name, kernel_for("8.9").name
    ('Triton', 'Marlin')
    """
    if compute_capability is None:
        return TRITON
    return _BY_CAPABILITY.get(compute_capability, MARLIN)
