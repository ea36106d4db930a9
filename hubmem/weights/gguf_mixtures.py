"""Which GGUF type llama.cpp gives each tensor in a quantization such as Q4_K_M: one row per mixture.

A mixture has a base type, and gives more bits to the tensors that need them: value projections, down
projections and the output matrix, in the first and last layers before others. Where an importance matrix
changes the choice, one is taken to be there, as it was for most published files.

Source: `llama_tensor_get_type_impl`, `tensor_allows_quantization` and `tensor_type_fallback` in
src/llama-quant.cpp of llama.cpp, 2026.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from math import prod

from hubmem.weights import ggml
from hubmem.weights.census import TensorGroup
from hubmem.weights.roles import Role


class Kind(Enum):
    """The kinds of tensor that llama.cpp tells apart, by patterns of their names; the first that matches decides."""

    OUTPUT = r"(lm_head|embed_out|^output)\.weight$"
    EMBEDDING = r"(embed_tokens|wte|word_embeddings|embed_in|tok_embeddings|token_embd|shared)\.weight$"
    QKV = r"(query_key_value|qkv_proj|attn\.c_attn|Wqkv|attn_qkv)\.weight$"
    VALUE = r"(v_proj|\.value|attn_v|wv|v_lin)\.weight$"
    KEY = r"(k_proj|\.key|attn_k|wk|k_lin)\.weight$"
    QUERY = r"(q_proj|\.query|attn_q|wq|q_lin)\.weight$"
    ATTENTION_OUTPUT = r"(o_proj|out_proj|attention\.dense|attn\.c_proj|wo|attn_output|out_lin)\.weight$"
    DOWN = r"(down_proj|w2|fc2|mlp\.c_proj|dense_4h_to_h|ffn_down(_exps|_shexp)?)(\.weight)?$"
    GATE = r"(gate_proj|w1|wi_0|ffn_gate(_exps|_shexp)?)(\.weight)?$"
    UP = r"(up_proj|w3|fc1|c_fc|wi_1|wi|dense_h_to_4h|ffn_up(_exps|_shexp)?)(\.weight)?$"
    OTHER = r""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a mixture asks about the whole model.

    Attributes:
        value_layers: layers with a value projection, or one of all three, ascending.
        layers: how many there are.
        grouping: query heads to a KV head.
        experts: routed experts of a layer, 1 where there are none.
        tied: whether the embedding is the output matrix.
    """

    value_layers: tuple[int, ...]
    layers: int
    grouping: int
    experts: int
    tied: bool

    @cached_property
    def is_70b(self) -> bool:
        """What llama.cpp takes for a 70B model of the Llama and Qwen families."""
        return self.layers == 80 and self.grouping > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tensor stands in its model: its layer, counted among those that have such a tensor."""

    layer: int
    layers: int
    facts: Facts

    @property
    def in_first_eighth(self) -> bool:
        """Among the first layers, whose errors all others carry on."""
        return self.layer < self.layers // 8

    @property
    def needs_more_bits(self) -> bool:
        """The first and the last eighth of the layers, and every third between."""
        first = self.layers // 8
        return self.in_first_eighth or self.layer >= 7 * self.layers // 8 or (self.layer - first) % 3 == 2


Condition = Callable[[Place], bool]
Rule = tuple[Kind, Condition, str]


def _always(_: Place) -> bool:
    return True


def _more(place: Place) -> bool:
    return place.needs_more_bits


def _early(place: Place) -> bool:
    return place.in_first_eighth


def _middle(place: Place) -> bool:
    return place.layers // 8 <= place.layer < 7 * place.layers // 8


def _grouped(place: Place) -> bool:
    return place.facts.grouping >= 4


def _grouped_or_experts(place: Place) -> bool:
    return place.facts.grouping >= 4 or place.facts.experts >= 4


def _eight(place: Place) -> bool:
    """Mixtral's eight experts, for which attention is a small part."""
    return place.facts.experts == 8


