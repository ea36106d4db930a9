"""The weights of a rank in vLLM: as its kernels hold them, in the allocator's blocks, with the table of positions.

Rules are those of vLLM 0.11 unless another version is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from hubmem.memory.engines import mxfp4
from hubmem.memory.engines.blocks import block_bytes, kept_sizes
from hubmem.memory.engines.vllm_profile import Rules
from hubmem.memory.plan import Basis, Term
from hubmem.memory.programs.computation import Rotation
from hubmem.memory.sharding import Rank
from hubmem.memory.static import GroupBytes, compute_dtype, held_bytes, weights_terms
from hubmem.models.architecture import Architecture
from hubmem.models.mixers import Attention, LatentAttention
from hubmem.units import format_binary
from hubmem.weights.census import TensorGroup

# Where Machete runs, and what it wants four times as wide. GPTQ's zero points, which all are alike, it leaves out.
_MACHETE_CAPABILITY = "9.0"
_ZERO_POINTS, _WIDER = (".qzeros", ".weight_zero_point"), 4
_GPTQ_ONLY = ".g_idx"

# Formats whose matrices come packed, and bits of a value.
_PACKED_BITS = {"awq-int4": 4, "gptq-int4": 4, "gptq-int8": 8}

# Types whose positions have several axes (time, height, width): vLLM makes their table four times as long
# (layers/rotary_embedding/mrope.py, cache_max_position_num).
_SEVERAL_AXES = frozenset({
    "qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3_vl", "qwen3_vl_moe", "qwen3_omni_moe", "qwen3_5",
    "qwen3_5_moe", "glm4v", "glm4v_moe", "ernie4_5_vl_moe",
})  # fmt: skip
_LONGER = 4
# Ways to stretch positions (`rope_type`) after which its table is longer than the config says: as many times as long,
# and with those of short texts beside it (rotary_embedding/linear_scaling_rope.py, phi3_long_rope_scaled_rope.py).
_STRETCHED_AGAIN = frozenset({"linear", "dynamic"})
_WITH_SHORT_ONES = frozenset({"longrope", "su"})


def computed_itemsize(rank: Rank, architecture: Architecture) -> int:
    """Bytes of an element of what is computed."""
    return compute_dtype(architecture, rank.workload, rank.census.main_dtype).bits // 8


@dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """What stays of loading."""

    rank: Rank
    rules: Rules

    def terms(self) -> Iterator[Term]:
        """Parameters, what packed ones are filled up with, and the table of rotary positions."""
        yield from weights_terms(self.rank.census, self.rank.workload, self.rank)
        if self.rank.workload.weight_dtype is None:
            yield from self._padding()
            yield from self._wide_zeros()
        yield from self._blocks()
        if self.rank.architecture:
            yield from self._positions(self.rank.architecture)

    def _padding(self) -> Iterator[Term]:
        """MXFP4 experts, filled up as their kernel wants them; Marlin's is another device's, and the fullest."""
        workload = self.rank.workload
        kernel = mxfp4.kernel_for(workload.compute_capability)
        filled, most = (
            self.rank.nbytes(partial(each.filled_bytes, tp=workload.tp)) for each in (kernel, mxfp4.MARLIN)
        )
        if filled:
            known = workload.compute_capability is not None
            yield Term(
                name="weight padding",
                nbytes=filled,
                basis=Basis.DERIVED if known else Basis.ASSUMED,
                formula=f"MXFP4 experts filled up for {kernel.name}: hidden size and width to multiples of"
                f" {kernel.hidden} and {kernel.width}",
                source="vLLM 0.11, quantization/mxfp4.py, create_weights",
                low=filled,
                high=filled if known else max(filled, most),
            )

    def _wide_zeros(self) -> Iterator[Term]:
        """What Machete's zero points, as wide as scales, have beyond those of the files."""
        wider = self.rank.nbytes(self._held) - self.rank.nbytes(self._stored)
        if wider:
            yield Term(
                name="zero points",
                nbytes=wider,
                basis=Basis.DERIVED,
                formula="of 4 bits each in the files, and 16 in the kernel for compute capability"
                f" {_MACHETE_CAPABILITY}",
                source="vLLM 0.31, kernels/linear/mixed_precision/machete.py, process_weights_after_loading",
            )

    @property
    def _stored(self) -> GroupBytes:
        return held_bytes(self.rank.census, self.rank.workload)

    @property
    def _held(self) -> GroupBytes:
        """Bytes of a group once kernels have it as they want it."""
        stored = self._stored
        if not self.rules.machete_awq or self.rank.workload.compute_capability != _MACHETE_CAPABILITY:
            return stored
        if any(group.template.endswith(_GPTQ_ONLY) for group in self.rank.census.kinds):
            return stored
        return lambda group: stored(group) * (_WIDER if group.template.endswith(_ZERO_POINTS) else 1)

    def _blocks(self) -> Iterator[Term]:
        """What the allocator's blocks have beyond the weights in them."""
        if _is_made_on_loading(self.rank.workload.weight_dtype):
            return
        sizes = list(self._sizes())
        beyond = block_bytes(sizes, uncut_from=self.rules.uncut_from) - sum(sizes)
        if beyond:
            yield Term(
                name="allocator blocks",
                nbytes=beyond,
                basis=Basis.DERIVED,
                formula=f"segments of a multiple of 2 MiB, or 20 MiB, for {len(sizes):,} tensors; less than 1 MiB"
                f" at the end of one is not used{self._uncut}",
                source="PyTorch 2.8, CUDACachingAllocator.cpp; matrices joined as in vLLM 0.11",
            )

    def _sizes(self) -> Iterator[int]:
        """Bytes of each tensor; a matrix packed in groups has its values in one, and in others what scales them."""
        bits = _PACKED_BITS.get(self.rank.workload.weight_dtype or "")
        if bits is None:
            yield from kept_sizes(self.rank, self._held)
            return
        held = self._held

        def values(group: TensorGroup) -> int:
            nbytes = held(group)
            return nbytes if nbytes >= group.nbytes else min(nbytes, group.elements * bits // 8)

        yield from kept_sizes(self.rank, values)
        yield from kept_sizes(self.rank, lambda group: held(group) - values(group))

    @property
    def _uncut(self) -> str:
        least = self.rules.uncut_from
        return f", nor any of a tensor's from {format_binary(least)} on" if least else ""

    def _positions(self, architecture: Architecture) -> Iterator[Term]:
        """Sines and cosines: positions × rotary dimensions × e, and once more where windows have another base."""
        computation = self.rank.computation
        rotary, positions = _rotary_dim(architecture), _tabled_positions(architecture)
        if computation.rotation is Rotation.NONE or not rotary * positions:
            return
        windows = (architecture.max_context or 0) * computation.window_positions
        itemsize = computed_itemsize(self.rank, architecture)
        tabled = (
            f"({positions:,} positions + {windows:,} of windows)" if windows else f"{positions:,} positions"
        )
        yield Term(
            name="rotary positions",
            nbytes=(positions + windows) * rotary * itemsize,
            basis=Basis.DERIVED,
            formula=f"{tabled} × {rotary} × {itemsize} B",
            source="vLLM 0.11, model_executor/layers/rotary_embedding, cos_sin_cache; whole on every rank",
        )


def _tabled_positions(architecture: Architecture) -> int:
    """Positions for which full attention has sines and cosines.

    vLLM takes the config's number of positions for one before they are stretched, though most configs mean one after.
    """
    positions, stretch = architecture.max_context or 0, architecture.switches.stretch
    if architecture.model_type in _SEVERAL_AXES:
        return _LONGER * positions
    if stretch is None:
        return positions
    if stretch.kind in _STRETCHED_AGAIN:
        return int(positions * stretch.factor)
    return positions + (stretch.trained or 0) * (stretch.kind in _WITH_SHORT_ONES)


def _is_made_on_loading(weight_dtype: str | None) -> bool:
    """Whether weights are packed after they are read: they are then cut from the larger blocks of what they were."""
    return weight_dtype is not None and not weight_dtype.startswith(("gguf:", *_PACKED_BITS))


def _rotary_dim(architecture: Architecture) -> int:
    attention = architecture.attention
    if isinstance(attention, LatentAttention):
        return attention.rope_dim
    part = architecture.switches.rotated_part
    whole = attention.key_dim if isinstance(attention, Attention) else 0
    return whole if part is None else int(whole * part)
