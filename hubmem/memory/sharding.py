"""Which part of a model one rank holds: every tensor by its role, every layer by its stage.

Symbols: t ranks of tensor parallelism, K KV heads, V rows of the vocabulary.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise

from hubmem.errors import UsageError
from hubmem.memory.programs.computation import Computation
from hubmem.memory.programs.families import computation_of
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Dense, Experts, FeedForward, Layer
from hubmem.models.mixers import Attention, Kept, LatentAttention, Mixer, Recurrent
from hubmem.units import round_up
from hubmem.weights.census import Census, TensorGroup
from hubmem.weights.roles import Role

# vLLM pads a vocabulary so that every rank's part is a multiple of this many rows
# (vllm/model_executor/layers/vocab_parallel_embedding.py, DEFAULT_VOCAB_PADDING_SIZE).
_VOCABULARY_MULTIPLE = 64


class Split(Enum):
    """How tensor parallelism divides a tensor."""

    WHOLE = "a copy on every rank"
    EVENLY = "1/t: columns of the first matrix of a pair, rows of the second"
    VOCABULARY = "1/t of the rows, filled up to a multiple of 64·t"
    KV_HEADS = "1/t, but never less than one KV head"
    FUSED_QKV = "1/t of the query heads, and at least one KV head each for K and V"
    EXPERTS = "whole experts over expert-parallel ranks, the rest of t splits each expert"


_Rule = tuple[frozenset[Role], str, Split]

_ATTENTION = frozenset({Role.ATTENTION})
_MATRICES = frozenset({Role.MLP, Role.SHARED_EXPERTS, Role.ATTENTION})
_ENDS = frozenset({Role.EMBEDDING, Role.HEAD})
_TOWERS = frozenset({Role.VISION, Role.AUDIO, Role.RECURRENT, Role.DRAFT})
_SECOND_OF_A_PAIR = r"(o_proj|out_proj|out_lin|down_proj|c_proj|4h_to_h|fc2|fc_out|w2|wo|lin2|\.dense)\.bias$"
_FUSED = r"(query_key_value|qkv_proj|c_attn|Wqkv|in_proj_qkv|attn_qkv|\.qkv)(\.|_|$)"
_KEYS_OR_VALUES = r"(^|[._])(k|v|key|value)(_proj|_lin)?\."
_LATENT = r"(_a_proj|_a_proj_with_mqa|_down_proj_a|indexer|compressor|wkv_a|wq_a)"
_VOCABULARY = (
    r"(wte|embed_tokens|word_embeddings|tok_embeddings|token_embd|shared|embed_in|lm_head|embed_out|^output"
    r"|decoder)\.(weight|bias)$"
)

# The first rule that names a tensor's role and matches its template decides; the layout is Megatron-LM's
# (Shoeybi et al., arXiv 1909.08053, section 3) as vLLM 0.11's model definitions apply it.
_RULES: tuple[_Rule, ...] = (
    (_MATRICES, _SECOND_OF_A_PAIR, Split.WHOLE),
    (_ATTENTION, _LATENT, Split.WHOLE),
    (_ATTENTION, _FUSED, Split.FUSED_QKV),
    (_ATTENTION, _KEYS_OR_VALUES, Split.KV_HEADS),
    (_MATRICES, "", Split.EVENLY),
    (frozenset({Role.EXPERTS}), "", Split.EXPERTS),
    (_ENDS, _VOCABULARY, Split.VOCABULARY),
    (_TOWERS, "weight", Split.EVENLY),
    (frozenset(Role), "", Split.WHOLE),
)


@lru_cache(maxsize=4096)
def split_of(template: str, role: Role) -> Split:
    """How tensor parallelism divides the tensors of a folded name.

    >>> split_of("model.layers.{0..79}.self_attn.k_proj.weight", Role.ATTENTION).name
    'KV_HEADS'
    >>> split_of("model.layers.{0..79}.input_layernorm.weight", Role.NORM).name
    'WHOLE'
    """
    return next(split for roles, pattern, split in _RULES if role in roles and re.search(pattern, template))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Consecutive layers that one pipeline rank runs.

    Attributes:
        index: its place in the pipeline.
        layers: their numbers.
        first, last: whether the embedding, and the head with the final norm, are here too.
        tied: whether the head is the embedding, of which the last stage then has a copy.
        both_ends: whether the embedding and the head are on every stage, used there or not.
    """

    index: int
    layers: range
    first: bool
    last: bool
    tied: bool = False
    both_ends: bool = False

    def share(self, group: TensorGroup) -> Fraction:
        """The part of a group that lies on this stage; what has no layer goes to the end it belongs to."""
        if self.first and self.last:
            return Fraction(1)
        numbers = group.layers
        if numbers is None:
            if group.role is Role.EMBEDDING and self.tied and self.last:
                return Fraction(1)
            if group.role in _ENDS and self.both_ends:
                return Fraction(1)
            at_the_start = group.role in (Role.EMBEDDING, Role.VISION, Role.AUDIO)
            return Fraction(self.first if at_the_start else self.last)
        stop = len(numbers) if self.last else bisect_left(numbers, self.layers.stop)
        return Fraction(stop - bisect_left(numbers, self.layers.start), len(numbers))

    def runs(self, layer: int) -> bool:
        """Whether a layer is here; those beyond the model's own, which draft tokens, are on the last stage."""
        return self.layers.start <= layer and (self.last or layer < self.layers.stop)


