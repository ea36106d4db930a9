"""How a family without a row computes, as far as the names and shapes of its weights show.

What they do not show is taken to be as most families have it: kernels that fuse, and of encoders the ways of
BERT. Functions, caps and dropout are the config's to say.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from hubmem.memory.programs.computation import (
    Computation,
    Gate,
    HeadNorms,
    Norm,
    Projection,
    Residual,
    Rotation,
    Scores,
    Sinks,
)
from hubmem.memory.programs.scans import Recurrence
from hubmem.models.architecture import Architecture
from hubmem.models.mixers import Attention, Recurrent
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.roles import Role

_INNER_NORM = re.compile(r"(attn|ffn)_sub_norm")
_HEAD_NORM = re.compile(r"(^|[._])(q|k|query|key)_?(layer_?)?norm")
_OF_A_PART = re.compile(f"{_HEAD_NORM.pattern}|{_INNER_NORM.pattern}|per_layer_input")
_FUSED_PROJECTION = re.compile(r"query_key_value|qkv|c_attn|Wqkv", re.IGNORECASE)
_FUSED_GATE = re.compile(r"(?<!experts\.)gate_up_proj|gate_and_up|Wi\.weight|wi_01")
_OUTPUT_GATE = re.compile(r"att\w*\.(gate_proj|g_proj)\.weight$")
_QUERIES = re.compile(r"\.q_proj\.weight$")
_BETWEEN_VERSIONS = "altup.correction_coefs.weight"
_SINKS = re.compile(r"\bsinks$")
_SHARED_GATE = re.compile(r"shared_expert_gate")
_POSITIONS = re.compile(r"(^|\.)(wpe|embed_positions|position_embeddings?|pos_embed)\b")
_BEFORE = re.compile(r"input|pre|ln_1|norm_?1|attention_norm|attn_norm|before", re.IGNORECASE)


def read_computation(architecture: Architecture, census: Census) -> Computation:
    """Norms by their names, biases and number; fused matrices by theirs."""
    census = _without_towers(census)
    norms = tuple(_layer_norms(architecture, census))
    residual = _residual(norms, generates=architecture.generates)
    if _reads_embeddings_again(architecture, census):
        residual = Residual.INTO_RECURRENCE
    if _rows(census, _BETWEEN_VERSIONS):
        residual = Residual.OVER_VERSIONS
    encodes = not architecture.generates
    learned = any(_POSITIONS.search(group.template) for group in census.groups)
    upcasts = _upcasts(architecture, residual)
    sinks = _any(census, _SINKS)
    unrotated = _neither_learns_nor_rotates(architecture, learned=learned)
    biased = unrotated and not architecture.switches.numbers_positions
    disentangled = architecture.switches.attends_to_positions
    return Computation(
        norm=Norm.LAYER if _have_biases(census) else Norm.RMS,
        residual=residual,
        projection=Projection.VIEWS if _any(census, _FUSED_PROJECTION) else Projection.SEPARATE,
        rotation=_rotation(architecture, learned=learned),
        fused_gate=_any(census, _FUSED_GATE),
        gate=_gate(architecture, census),
        inner_norms=_any(census, _INNER_NORM),
        router_float32=architecture.switches.scales_routing,
        qk_norm=_head_norms(census),
        logits_float32=upcasts,
        mlm_transform=encodes,
        embedding_norm=encodes,
        fused_kernels=not (sinks or unrotated or disentangled),
        by_head=disentangled,
        layers_held=disentangled,
        scores=_scores(biased=biased, disentangled=disentangled),
        relative_positions=table_of_positions(census),
        returns_probabilities=biased,
        sinks=Sinks.JOINED if sinks else Sinks.NONE,
        shared_gated=_any(census, _SHARED_GATE),
        softmax_float32=_stated(architecture.switches.upcasts_softmax, otherwise=upcasts and not sinks),
        dropout=encodes,
        attention_dropout=encodes,
        embedding_dropout=encodes,
    )


def _without_towers(census: Census) -> Census:
    """Towers say nothing of how the language model beside them computes; a tower alone says it of itself."""
    groups = tuple(group for group in census.groups if group.role not in (Role.VISION, Role.AUDIO))
    return replace(census, groups=groups) if groups else census


def embedding_width(architecture: Architecture, census: Census) -> int:
    """Columns of the token embedding: fewer than the hidden size where it is factorized (ALBERT)."""
    widths = (
        group.shape[1]
        for group in census.groups
        if group.role is Role.EMBEDDING
        and len(group.shape) == 2
        and group.shape[0] == architecture.vocab_size
    )
    return next(widths, architecture.hidden_size)


def table_of_positions(census: Census) -> int:
    """Rows of DeBERTa's table of relative positions."""
    return max((group.shape[0] for group in census.find("rel_embeddings.weight")), default=0)


