"""LoRA's adapters: which linear layers they stand beside, and how many parameters they have.

Symbols: r rank; a layer maps d inputs to k outputs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from hubmem.errors import UsageError
from hubmem.memory.programs.mlp import EXPERTS_DOWN, EXPERTS_GATE_UP
from hubmem.memory.training.optimizers import Shape
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.precision import is_linear
from hubmem.weights.roles import Role

# PEFT's `all-linear` leaves the output head alone; embeddings are no linear layers, and experts and routers are
# parameters (peft 0.21, tuners/tuners_utils.py, _maybe_include_all_linear_layers), but see `_expert_matrices`.
_NEVER = frozenset(
    {Role.EMBEDDING, Role.EXPERTS, Role.ROUTER, Role.NORM, Role.BUFFER, Role.VISION, Role.AUDIO}
)

_HALF_OF_GATE_UP = re.compile(r"\.(gate_proj|up_proj|w1|w3)(\.weight)?$")
_GATE_UP = re.compile(r"\.gate_up_proj(\.weight)?$")

_HALF_OR_DOWN = re.compile(r"\.(gate_proj|up_proj|down_proj|w1|w2|w3)\.weight$")

# The last part of a layer's name, in the spelling of each family, by the place its program has for it.
_PLACES: tuple[tuple[str, str], ...] = (
    ("qkv_proj", r"query_key_value|qkv_proj|c_attn|Wqkv|qkv"),
    ("q_proj", r"q_proj|query|q_lin|q|wq|q_b_proj"),
    ("k_proj", r"k_proj|key|k_lin|k|wk"),
    ("v_proj", r"v_proj|value|v_lin|v|wv"),
    ("in_proj", r"in_proj(_\w+)?"),
    ("kv_a_proj", r"kv_a_proj_with_mqa|kv_a_proj"),
    ("kv_b_proj", r"kv_b_proj"),
    ("gate_up_proj", r"gate_up_proj"),
    ("gate_proj", r"gate_proj|wi_0|w1"),
    ("up_proj", r"up_proj|wi_1|wi|fc1|fc_in|c_fc|dense_h_to_4h|lin1|ffn|w3|intermediate\.dense"),
    ("down_proj", r"down_proj|wo|fc2|fc_out|dense_4h_to_h|lin2|ffn_output|w2"),
    ("o_proj", r"o_proj|out_proj|out_lin|o|(attention|self_attention|self_attn|attention\.output)\.dense"),
)

# Layers whose programs call them as their classes do: Gemma's inputs of layers, AltUp, LAuReL, Zamba's.
_BY_THEIR_NAMES = re.compile(
    r"\.(per_layer_\w+|altup_\w+|modality_router|\w+_coefs|linear_left|linear_right|(?<=\d\.)linear)(\.\d+)?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """The layers of one model that get adapters.

    Attributes:
        places: what a layer's program calls them.
    """

    groups: tuple[TensorGroup, ...]
    places: frozenset[str]

    def parameters(self, rank: int) -> int:
        """Σ r·(d + k) over the layers adapted (Hu et al., arXiv 2106.09685, section 4.1)."""
        return sum(
            group.count * prod(shape) for group in self.groups for shape in adapter_shapes(group, rank)
        )


def adapt(census: Census, targets: str, *, experts: bool = False) -> Adaptation:
    """Adapters beside the layers that `targets` names: `attention`, `all-linear`, or names with commas.

    A name means every layer that ends in it, as in PEFT's `target_modules`.

    Args:
        census: the model's tensors.
        targets: which layers.
        experts: whether all linear layers are the router and the experts too.

    Raises:
        UsageError: no layer is called so.
    """
    groups = tuple(_adapted(census, targets))
    if experts and targets == "all-linear":
        # Dense and shared parts are called as experts were, and peft takes those names for the experts alone.
        groups = tuple(group for group in groups if not _HALF_OR_DOWN.search(group.template))
        groups += tuple(_expert_matrices(census))
    if not groups:
        names = sorted({_module(group).rpartition(".")[2] for group in _linear(census)})
        raise UsageError(
            f"No linear layer of this model is called {targets!r}.", hint=f"It has: {', '.join(names)}."
        )
    return Adaptation(groups=groups, places=frozenset(map(place_of, groups)))


def adapter_shapes(group: TensorGroup, rank: int) -> tuple[Shape, Shape]:
    """A and B beside one matrix, or beside one parameter that holds those of all experts.

    Gate and up projection of experts are one parameter, whose adapters have twice the rank.

    Source: peft 0.21, utils/transformers_weight_conversion.py, _convert_peft_config_moe, and
    tuners/lora/layer.py, ParamWrapper.
    """
    stacked, outputs, inputs = _oriented(group)
    rank *= prod(stacked)
    if group.role is Role.EXPERTS and _GATE_UP.search(group.template):
        rank *= 2
    if group.role is Role.EXPERTS and _HALF_OF_GATE_UP.search(group.template):
        outputs *= 2
    return (rank, inputs), (outputs, rank)


def _oriented(group: TensorGroup) -> tuple[Sequence[int], int, int]:
    """How many matrices it holds, and the outputs and inputs of each. GPT-2's lie the other way round."""
    assert group.unpacked is not None
    *stacked, outputs, inputs = group.unpacked
    if re.search(r"\.(c_attn|c_fc)\.weight$", group.template):
        return stacked, max(outputs, inputs), min(outputs, inputs)
    if re.search(r"\.mlp\.c_proj\.weight$", group.template):
        return stacked, min(outputs, inputs), max(outputs, inputs)
    return stacked, outputs, inputs


