"""What tensor shapes alone say about a model's layers.

For a model type nobody knows it stands in for the config, and is said to be derived from headers; for a known
one it is the cross-check: where shapes and config disagree, the report says so.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hubmem import dtypes
from hubmem.models.architecture import Architecture, Dense, Layer
from hubmem.models.mixers import Attention, Kept, LatentAttention, Mixer, Recurrent
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.roles import Role

_END = r"\.weight$"
_KEY = re.compile(r"\.(k_proj|key|key_proj|k_lin|wk|k)" + _END)
_VALUE = re.compile(r"\.(v_proj|value|value_proj|v_lin|wv|v)" + _END)
_FUSED = re.compile(r"\.(qkv_proj|query_key_value|c_attn|Wqkv|qkv|W_pack|wqkv)" + _END)
_OUT = re.compile(r"(attn|attention|attend)\w*\.(o_proj|out_proj|dense|c_proj|wo|proj|Wo)" + _END)
_LATENT = re.compile(r"\.(kv_a_proj_with_mqa|wkv_a_with_mqa|kv_a_proj)" + _END)
_CONVOLUTION = re.compile(r"\.conv1d" + _END)
_STATE = re.compile(r"\.A_log$")
_UP = re.compile(r"\.mlp\.up_proj" + _END)
_EMBEDDING = re.compile(
    r"(embed_tokens|wte|word_embeddings|tok_embeddings|embed_in|(backbone|model)\.embeddings)" + _END
)
_DRAFT = re.compile(r"\.(eh_proj|enorm|hnorm)" + _END)
_NUMBER = re.compile(r"\.(\{|\d)")
# What lies in numbered layers and makes none of the model's own; a draft layer's buffers are told as buffers.
_BESIDE = (Role.VISION, Role.AUDIO, Role.DRAFT, Role.ADAPTER, Role.BUFFER)
_BESIDE_NAMES = re.compile(r"(^|\.)(talker|token2wav|code2wav|depth_decoder|protein_encoder)\.")
# Attention across, indexers, linear attention: they keep something that the shapes of keys do not show.
_KEEPS_MORE = re.compile(
    r"cross_?att|encoder_attn|EncDec|src_attn|index|linear_attn|conv1d|A_log|compressor|lstm|time_mix"
)
# The number in a name is not that of a layer: layers are run several times, share weights or lie in blocks.
_NUMBERED_OTHERWISE = ("albert", "funnel", "hrm_text")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShapes:
    """What the tensors of one layer show.

    Attributes:
        keys, values: elements of a position's keys and values, over all heads.
        fused: whether they lie in one projection with the queries.
        latent: elements of a compressed vector, its rotary part included.
        convolved: elements of a convolution's past inputs.
        state: elements of a state space, where its tensor shows both dimensions.
        width: of a dense feed-forward part.
        opaque: whether it mixes tokens in a way its shapes do not show.
    """

    keys: int | None = None
    values: int | None = None
    fused: bool = False
    latent: int | None = None
    convolved: int | None = None
    state: int | None = None
    width: int | None = None
    opaque: bool = False


def architecture_by_shapes(model_type: str, census: Census) -> Architecture | None:
    """The architecture that tensor shapes alone show, for a model type that has no row; None where they do not."""
    layers = layer_shapes(census)
    embedding = _embedding(census)
    stacks = ("encoder.", "decoder.")
    two_stacks = all(any(name in group.template for group in census.groups) for name in stacks)
    alike = len({shapes.fused for shapes in layers if shapes.keys is not None}) <= 1
    if not layers or embedding is None or two_stacks or not alike or any(shapes.opaque for shapes in layers):
        return None
    main = dtypes.BY_NAME.get(census.main_dtype)
    return Architecture(
        model_type=model_type,
        class_name=None,
        hidden_size=embedding[1],
        vocab_size=embedding[0],
        max_context=None,
        dtype=main.name if main and main.floating else None,
        tied_embeddings=not census.by_role().get(Role.HEAD),
        layers=tuple(Layer(mixers=tuple(_mixers(shapes)), feed_forward=None) for shapes in layers),
    )


def disagreements(architecture: Architecture, census: Census) -> tuple[str, ...]:
    """Where the shapes of the tensors contradict the config, a sentence each."""
    layers = layer_shapes(census)
    if not layers:
        return ()
    return tuple(dict.fromkeys(_contradictions(architecture, layers, _embedding(census))))


def layer_shapes(census: Census) -> list[LayerShapes]:
    """What each layer of the language model shows, in order; empty where none lie in numbered layers."""
    by_layer: defaultdict[int, list[TensorGroup]] = defaultdict(list)
    for group in _trunk(census):
        for layer in group.layers or ():
            by_layer[layer].append(group)
    numbers = range(max(by_layer, default=-1) + 1)
    return [_shapes_of(by_layer[layer]) for layer in numbers if not any(map(_drafts, by_layer[layer]))]


def _trunk(census: Census) -> list[TensorGroup]:
    """The groups of the stack that is the language model: the longest that mixes tokens."""
    stacks: defaultdict[str, list[TensorGroup]] = defaultdict(list)
    for group in census.groups:
        number = _NUMBER.search(group.template)
        beside = group.role in _BESIDE or _BESIDE_NAMES.search(group.template)
        if number and group.layers is not None and not beside:
            stacks[group.template[: number.start()]].append(group)
    if any("decoder" in name for name in stacks):
        stacks = defaultdict(list, {name: rows for name, rows in stacks.items() if "encoder" not in name})
    mixing = [rows for rows in stacks.values() if any(_mixes(group) for group in rows)]
    return max(mixing, key=_length, default=[])


def _drafts(group: TensorGroup) -> bool:
    """Whether its layers predict tokens further ahead: DeepSeek-V3 numbers them on after the model's."""
    return _DRAFT.search(group.template) is not None