def bins_of_frames(census: Census) -> int:
    """Values of each frame of sound that the first of an encoder's convolutions reads, 0 without one (Whisper)."""
    return next((group.shape[1] for group in census.find("encoder.conv1.weight")), 0)


def with_sizes(computation: Computation, census: Census) -> Computation:
    """With the sizes of parts that few families have, as their weights show them."""
    return replace(
        computation,
        layer_inputs=_rows(census, "per_layer_input_gate.weight"),
        versions=_rows(census, _BETWEEN_VERSIONS) or 1,
        side_rank=_rows(census, "laurel.linear_left.weight"),
        index_heads=_heads_of_indexer(census),
    )


def _heads_of_indexer(census: Census) -> int:
    """Of an indexer in the way of DeepSeek-V3.2; 0 where keys are pooled before it (GLM-5.3)."""
    pools = any("kpool" in group.template for group in census.kinds)
    return 0 if pools else _rows(census, "indexer.weights_proj.weight")


def recurrence_of(architecture: Architecture, census: Census) -> Recurrence | None:
    """The widths of the matrices into and out of layers without attention; None where there are none."""
    mixer = next((mixer for mixer in _recurrent(architecture) if mixer.chunk), None)
    if mixer and mixer.name == "kimi_delta_attention":
        return _of_alike_parts(mixer)
    groups = [g for g in census.groups if g.role is Role.RECURRENT and len(g.shape) == 2]
    into = max((g.shape[0] for g in groups if "in_proj" in g.template), default=2 * architecture.hidden_size)
    out = max((g.shape[1] for g in groups if "out_proj" in g.template), default=architecture.hidden_size)
    if not groups:
        return None
    plain = Recurrence(projected=into, inner=min(out, into))
    if mixer is None:
        return plain
    return replace(
        plain,
        kind=mixer.name,
        heads=_rows(census, "A_log"),
        state=mixer.state.float32 // plain.inner,
        convolved=_rows(census, "conv1d.weight"),
        chunk=mixer.chunk,
        parts=max((group.shape[0] for group in census.find("A_log") if len(group.shape) == 3), default=1),
    )


def _of_alike_parts(mixer: Recurrent) -> Recurrence:
    """Of queries, keys and values equally wide, whose past inputs it keeps, and a square of a head's size."""
    inner = mixer.state.model // mixer.kernel // 3
    state = mixer.state.float32 // inner
    return Recurrence(
        kind=mixer.name,
        projected=3 * inner,
        inner=inner,
        heads=inner // state,
        state=state,
        convolved=3 * inner,
        chunk=mixer.chunk,
    )


def _recurrent(architecture: Architecture) -> Iterator[Recurrent]:
    mixers = (mixer for layer in architecture.layers for mixer in layer.mixers)
    return (mixer for mixer in mixers if isinstance(mixer, Recurrent))


def _rows(census: Census, name: str) -> int:
    return next((group.shape[0] for group in census.find(name)), 0)


