"""What an optimizer keeps for each trained tensor: one row an optimizer.

Symbols: a matrix has m rows and n columns; P parameters; w bytes of a parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, prod

from hubmem.errors import UsageError

Shape = tuple[int, ...]
States = Callable[[Shape, int], int]
"""Bytes of the states of one tensor, from its shape and the bytes of its element."""

# bitsandbytes keeps smaller tensors' states in float32 (optim/optimizer.py, min_8bit_size).
_SMALLEST_8_BIT = 4096
# … and one float32 scale for so many 8-bit states (optim/optimizer.py, init_state: 256 in blockwise mode).
_8_BIT_BLOCK = 256
# galore_torch's rank in the paper's fine-tuning runs and its documentation's example.
_GALORE_RANK = 128


def _no_scratch(itemsize: int) -> int:
    """A fused kernel makes nothing."""
    del itemsize
    return 0


def _float32_copies(itemsize: int) -> int:
    """The gradient's square and what is added to it; in half precision also both inputs in float32."""
    return 2 * 4 if itemsize == 4 else 4 * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """One optimizer.

    Attributes:
        name: as on the command line; `spellings` others.
        states: what it keeps for a tensor.
        step_copies: tensors of a parameter's size that a step makes for all parameters at once.
        scratch: bytes that a step makes for each element of one tensor after another, by its element's bytes.
        fused_backward: whether a gradient is used and freed as soon as it is made.
        device_only: whether it needs a GPU.
        pageable: whether its states may be moved to the host when the device is full.
        source: where its states are defined.
    """

    name: str
    label: str
    states: States
    step_copies: int = 0
    scratch: Callable[[int], int] = _no_scratch
    fused_backward: bool = False
    device_only: bool = False
    pageable: bool = False
    spellings: tuple[str, ...] = ()
    source: str

    def formula(self, itemsize: int) -> str:
        """Its states for a parameter of a large square matrix, in words."""
        each = self.states((4096, 4096), itemsize) / 4096**2
        return f"{each:.3g} B a parameter of a 4,096 × 4,096 matrix"


def nothing(shape: Shape, itemsize: int) -> int:
    """No state at all."""
    del shape, itemsize
    return 0


def like_parameters(copies: int) -> States:
    """So many tensors of the parameter's shape and dtype.

    >>> like_parameters(2)((4096, 4096), 4) == 8 * 4096 * 4096
    True
    """
    return lambda shape, itemsize: copies * itemsize * prod(shape)


def in_8_bits(copies: int) -> States:
    """P bytes for each state and a float32 scale for every 256 of them; small tensors in float32.

    Source: Dettmers et al., arXiv 2110.02861; bitsandbytes, optim/optimizer.py.

    >>> in_8_bits(2)((4096, 4096), 2) == 2 * (4096 * 4096 + 4 * 65536)
    True
    """

    def states(shape: Shape, itemsize: int) -> int:
        del itemsize
        elements = prod(shape)
        if elements < _SMALLEST_8_BIT:
            return copies * 4 * elements
        return copies * (elements + 4 * ceil(elements / _8_BIT_BLOCK))

    return states


def factored(shape: Shape, itemsize: int) -> int:
    """One number a row and one a column of a matrix, (m + n)·4 bytes; a vector's second moment whole.

    Source: Shazeer and Stern, arXiv 1804.04235, algorithm 4; transformers, optimization.py, Adafactor.

    >>> factored((4096, 1024), 2)
    20480
    """
    del itemsize
    if len(shape) < 2:
        return 4 * prod(shape)
    *stacked, rows, columns = shape
    return 4 * prod(stacked) * (rows + columns)


def orthogonalized(shape: Shape, itemsize: int) -> int:
    """One momentum for a matrix; Adam's two states for the rest.

    Source: Jordan et al., Muon (2024), https://kellerjordan.github.io/posts/muon/; torch.optim.Muon.
    """
    return like_parameters(1 if len(shape) == 2 else 2)(shape, itemsize)


