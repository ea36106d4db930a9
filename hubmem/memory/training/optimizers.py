"""What an optimizer keeps for each trained tensor: one row an optimizer.

Symbols: a matrix has m rows and n columns; P parameters; w bytes of a parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, prod

from hubmem.errors import UsageError
from hubmem.weights.roles import Role

Shape = tuple[int, ...]
Bytes = Callable[[Shape, int], int]
"""Bytes made for one tensor, from its shape and the bytes of its element."""

# bitsandbytes keeps smaller tensors' states in float32 (optim/optimizer.py, min_8bit_size).
_SMALLEST_8_BIT = 4096
# … and one float32 scale for so many 8-bit states (optim/optimizer.py, init_state: 256 in blockwise mode).
_8_BIT_BLOCK = 256
# galore_torch's rank in the paper's fine-tuning runs and its documentation's example.
_GALORE_RANK = 128


def nothing(shape: Shape, itemsize: int) -> int:
    """No bytes at all."""
    del shape, itemsize
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """One optimizer.

    Attributes:
        name: as on the command line; `spellings` others.
        states: what it keeps for a tensor.
        step_copies: tensors of a parameter's size that a step makes for all parameters at once.
        scratch: what a step makes for one tensor after another.
        elsewhere: what takes its place for tensors of `elsewhere_roles`, such as embeddings.
        fused_backward: whether a gradient is used and freed as soon as it is made.
        device_only: whether it needs a GPU.
        pageable: whether its states may be moved to the host when the device is full.
        source: where its states are defined.
    """

    name: str
    label: str
    states: Bytes
    step_copies: int = 0
    scratch: Bytes = nothing
    elsewhere: "Optimizer | None" = None
    elsewhere_roles: frozenset[Role] = frozenset({Role.EMBEDDING, Role.HEAD})
    fused_backward: bool = False
    device_only: bool = False
    pageable: bool = False
    spellings: tuple[str, ...] = ()
    source: str

    def of(self, role: Role) -> "Optimizer":
        """What the tensors of a role are trained with."""
        return self.elsewhere if self.elsewhere and role in self.elsewhere_roles else self

    def formula(self, itemsize: int) -> str:
        """Its states for a parameter of a large square matrix, in words."""
        each = self.states((4096, 4096), itemsize) / 4096**2
        return f"{each:.3g} B a parameter of a 4,096 × 4,096 matrix"


def like_parameters(copies: int) -> Bytes:
    """So many tensors of the parameter's shape and dtype.

    >>> like_parameters(2)((4096, 4096), 4) == 8 * 4096 * 4096
    True
    """
    return lambda shape, itemsize: copies * itemsize * prod(shape)


def in_float32(copies: int) -> Bytes:
    """So many tensors of the parameter's shape in float32, whatever the parameter's dtype.

    Source: bitsandbytes, optim/optimizer.py, init_state.

    >>> in_float32(2)((4096, 4096), 2) == 8 * 4096 * 4096
    True
    """
    return lambda shape, _: copies * 4 * prod(shape)


def in_8_bits(copies: int) -> Bytes:
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


def newton_schulz(shape: Shape, itemsize: int) -> int:
    """The update and, in bf16, two of its iterates and two products of m × m, m being the smaller side.

    Source: torch 2.13, optim/_muon.py, _zeropower_via_newtonschulz.
    """
    return (itemsize + 2 * 2) * prod(shape) + 2 * 2 * min(shape) ** 2 if len(shape) == 2 else 0


def projected(shape: Shape, itemsize: int) -> int:
    """r·max(m, n) for each of two moments and r·min(m, n) for the projection of a matrix.

    In float32 the projection is a view of all min(m, n)² singular vectors, which it keeps.

    Source: Zhao et al., GaLore, arXiv 2403.03507, table 1 and algorithm 2; galore_torch 1.0, galore_projector.py.

    >>> projected((4096, 1024), 2) == 2 * (2 * 128 * 4096 + 128 * 1024)
    True
    """
    if len(shape) != 2 or min(shape) <= _GALORE_RANK:
        return like_parameters(2)(shape, itemsize)
    vectors = min(shape) if itemsize == 4 else _GALORE_RANK
    return itemsize * (2 * _GALORE_RANK * max(shape) + vectors * min(shape))


def decomposed(shape: Shape, itemsize: int) -> int:
    """The singular vectors of a matrix's gradient, m·n and m² in float32, and its copy where it is narrower.

    Source: galore_torch 1.0, galore_projector.py, get_orthogonal_matrix: anew every 200 steps.
    """
    if len(shape) != 2 or min(shape) <= _GALORE_RANK:
        return like_parameters(2)(shape, itemsize)
    m, elements = min(shape), prod(shape)
    copies = 0 if itemsize == 4 else 4 * elements
    return copies + 4 * (elements + m**2) + 4 * _GALORE_RANK * max(shape)


def in_float32_by_turns(shape: Shape, itemsize: int) -> int:
    """In half precision gradient and parameter in float32.

    Source: lomo_optim 0.1, lomo.py, fuse_update.
    """
    return 0 if itemsize == 4 else 2 * 4 * prod(shape)


def squared_in_float32(shape: Shape, itemsize: int) -> int:
    """The gradient's square and what is added to it; in half precision also both inputs in float32.

    Source: transformers, optimization.py, Adafactor.step.
    """
    return (2 if itemsize == 4 else 4) * 4 * prod(shape)


_ADAMW = Optimizer(
    name="adamw",
    label="AdamW (fused)",
    states=like_parameters(2),
    spellings=("adam", "adamw_torch", "adamw_torch_fused", "adamw-fused", "fused"),
    source="Loshchilov and Hutter, arXiv 1711.05101; torch.optim.AdamW, fused: the Trainer's default",
)
_PAGED_ADAMW = Optimizer(
    name="paged-adamw",
    label="AdamW (paged)",
    states=in_float32(2),
    device_only=True,
    pageable=True,
    spellings=("paged_adamw_32bit", "paged_adamw"),
    source="Dettmers et al., QLoRA, arXiv 2305.14314, section 3; bitsandbytes, PagedAdamW",
)
# The Trainer has bitsandbytes keep the states of embeddings in 32 bits (transformers, trainer.py,
# create_optimizer); not those of a head that is no embedding.
_ADAMW_8_BIT = Optimizer(
    name="adamw-8bit",
    label="AdamW (8-bit)",
    states=in_8_bits(2),
    elsewhere=replace(_PAGED_ADAMW, pageable=False),
    elsewhere_roles=frozenset({Role.EMBEDDING}),
    device_only=True,
    spellings=("adamw8bit", "adamw_8bit", "adamw_bnb_8bit"),
    source="Dettmers et al., arXiv 2110.02861; bitsandbytes, optim/adamw.py, AdamW8bit",
)
_LION_32_BIT = Optimizer(
    name="lion-32bit",
    label="Lion (bitsandbytes)",
    states=in_float32(1),
    device_only=True,
    spellings=("lion_32bit",),
    source="Chen et al., arXiv 2302.06675, algorithm 2; bitsandbytes, optim/lion.py, Lion",
)

_ROWS = (
    _ADAMW,
    Optimizer(
        name="adamw-foreach",
        label="AdamW (foreach)",
        states=like_parameters(2),
        step_copies=1,
        spellings=("foreach",),
        source="torch 2.13, optim/adamw.py, _multi_tensor_adamw: the roots of all second moments at once",
    ),
    _ADAMW_8_BIT,
    _PAGED_ADAMW,
    replace(
        _ADAMW_8_BIT,
        name="paged-adamw-8bit",
        label="AdamW (paged, 8-bit)",
        elsewhere=_PAGED_ADAMW,
        pageable=True,
        spellings=("paged_adamw_8bit",),
        source="Dettmers et al., QLoRA, arXiv 2305.14314, section 3; bitsandbytes, PagedAdamW8bit",
    ),
    Optimizer(
        name="adafactor",
        label="Adafactor",
        states=factored,
        scratch=squared_in_float32,
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
        scratch=like_parameters(2),
        source="Chen et al., arXiv 2302.06675, algorithm 2; lion-pytorch 0.2, update_fn",
    ),
    _LION_32_BIT,
    Optimizer(
        name="lion-8bit",
        label="Lion (8-bit)",
        states=in_8_bits(1),
        elsewhere=_LION_32_BIT,
        elsewhere_roles=frozenset({Role.EMBEDDING}),
        device_only=True,
        spellings=("lion_8bit",),
        source="Chen et al., arXiv 2302.06675, algorithm 2; bitsandbytes, optim/lion.py, Lion8bit",
    ),
    Optimizer(
        name="muon",
        label="Muon",
        states=orthogonalized,
        scratch=newton_schulz,
        elsewhere=_ADAMW,
        source="Jordan et al., Muon (2024); torch.optim.Muon for hidden layers' matrices, AdamW for the rest",
    ),
    Optimizer(
        name="galore",
        label=f"GaLore (rank {_GALORE_RANK})",
        states=projected,
        scratch=decomposed,
        elsewhere=replace(_ADAMW, label="AdamW (galore_torch)", scratch=like_parameters(2)),
        spellings=("galore_adamw",),
        source="Zhao et al., arXiv 2403.03507; galore_torch 1.0, GaLoreAdamW over all hidden linear layers",
    ),
    Optimizer(
        name="lomo",
        label="LOMO",
        states=nothing,
        scratch=in_float32_by_turns,
        fused_backward=True,
        source="Lv et al., arXiv 2306.09782: gradients are used and freed as they are made; lomo_optim 0.1",
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