def _among_first(number: int) -> Condition:
    return lambda place: place.layer < number


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A quantization of llama.cpp.

    Attributes:
        base: the type of a tensor without a rule of its own.
        rules: for a kind of tensor where a condition holds; the first decides.
        output: the type of the output matrix, and of an embedding that is one.
        embedding: the type of the embedding, where it is not the base.
        generous: whether attention of models with eight experts and of 70B models gets yet more bits.
    """

    base: str
    rules: tuple[Rule, ...] = ()
    output: str = "Q6_K"
    embedding: str | None = None
    generous: bool = True


_OUTPUT_OF_EIGHT: Rule = (Kind.ATTENTION_OUTPUT, _eight, "Q5_K")


def _two_bits(base: str, value: str, down: str, attention_output: str | None, embedding: str) -> Mixture:
    """The mixtures of some two bits and less, which want an importance matrix."""
    rest: tuple[Rule, ...] = ((Kind.ATTENTION_OUTPUT, _always, attention_output),) if attention_output else ()
    rules: tuple[Rule, ...] = (
        (Kind.VALUE, _grouped_or_experts, "Q4_K"),
        (Kind.VALUE, _always, value),
        (Kind.KEY, _eight, "Q4_K"),
        (Kind.DOWN, _early, down),
        _OUTPUT_OF_EIGHT,
        *rest,
    )
    return Mixture(base=base, rules=rules, output="Q5_K", embedding=embedding, generous=False)


def _plain(base: str, output: str = "Q6_K") -> Mixture:
    return Mixture(base=base, output=output)


MIXTURES: Mapping[str, Mixture] = {
    "IQ1_S": _two_bits("IQ1_S", "Q2_K", "Q2_K", "IQ2_XXS", "Q2_K"),
    "IQ1_M": _two_bits("IQ1_M", "Q2_K", "Q2_K", "IQ2_XXS", "Q2_K"),
    "IQ2_XXS": _two_bits("IQ2_XXS", "Q2_K", "Q2_K", None, "Q2_K"),
    "IQ2_XS": _two_bits("IQ2_XS", "Q2_K", "Q2_K", None, "Q2_K"),
    "IQ2_S": _two_bits("IQ2_XS", "IQ3_S", "IQ3_S", "IQ3_S", "IQ3_S"),
    "IQ2_M": _two_bits("IQ2_S", "IQ3_S", "IQ3_S", "IQ3_S", "IQ3_S"),
    "IQ3_XXS": Mixture(
        base="IQ3_XXS",
        rules=(
            (Kind.VALUE, _grouped, "Q4_K"),
            (Kind.KEY, _always, "IQ2_S"),
            (Kind.QUERY, _always, "IQ2_S"),
            _OUTPUT_OF_EIGHT,
            (Kind.ATTENTION_OUTPUT, _always, "IQ3_S"),
        ),
        output="Q5_K",
        embedding="IQ3_S",
    ),
    "IQ3_XS": Mixture(
        base="IQ3_S",
        rules=(
            (Kind.VALUE, _grouped, "Q4_K"),
            (Kind.KEY, _always, "IQ3_XXS"),
            (Kind.QUERY, _always, "IQ3_XXS"),
            (Kind.GATE, _middle, "IQ3_XXS"),
            (Kind.UP, _middle, "IQ3_XXS"),
            _OUTPUT_OF_EIGHT,
        ),
    ),
    "IQ3_S": Mixture(base="IQ3_S", rules=((Kind.VALUE, _grouped, "Q4_K"), _OUTPUT_OF_EIGHT)),
    "IQ3_M": Mixture(
        base="IQ3_S",
        rules=(
            (Kind.VALUE, _always, "Q4_K"),
            (Kind.DOWN, lambda place: _early(place) or (_eight(place) and _more(place)), "Q4_K"),
            _OUTPUT_OF_EIGHT,
            (Kind.ATTENTION_OUTPUT, _always, "Q4_K"),
        ),
    ),
    "IQ4_XS": Mixture(base="IQ4_XS", rules=((Kind.VALUE, _grouped, "Q5_K"), _OUTPUT_OF_EIGHT)),
    "IQ4_NL": Mixture(base="IQ4_NL", rules=((Kind.VALUE, _grouped, "Q5_K"), _OUTPUT_OF_EIGHT)),
    "Q2_K": Mixture(
        base="Q2_K",
        rules=(
            (Kind.VALUE, _grouped, "Q4_K"),
            (Kind.VALUE, _always, "Q3_K"),
            (Kind.DOWN, _always, "Q3_K"),
            _OUTPUT_OF_EIGHT,
            (Kind.ATTENTION_OUTPUT, _always, "Q3_K"),
        ),
    ),
    "Q2_K_S": Mixture(base="Q2_K", rules=((Kind.VALUE, _grouped, "Q4_K"), (Kind.DOWN, _early, "Q4_K"))),
    "Q3_K_S": Mixture(base="Q3_K", rules=(_OUTPUT_OF_EIGHT,)),
    "Q3_K_M": Mixture(
        base="Q3_K",
        rules=(
            (Kind.VALUE, _among_first(2), "Q5_K"),
            (Kind.VALUE, _always, "Q4_K"),
            (Kind.DOWN, lambda place: place.layer < place.layers // 16, "Q5_K"),
            (Kind.DOWN, _always, "Q4_K"),
            _OUTPUT_OF_EIGHT,
            (Kind.ATTENTION_OUTPUT, _always, "Q4_K"),
        ),
    ),
    "Q3_K_L": Mixture(
        base="Q3_K",
        rules=(
            (Kind.VALUE, _always, "Q5_K"),
            (Kind.DOWN, _always, "Q5_K"),
            (Kind.ATTENTION_OUTPUT, lambda place: not _eight(place), "Q5_K"),
        ),
    ),
    "Q4_0": Mixture(base="Q4_0", rules=((Kind.DOWN, _early, "Q4_1"),)),
    "Q4_1": _plain("Q4_1"),
    "Q4_K_S": Mixture(
        base="Q4_K",
        rules=((Kind.VALUE, _among_first(4), "Q5_K"), (Kind.DOWN, _early, "Q5_K"), _OUTPUT_OF_EIGHT),
    ),
    "Q4_K_M": Mixture(
        base="Q4_K",
        rules=((Kind.VALUE, _more, "Q6_K"), (Kind.DOWN, _more, "Q6_K"), _OUTPUT_OF_EIGHT),
    ),
    "Q5_0": Mixture(base="Q5_0", rules=((Kind.DOWN, _early, "Q5_1"),)),
    "Q5_1": _plain("Q5_1"),
    "Q5_K_S": _plain("Q5_K"),
    "Q5_K_M": Mixture(base="Q5_K", rules=((Kind.VALUE, _more, "Q6_K"), (Kind.DOWN, _more, "Q6_K"))),
    "Q6_K": _plain("Q6_K"),
    "Q8_0": _plain("Q8_0", output="Q8_0"),
    "F16": Mixture(base="F16", output="F16", generous=False),
    "BF16": Mixture(base="BF16", output="BF16", generous=False),
}

# Rows that are not whole blocks of a type are stored in one of blocks of 32, and where that fails in F16.
_FALLBACKS = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
_UNQUANTIZED = re.compile(
    r"(norm|ln_\w+|ffn_gate_inp|conv1d|short_?conv|relative_attention_bias|position_embeddings|token_type_embeddings"
    r"|wpe|embed_positions|attn_rel_b|token_types|position_embd)\.|bias$|A_log$|\.D$"
)


def facts_of(groups: Iterable[TensorGroup]) -> Facts:
    """What mixtures ask about a model, from its tensors."""
    rows: dict[Kind, int] = {}
    values: set[int] = set()
    layers: set[int] = set()
    experts = 1
    for group in groups:
        kind = kind_of(group.template)
        if group.unpacked is None or group.role in (Role.VISION, Role.AUDIO):
            continue
        rows.setdefault(kind, group.unpacked[0])
        layers.update(group.layers or ())
        if kind in (Kind.VALUE, Kind.QKV):
            values.update(group.layers or ())
        if group.role is Role.EXPERTS:
            experts = max(experts, _experts(group))
    return Facts(
        value_layers=tuple(sorted(values)),
        layers=max(layers, default=0) + 1,
        grouping=rows.get(Kind.QUERY, 1) // rows.get(Kind.KEY, rows.get(Kind.QUERY, 1)),
        experts=experts,
        tied=Kind.OUTPUT not in rows,
    )


def nbytes(mixture: Mixture, group: TensorGroup, facts: Facts) -> int:
    """Bytes of all tensors of a group in a GGUF file of that mixture."""
    assert group.unpacked is not None
    if (
        len(group.unpacked) < 2
        or group.role in (Role.NORM, Role.ROUTER)
        or _UNQUANTIZED.search(group.template)
    ):
        return 4 * group.parameters
    if group.role in (Role.VISION, Role.AUDIO):
        # A projector beside the model, in F16.
        return 2 * group.parameters
    kind = kind_of(group.template)
    layers = group.layers or [0]
    each = group.count // len(layers)
    return sum(each * _matrix_nbytes(mixture, group.unpacked, kind, layer, facts) for layer in layers)


@lru_cache(maxsize=4096)
def kind_of(template: str) -> Kind:
    """The kind of a tensor, by its name."""
    return next(kind for kind in Kind if re.search(kind.value, template))


def _matrix_nbytes(mixture: Mixture, shape: tuple[int, ...], kind: Kind, layer: int, facts: Facts) -> int:
    *rows, columns = shape
    name = _type_of(mixture, kind, layer, facts)
    wanted = (name, _FALLBACKS.get(name, "IQ4_NL"), "F16")
    stored = next(row for row in map(ggml.of, wanted) if columns % row.block == 0)
    return prod(rows) * stored.nbytes(columns)


def _type_of(mixture: Mixture, kind: Kind, layer: int, facts: Facts) -> str:
    if kind is Kind.OUTPUT or (kind is Kind.EMBEDDING and facts.tied):
        return mixture.output
    if kind is Kind.EMBEDDING:
        return mixture.embedding or mixture.base
    place = _place(kind, layer, facts)
    # One matrix for queries, keys and values has the bits its values need.
    asked = Kind.VALUE if kind is Kind.QKV else kind
    chosen = next((name for of, holds, name in mixture.rules if of is asked and holds(place)), mixture.base)
    return _generous(chosen, asked, facts) if mixture.generous else chosen


def _generous(chosen: str, kind: Kind, facts: Facts) -> str:
    """Where values, or keys of eight experts, are a small part of the model, they get more bits."""
    if kind in (Kind.VALUE, Kind.KEY) and facts.experts == 8:
        return "Q8_0"
    if kind is Kind.VALUE and facts.is_70b and chosen in ("Q3_K", "Q4_K"):
        return "Q5_K"
    return chosen


def _place(kind: Kind, layer: int, facts: Facts) -> Place:
    """Values are counted among the layers that have them, the rest among all."""
    if kind in (Kind.VALUE, Kind.QKV) and layer in facts.value_layers:
        return Place(layer=facts.value_layers.index(layer), layers=len(facts.value_layers), facts=facts)
    return Place(layer=layer, layers=facts.layers, facts=facts)


def _experts(group: TensorGroup) -> int:
    """How many experts a layer has: in one tensor of three dimensions, or numbered after the layer."""
    if group.unpacked is not None and len(group.unpacked) == 3:
        return group.unpacked[0]
    return group.count // max(len(group.layers or ()), 1)