def stage_bounds(layers: int, workload: Workload) -> list[int]:
    """Where stages begin, and where the last ends; the first take one more where layers do not divide evenly.

    >>> stage_bounds(61, Workload(pp=4))
    [0, 16, 31, 46, 61]
    """
    each, more = divmod(layers, workload.pp)
    return [index * each + min(index, more) for index in range(workload.pp + 1)]


def stages(bounds: Sequence[int], *, tied: bool = False) -> list[Stage]:
    """Layers over pipeline ranks; a head that is the embedding is at both ends (Megatron-LM; vLLM, PPMissingLayer).

    >>> [len(stage.layers) for stage in stages([0, 16, 31, 46, 61])]
    [16, 15, 15, 15]
    """
    last = len(bounds) - 2
    return [
        Stage(index=index, layers=range(start, end), first=index == 0, last=index == last, tied=tied)
        for index, (start, end) in enumerate(pairwise(bounds))
    ]


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One rank's part of a model.

    Attributes:
        architecture: what its layers look like from here: its heads, its widths, its layers; None if unknown.
        model: the whole model's.
    """

    architecture: Architecture | None
    model: Architecture | None
    census: Census
    workload: Workload
    stage: Stage
    heads: tuple[int, int]

    @cached_property
    def computation(self) -> Computation:
        """How its layers compute."""
        return computation_of(self.architecture, self.census)

    @property
    def whole(self) -> bool:
        """Whether the model is not divided."""
        return self.workload.tp == self.workload.pp == self.workload.ep == 1

    def nbytes(
        self, size: Callable[[TensorGroup], int], chosen: Callable[[TensorGroup], bool] = lambda _: True
    ) -> int:
        """Bytes of the chosen groups on this rank, given the size of each group undivided."""
        undivided = self.stage.first and self.stage.last
        groups = self.census.kinds if undivided else self.census.across_files
        return sum(self.part(group, size(group)) for group in groups if chosen(group))

    def part(self, group: TensorGroup, nbytes: int) -> int:
        """Of so many bytes of a group, those on this rank."""
        if self.whole or not nbytes:
            return nbytes
        share = _share(group, self.stage, self.workload.tp, self.workload.ep, self.heads)
        return -(-nbytes * share.numerator // share.denominator)


@lru_cache(maxsize=4096)
def _share(group: TensorGroup, stage: Stage, tp: int, ep: int, heads: tuple[int, int]) -> Fraction:
    """The part of a group that one rank of a stage has; of many plans for a model, most ask for the same."""
    return stage.share(group) * _tensor_share(group, tp, ep, *heads)


def _tensor_share(group: TensorGroup, tp: int, ep: int, heads: int, kv_heads: int) -> Fraction:
    split = split_of(group.template, group.role)
    if split is Split.WHOLE:
        return Fraction(1)
    if split is Split.KV_HEADS:
        return Fraction(kv_heads_each(kv_heads, tp), kv_heads)
    if split is Split.FUSED_QKV:
        here = Fraction(heads, tp) + 2 * kv_heads_each(kv_heads, tp)
        return here / (heads + 2 * kv_heads)
    if split is Split.VOCABULARY:
        rows = group.shape[0] if group.shape else 1
        return Fraction(padded_vocabulary(rows, tp), rows * tp)
    if split is Split.EXPERTS:
        return Fraction(1, ep * _expert_tp(tp, ep))
    return Fraction(1, tp)


def ranks(
    architecture: Architecture | None,
    census: Census,
    workload: Workload,
    stage_bounds: Callable[[int, Workload], Sequence[int]] = stage_bounds,
) -> Iterator[Rank]:
    """The ranks that may be the fullest: one a pipeline stage, since those of one stage are alike.

    Args:
        architecture: None if its layers are not known.
        census: of the whole model.
        workload: with the ranks it is divided over.
        stage_bounds: where stages of so many layers begin, and where the last ends.

    Raises:
        UsageError: the model cannot be divided so.
    """
    if reason := legal_tp(architecture, census, workload.tp) or _illegal(architecture, workload):
        raise UsageError(reason)
    attention = architecture.attention if architecture else None
    heads = attention.heads if attention else workload.tp
    kv_heads = attention.kv_heads if isinstance(attention, Attention) else heads
    count = len(architecture.layers) if architecture else 1
    tied = bool(architecture and architecture.tied_embeddings)
    for stage in stages(stage_bounds(count, workload), tied=tied):
        yield Rank(
            architecture=_seen_by_a_rank(architecture, workload, stage) if architecture else None,
            model=architecture,
            census=census,
            workload=workload,
            stage=stage,
            heads=(heads, kv_heads),
        )


def legal_tp(architecture: Architecture | None, census: Census, tp: int) -> str | None:
    """Why a model cannot be split over so many tensor-parallel ranks, naming both values, or None if it can.

    Query heads and MLP widths must divide evenly; KV heads must divide or be divided. Of a model of unknown
    layers, every matrix that would be split must divide.

    Source: vLLM, ModelConfig.verify_with_parallel_config and the parallel linear layers.
    """
    if tp == 1:
        return None
    if architecture is None:
        return next(_indivisible_tensors(census, tp), None)
    return next(_indivisible_layers(architecture, tp), None)


def kv_heads_each(kv_heads: int, tp: int) -> int:
    """KV heads on one rank: max(1, K / t), because a head is never cut.

    >>> kv_heads_each(8, 4), kv_heads_each(8, 16)
    (2, 1)
    """
    return max(1, -(-kv_heads // tp))


def padded_vocabulary(rows: int, tp: int) -> int:
    """V filled up to a multiple of 64·t.

    Source: vLLM, vocab_parallel_embedding.py, pad_vocab_size.

    >>> padded_vocabulary(50257, 2), padded_vocabulary(128256, 4)
    (50304, 128256)
    """
    return round_up(rows, _VOCABULARY_MULTIPLE * tp)


def _indivisible_layers(architecture: Architecture, tp: int) -> Iterator[str]:
    for layer in (*(layer for layer, _ in architecture.distinct_layers), *architecture.encoder[:1]):
        for mixer in layer.mixers:
            yield from _indivisible_mixer(mixer, tp)
        width = layer.feed_forward.width if layer.feed_forward else tp
        if width % tp:
            yield f"An MLP width of {width:,} cannot be split over {tp} ranks."


def _indivisible_mixer(mixer: Mixer, tp: int) -> Iterator[str]:
    if isinstance(mixer, Attention | LatentAttention) and mixer.heads % tp:
        yield f"{mixer.heads} attention heads cannot be split over {tp} ranks."
    if isinstance(mixer, Attention) and mixer.kv_heads % tp and tp % mixer.kv_heads:
        yield f"{mixer.kv_heads} KV heads can neither be split over {tp} ranks nor copied to them evenly."


def _indivisible_tensors(census: Census, tp: int) -> Iterator[str]:
    for group in census.groups:
        evenly = split_of(group.template, group.role) in (Split.EVENLY, Split.FUSED_QKV)
        if evenly and len(group.shape) > 1 and all(size % tp for size in group.shape):
            yield f"{group.template} of shape {list(group.shape)} cannot be split over {tp} ranks."


def _illegal(architecture: Architecture | None, workload: Workload) -> str | None:
    if architecture is None:
        return "Layers of an unknown model type cannot be put into stages." if workload.pp > 1 else None
    if workload.pp > len(architecture.layers):
        return f"{len(architecture.layers)} layers cannot be put into {workload.pp} pipeline stages."
    experts = [part for layer in architecture.layers if isinstance(part := layer.feed_forward, Experts)]
    if workload.ep > 1 and not experts:
        return f"Expert parallelism over {workload.ep} ranks, but {architecture.model_type} has no experts."
    if experts and experts[0].count % workload.ep:
        return f"{experts[0].count} experts cannot be split over {workload.ep} ranks."
    if workload.ep > workload.tp * workload.dp:
        across = workload.tp * workload.dp
        return f"{workload.ep} expert-parallel ranks are more than the {across} of TP × DP."
    return None


def _expert_tp(tp: int, ep: int) -> int:
    """Ranks that share one expert: t / e where expert-parallel ranks e are taken out of t."""
    return max(1, tp // ep)


def _seen_by_a_rank(architecture: Architecture, workload: Workload, stage: Stage) -> Architecture:
    if workload.tp == workload.pp == workload.ep == 1:
        return architecture
    # By identity, since layers that are alike are one object: a hash of each would cost more than the rest.
    distinct = {id(layer): layer for layer in (*architecture.layers, *architecture.encoder)}
    here = {key: _layer_on_a_rank(layer, workload) for key, layer in distinct.items()}
    layers = architecture.layers[stage.layers.start : stage.layers.stop]
    return replace(
        architecture,
        layers=tuple(here[id(layer)] for layer in layers),
        encoder=tuple(here[id(layer)] for layer in architecture.encoder),
    )


def _layer_on_a_rank(layer: Layer, workload: Workload) -> Layer:
    return Layer(
        mixers=tuple(_mixer_on_a_rank(mixer, workload.tp) for mixer in layer.mixers),
        feed_forward=_feed_forward_on_a_rank(layer.feed_forward, workload),
    )


def _mixer_on_a_rank(mixer: Mixer, tp: int) -> Mixer:
    if isinstance(mixer, Attention):
        return replace(
            mixer,
            heads=mixer.heads // tp,
            kv_heads=kv_heads_each(mixer.kv_heads, tp),
            cached_heads=kv_heads_each(mixer.cached_heads, tp) if mixer.cached_heads else None,
        )
    if isinstance(mixer, LatentAttention):
        return replace(mixer, heads=mixer.heads // tp)
    if isinstance(mixer, Recurrent):
        state = mixer.state
        return replace(
            mixer,
            state=Kept(
                cached=-(-state.cached // tp), model=-(-state.model // tp), float32=-(-state.float32 // tp)
            ),
        )
    return mixer


def _feed_forward_on_a_rank(part: FeedForward, workload: Workload) -> FeedForward:
    if isinstance(part, Dense):
        return replace(part, width=part.width // workload.tp)
    if isinstance(part, Experts):
        return replace(
            part,
            count=part.count // workload.ep,
            width=part.width // _expert_tp(workload.tp, workload.ep),
            shared_width=part.shared_width // workload.tp,
        )
    return part