def _expert_matrices(census: Census) -> Iterator[TensorGroup]:
    """What `all-linear` means besides in a mixture whose experts were linear layers in transformers 4.

    Source: peft 0.21, utils/transformers_weight_conversion.py, _MOE_TARGET_MODULE_MAPPING.
    """
    routing = (Role.EXPERTS, Role.ROUTER)
    return (
        group
        for group in census.groups
        if group.role in routing and is_linear(group) and "shared_expert_gate" not in group.template
    )


def _adapted(census: Census, targets: str) -> Iterator[TensorGroup]:
    if targets == "all-linear":
        return (group for group in _linear(census) if group.role is not Role.HEAD or _is_inner(group))
    endings = _attention_names(census) if targets == "attention" else tuple(targets.split(","))
    return (
        group for group in _linear(census) if _module(group).endswith(tuple(f".{end}" for end in endings))
    )


def _attention_names(census: Census) -> tuple[str, ...]:
    """How a user would name the projections of attention. A bare `dense` would name half of BERT."""
    found = (_module(group).split(".")[-2:] for group in _linear(census) if group.role is Role.ATTENTION)
    names = {last if last != "dense" else f"{parent}.{last}" for parent, last in found}
    return tuple(sorted(names - {"output.dense"}))


def _linear(census: Census) -> Iterator[TensorGroup]:
    return (group for group in census.groups if _may_be_adapted(group) and is_linear(group))


def _may_be_adapted(group: TensorGroup) -> bool:
    """A shared expert's gate and AltUp's router count as routing, and are linear layers."""
    return group.role not in _NEVER or bool(re.search("shared_expert_gate|modality_router", group.template))


def _is_inner(group: TensorGroup) -> bool:
    """Whether a matrix of the head is a layer before the logits (BERT's transform)."""
    return bool(re.search(r"transform|predictions\.dense|lm_head\.dense", group.template))


def _module(group: TensorGroup) -> str:
    return "." + re.sub(r"\.(weight|qweight)$", "", group.template)


def place_of(group: TensorGroup) -> str:
    """What a layer's program calls a linear layer."""
    module = _module(group)
    if own := _BY_THEIR_NAMES.search(module):
        return own[1]
    if group.role in (Role.HEAD, Role.ROUTER):
        return "transform" if group.role is Role.HEAD else "router"
    if group.role is Role.RECURRENT:
        return "out_proj" if re.search(r"(out|o_proj|out_proj)$", module) else "in_proj"
    if group.role is Role.EXPERTS:
        return EXPERTS_DOWN if module.endswith(("down_proj", "w2")) else EXPERTS_GATE_UP
    for place, pattern in _PLACES:
        if re.search(rf"\.({pattern})$", module):
            return place
    return "o_proj" if group.role is Role.ATTENTION else "down_proj"