def _head_norms(census: Census) -> HeadNorms:
    """Norms of queries and keys: in turn, as most classes with matrices of their own have them."""
    if not _any(census, _HEAD_NORM):
        return HeadNorms.NONE
    return HeadNorms.TOGETHER if _any(census, _FUSED_PROJECTION) else HeadNorms.IN_TURN


def _gate(architecture: Architecture, census: Census) -> Gate:
    """A matrix of attention's named as a gate, or twice as many queries as heads can have."""
    if _any(census, _OUTPUT_GATE):
        return Gate.SEPARATE
    mixer = architecture.attention
    width = mixer.heads * mixer.key_dim if isinstance(mixer, Attention) else 0
    rows = {g.shape[0] for g in census.groups if len(g.shape) == 2 and _QUERIES.search(g.template)}
    return Gate.WITH_QUERIES if rows == {2 * width} else Gate.NONE


def _reads_embeddings_again(architecture: Architecture, census: Census) -> bool:
    """Whether attention beside a recurrence reads twice the hidden size: its input and the embeddings (Zamba)."""
    queries = (g for g in census.groups if len(g.shape) == 2 and _QUERIES.search(g.template))
    return any(group.shape[1] == 2 * architecture.hidden_size for group in queries)


def _stated(switch: bool | None, *, otherwise: bool) -> bool:
    return otherwise if switch is None else switch


def _upcasts(architecture: Architecture, residual: Residual) -> bool:
    """Whether softmax and loss are taken in float32: by decoders, and by encoders made as decoders are."""
    alike = bool(architecture.switches.rotates) and residual is Residual.PRE
    return not architecture.encoder and (architecture.generates or alike)


def _scores(*, biased: bool, disentangled: bool) -> Scores:
    return Scores.DISENTANGLED if disentangled else Scores.ALIBI if biased else Scores.SCALED


def _neither_learns_nor_rotates(architecture: Architecture, *, learned: bool) -> bool:
    """Whether positions are sines, or a bias of scores (ALiBi): such code is older than fused kernels."""
    mixers = (mixer for layer in architecture.layers for mixer in layer.mixers)
    elsewhere = learned or architecture.switches.rotates is not False or architecture.encoder
    return not elsewhere and architecture.generates and all(isinstance(m, Attention) for m in mixers)


def _rotation(architecture: Architecture, *, learned: bool) -> Rotation:
    if learned or architecture.switches.rotates is False:
        return Rotation.NONE
    return Rotation.PARTIAL if architecture.switches.rotates_part else Rotation.FULL


def _residual(norms: tuple[str, ...], *, generates: bool) -> Residual:
    before = any(map(_BEFORE.search, norms))
    if not generates:
        return Residual.PRE if before else Residual.AFTER_SUM
    if len(norms) == 1:
        return Residual.PARALLEL
    if len(norms) >= 4:
        return Residual.SANDWICH
    return Residual.PRE if before else Residual.POST


def _layer_norms(architecture: Architecture, census: Census) -> Iterator[str]:
    """Names of the norms a layer has of its residual stream."""
    groups = (group for group in _norm_weights(census) if group.layers)
    names = (_name_in_layer(group) for group in groups if group.shape == (architecture.hidden_size,))
    return iter(dict.fromkeys(name for name in names if not _OF_A_PART.search(name)))


def _norm_weights(census: Census) -> Iterator[TensorGroup]:
    return (g for g in census.groups if g.role is Role.NORM and g.template.endswith("weight"))


def _name_in_layer(group: TensorGroup) -> str:
    return re.split(r"\.(?:\{[^}]*\}|\d+)\.", group.template)[-1].removesuffix(".weight")


def _have_biases(census: Census) -> bool:
    return any(group.role is Role.NORM and group.template.endswith("bias") for group in census.groups)


def _any(census: Census, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(group.template) for group in census.groups)