def projected(shape: Shape, itemsize: int) -> int:
    """r·max(m, n) for each of two moments and r·min(m, n) for the projection of a matrix.

    Source: Zhao et al., GaLore, arXiv 2403.03507, table 1 and algorithm 2.

    >>> projected((4096, 1024), 2) == 2 * (2 * 128 * 4096 + 128 * 1024)
    True
    """
    if len(shape) != 2 or min(shape) <= _GALORE_RANK:
        return like_parameters(2)(shape, itemsize)
    return itemsize * _GALORE_RANK * (2 * max(shape) + min(shape))


_ROWS = (
    Optimizer(
        name="adamw",
        label="AdamW (fused)",
        states=like_parameters(2),
        spellings=("adam", "adamw_torch", "adamw_torch_fused", "adamw-fused", "fused"),
        source="Loshchilov and Hutter, arXiv 1711.05101; torch.optim.AdamW, fused: the Trainer's default",
    ),
    Optimizer(
        name="adamw-foreach",
        label="AdamW (foreach)",
        states=like_parameters(2),
        step_copies=1,
        spellings=("foreach",),
        source="torch 2.13, optim/adamw.py, _multi_tensor_adamw: the roots of all second moments at once",
    ),
    Optimizer(
        name="adamw-8bit",
        label="AdamW (8-bit)",
        states=in_8_bits(2),
        device_only=True,
        spellings=("adamw8bit", "adamw_8bit", "adamw_bnb_8bit"),
        source="Dettmers et al., arXiv 2110.02861; bitsandbytes, optim/adamw.py, AdamW8bit",
    ),
    Optimizer(
        name="paged-adamw",
        label="AdamW (paged)",
        states=like_parameters(2),
        device_only=True,
        pageable=True,
        spellings=("paged_adamw_32bit", "paged_adamw"),
        source="Dettmers et al., QLoRA, arXiv 2305.14314, section 3; bitsandbytes, PagedAdamW",
    ),
    Optimizer(
        name="paged-adamw-8bit",
        label="AdamW (paged, 8-bit)",
        states=in_8_bits(2),
        device_only=True,
        pageable=True,
        spellings=("paged_adamw_8bit",),
        source="Dettmers et al., QLoRA, arXiv 2305.14314, section 3; bitsandbytes, PagedAdamW8bit",
    ),
    Optimizer(
        name="adafactor",
        label="Adafactor",
        states=factored,
        scratch=_float32_copies,
        source="Shazeer and Stern, arXiv 1804.04235; transformers, optimization.py, without momentum",
    ),
    Optimizer(name="sgd", label="SGD", states=nothing, source="torch.optim.SGD"),
    Optimizer(
        name="sgd-momentum",
        label="SGD with momentum",
        states=like_parameters(1),
        spellings=("sgd_momentum", "momentum"),
        source="torch.optim.SGD(momentum=…)",
    ),
    Optimizer(
        name="lion",
        label="Lion",
        states=like_parameters(1),
        spellings=("lion_32bit",),
        source="Chen et al., arXiv 2302.06675, algorithm 2",
    ),
    Optimizer(
        name="muon",
        label="Muon",
        states=orthogonalized,
        source="Jordan et al., Muon (2024); torch.optim.Muon for matrices, AdamW for the rest",
    ),
    Optimizer(
        name="galore",
        label=f"GaLore (rank {_GALORE_RANK})",
        states=projected,
        spellings=("galore_adamw",),
        source="Zhao et al., arXiv 2403.03507",
    ),
    Optimizer(
        name="lomo",
        label="LOMO",
        states=nothing,
        fused_backward=True,
        source="Lv et al., arXiv 2306.09782: gradients are used and freed as they are made",
    ),
)

BY_NAME = {row.name: row for row in _ROWS}
_BY_SPELLING = {word: row for row in _ROWS for word in (row.name, *row.spellings)}


def parse(text: str) -> Optimizer:
    """The optimizer a user asks for.

    >>> parse("AdamW_8bit").name
    'adamw-8bit'

    Raises:
        UsageError: no optimizer is called so.
    """
    optimizer = _BY_SPELLING.get(text.lower())
    if optimizer is None:
        raise UsageError(f"Unknown optimizer {text!r}.", hint=f"Known: {', '.join(BY_NAME)}.")
    return optimizer