def _length(groups: Iterable[TensorGroup]) -> int:
    return max(max(group.layers or (0,)) for group in groups)


def _mixes(group: TensorGroup) -> bool:
    return any(
        pattern.search(group.template) for pattern in (_KEY, _FUSED, _LATENT, _CONVOLUTION)
    ) or group.role in (Role.ATTENTION, Role.RECURRENT)


def _shapes_of(groups: list[TensorGroup]) -> LayerShapes:
    keys, values = _split(groups)
    convolution = _one(groups, _CONVOLUTION)
    state = _one(groups, _STATE)
    latent = _rows(groups, _LATENT)
    state_space = state is not None and len(state) == 2
    mixes = any(group.role in (Role.ATTENTION, Role.RECURRENT) for group in groups)
    keeps_more = any(_KEEPS_MORE.search(group.template) for group in groups)
    shown = state_space or ((keys is not None or latent is not None) and not keeps_more)
    return LayerShapes(
        keys=None if latent else keys,
        values=None if latent else values,
        fused=_rows(groups, _KEY) is None,
        latent=latent,
        convolved=convolution[0] * convolution[-1] if convolution else None,
        state=state[0] * state[1] if state and state_space else None,
        width=_rows(groups, _UP),
        opaque=mixes and not shown,
    )


def _split(groups: list[TensorGroup]) -> tuple[int | None, int | None]:
    """Elements of keys and of values: of their own projections, or of what a fused one has beside queries."""
    keys, values = _rows(groups, _KEY), _rows(groups, _VALUE)
    fused, out = _one(groups, _FUSED), _one(groups, _OUT)
    if keys is not None or fused is None or out is None:
        return keys, values
    # GPT-2 keeps its projections the other way round; a fused one is wider than the hidden size either way.
    both = max(fused) - out[1]
    return (both // 2, both // 2) if both > 0 and both % 2 == 0 else (None, None)


def _rows(groups: Iterable[TensorGroup], pattern: re.Pattern[str]) -> int | None:
    shape = _one(groups, pattern)
    return shape[0] if shape and len(shape) == 2 else None


def _one(groups: Iterable[TensorGroup], pattern: re.Pattern[str]) -> tuple[int, ...] | None:
    """The shape of the layer's only tensor of a name; None where there is none, or more than one."""
    named = [group for group in groups if group.unpacked and pattern.search(group.template)]
    alone = len(named) == 1 and named[0].count == len(named[0].layers or ())
    return named[0].unpacked if alone else None


def _embedding(census: Census) -> tuple[int, int] | None:
    shapes = [
        (group.unpacked[0], group.unpacked[1])
        for group in census.groups
        if group.unpacked and len(group.unpacked) == 2 and _EMBEDDING.search(group.template)
    ]
    return max(shapes, default=None)


def _mixers(shapes: LayerShapes) -> Iterator[Mixer]:
    """The mixers of a layer whose heads are not known: all of them count as one."""
    if shapes.latent is not None:
        yield LatentAttention(
            heads=1, latent_dim=shapes.latent, rope_dim=0, key_dim=shapes.latent, value_dim=0
        )
    elif shapes.keys is not None:
        values = shapes.keys if shapes.values is None else shapes.values
        yield Attention(heads=1, kv_heads=1, key_dim=shapes.keys, value_dim=values)
    if shapes.state is not None:
        state = Kept(model=shapes.convolved or 0, float32=shapes.state)
        yield Recurrent(name="state_space", state=state)


def _contradictions(
    architecture: Architecture, layers: list[LayerShapes], embedding: tuple[int, int] | None
) -> Iterator[str]:
    stated = architecture.layers
    if len(layers) != len(stated) and architecture.model_type not in _NUMBERED_OTHERWISE:
        yield f"The config says {len(stated)} layers, the tensors lie in {len(layers)}."
    for number, (layer, shapes) in enumerate(zip(stated, layers, strict=False)):
        yield from _layer_contradictions(number, layer, shapes)
    if embedding is not None and embedding[0] < architecture.vocab_size:
        yield f"The config says {architecture.vocab_size} tokens, the embedding has {embedding[0]}."


def _layer_contradictions(number: int, layer: Layer, shapes: LayerShapes) -> Iterator[str]:
    own = [
        mixer
        for mixer in layer.mixers
        if isinstance(mixer, Attention) and not mixer.shared and mixer.source == "self"
    ]
    expected: Mapping[str, tuple[set[int], int | None]] = {
        "keys": ({mixer.kv_heads * mixer.key_dim for mixer in own}, shapes.keys),
        "values": ({mixer.kv_heads * mixer.value_dim for mixer in own}, shapes.values),
        "a latent vector": (
            {m.latent_dim + m.rope_dim for m in layer.mixers if isinstance(m, LatentAttention)},
            shapes.latent,
        ),
    }
    for name, (says, shown) in expected.items():
        if says and shown is not None and shown not in says:
            yield f"The config says {name} of {min(says)} elements, layer {number}'s tensors have {shown}."
    if isinstance(layer.feed_forward, Dense) and shapes.width not in (None, layer.feed_forward.width):
        yield (
            f"The config says an MLP width of {layer.feed_forward.width}, layer {number}'s tensors have"
            f" {shapes.width}."
        )
