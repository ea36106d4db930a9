"""Layers as short programs: what the modeling code of transformers does, operator by operator.

Symbols: h hidden size, q = heads·D, k = KV heads·D, f MLP width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from hubmem.memory.programs.computation import Computation, Gate, Norm, Projection, Residual, Rotation
from hubmem.memory.programs.kernels import Call, Given, Mask, attend
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.mlp import feed_forward
from hubmem.memory.programs.norms import head_norm, norm, times_weight, value_norm
from hubmem.memory.programs.operators import (
    FLOAT32,
    add,
    cast,
    constant,
    copy,
    dropout,
    multiply,
    unary,
)
from hubmem.memory.programs.tape import Arithmetic, Extent, Storage, Tape, Trace, Value
from hubmem.models.architecture import FeedForward
from hubmem.models.mixers import Attention, LatentAttention


class Caching(Enum):
    """What becomes of keys and values."""

    NONE = "used once"
    FILLING = "copied into an empty cache"
    GROWING = "joined to those in the cache, which are copied to make room"


_Part = Callable[[Tape, "Block", Value, list[Value]], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A mixer that is no attention, as its matrices show it.

    Attributes:
        projected: width it projects its input to.
        inner: width of what it projects back.
    """

    projected: int
    inner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A layer with all its memory depends on.

    Attributes:
        mixer: its attention; `across` another one, over an encoder's output.
        mask: what attention is given; `across` never has padding of its own.
        eager: whether attention scores are made by separate operators though a kernel could do it.
    """

    computation: Computation
    hidden: int
    mixer: Attention | LatentAttention | Recurrence
    part: FeedForward
    across: Attention | None = None
    mask: Mask = Mask.NONE
    eager: bool = False
    caching: Caching = Caching.NONE


@lru_cache(maxsize=1024)
def trace_layer(block: Block, arithmetic: Arithmetic, *, input_needs_grad: bool = True) -> Trace:
    """What one layer keeps, and what is alive while it runs forward and backward.

    The first layer of a model with LoRA alone gets an input that wants no gradient.
    """
    tape = Tape(arithmetic)
    block = _with_parts_to_run(block)
    itemsize = stream_itemsize(block.computation, arithmetic)
    stream = Storage("residual stream", "h", block.hidden, itemsize, Extent.STREAM)
    x = Value(stream, block.hidden, needs_grad=arithmetic.trains and input_needs_grad)
    # The model's loop over its layers refers to a layer's input until the layer returns.
    with tape.holding(x) as held:
        y = _LAYERS[block.computation.residual](tape, block, x, held)
        if block.computation.layer_inputs:
            y = _with_own_input(tape, block, y)
    return tape.finish(y)


def _with_parts_to_run(block: Block) -> Block:
    """A layer of one part, or of a recurrence, has nothing that could run side by side."""
    parallel = block.computation.residual in (Residual.PARALLEL, Residual.PARALLEL_TWO)
    if parallel and (block.part is None or isinstance(block.mixer, Recurrence)):
        return replace(block, computation=replace(block.computation, residual=Residual.PRE))
    return block


def stream_itemsize(computation: Computation, arithmetic: Arithmetic) -> int:
    """Bytes of an element of the residual stream: autocast's norm of the embeddings makes it float32."""
    normed = computation.embedding_norm and computation.norm is Norm.LAYER
    return FLOAT32 if arithmetic.autocast and normed else arithmetic.itemsize


def _one_after_another(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """Y = x + attention(norm(x)), then y + mlp(norm(y)); norms after each part where the family has them."""
    for part in _parts(block):
        inner = x if block.computation.residual is Residual.POST else norm(tape, block.computation, x)
        made = part(tape, block, inner, held)
        if block.computation.scales_parts:
            made = times_weight(tape, made)
        if block.computation.residual is not Residual.PRE:
            made = norm(tape, block.computation, made)
        x = add(tape, x, made, "residual stream")
    return x


def _norm_after_sum(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """Y = norm(x + attention(x)), then norm(y + mlp(y))."""
    for part in _parts(block):
        with tape.holding(x):
            made = part(tape, block, x, held)
            x = norm(tape, block.computation, add(tape, made, x, "sum"))
        held.append(x)
    return x


def _side_by_side(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """X + attention(norm(x)) + mlp(norm(x)), with one norm or two."""
    computation = block.computation
    first = norm(tape, computation, x)
    second = first
    if computation.residual is Residual.PARALLEL_TWO and computation.norms_held:
        second = norm(tape, computation, x)
    with tape.holding(second):
        attended = _attention(tape, block, first, held)
    with tape.holding(attended, *([first] if computation.norms_held else [])):
        if computation.residual is Residual.PARALLEL_TWO and not computation.norms_held:
            second = norm(tape, computation, x)
        made = _mlp(tape, block, second, held)
        return add(tape, add(tape, made, attended, "attention + MLP"), x, "residual stream")


_LAYERS = {
    Residual.PRE: _one_after_another,
    Residual.SANDWICH: _one_after_another,
    Residual.POST: _one_after_another,
    Residual.AFTER_SUM: _norm_after_sum,
    Residual.PARALLEL: _side_by_side,
    Residual.PARALLEL_TWO: _side_by_side,
}


def _with_own_input(tape: Tape, block: Block, x: Value) -> Value:
    """X + norm((act(x·W) ⊙ input)·W'), the input being this layer's own of each token (Gemma 4)."""
    arithmetic, width = tape.arithmetic, block.computation.layer_inputs
    own = constant("layer's own input", "p", width, arithmetic.itemsize)
    own = replace(own, needs_grad=arithmetic.trains)
    gate = unary(tape, linear(tape, x, "per_layer_input_gate", "p", width), "act", saves_input=True)
    made = linear(tape, multiply(tape, gate, own, "gated input"), "per_layer_projection", "h", block.hidden)
    return add(tape, x, norm(tape, block.computation, made), "residual stream")


def _parts(block: Block) -> Iterator[_Part]:
    yield _recurrence if isinstance(block.mixer, Recurrence) else _attention
    if block.across:
        yield _across
    if block.part:
        yield _mlp


def _mlp(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    del held
    computation = block.computation
    with tape.holding(*([x] if computation.mlp_input_held else [])):
        made = feed_forward(tape, computation, block.part, x, block.hidden)
    return dropout(tape, made, drops=computation.dropout or computation.mlp_dropout)


def _recurrence(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """What state spaces, short convolutions and linear attention have in common: convolve, scan, gate.

    The scan is taken to be one kernel that keeps what it reads, as those of mamba-ssm and of
    flash-linear-attention do; without them transformers falls back on operators that take far more.
    """
    del held
    mixer = block.mixer
    assert isinstance(mixer, Recurrence)
    with tape.holding(x):
        projected = linear(tape, x, "in_proj", "p", mixer.projected)
        (part,) = tape.view(projected, mixer.inner)
        convolved = unary(tape, part, "convolution", saves_input=True)
        scanned = unary(tape, convolved, "scan", saves_input=True)
        gated = multiply(tape, scanned, part, "gated")
        return linear(tape, gated, "out_proj", "h", block.hidden)


def _attention(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """Projections, rotation, the cache, the kernel, the output projection, dropout."""
    with tape.holding(x) as inside:
        assert not isinstance(block.mixer, Recurrence)
        make = _latent_projections if isinstance(block.mixer, LatentAttention) else _projections
        q, k, v, gate = make(tape, block, x, inside)
        inside += [q, k, v, *([gate] if gate else [])]
        bias = _relative_bias(tape, block) if block.computation.relative_bias else None
        given = Given(q, k, v, bias)
        made = _attended(tape, block, _call(block, block.mixer), given, held, gate=gate)
    return dropout(tape, made, drops=block.computation.dropout)


def _across(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """Attention to an encoder's output, whose keys and values are made once a sequence."""
    mixer = block.across
    assert mixer is not None
    source = constant("encoder output", "h", block.hidden, tape.arithmetic.itemsize, Extent.SOURCE)
    source = replace(source, needs_grad=tape.arithmetic.base_trains)
    with tape.holding(x, source) as inside:
        q = linear(tape, x, "q_proj", "q", mixer.heads * mixer.key_dim)
        k, v = _cross_keys(tape, block, mixer, source)
        inside += [q, k, v]
        call = replace(_call(block, mixer), mask=Mask.NONE, pairs=Extent.CROSS, bias_in_order=True)
        bias = _no_bias(tape, mixer) if block.computation.relative_bias else None
        made = _attended(tape, block, call, Given(q, k, v, bias), held)
    return dropout(tape, made, drops=block.computation.dropout)


def _cross_keys(tape: Tape, block: Block, mixer: Attention, source: Value) -> tuple[Value, Value]:
    width = mixer.kv_heads * mixer.key_dim
    if block.caching is Caching.GROWING:
        return _in_cache(width, tape, Extent.SOURCE), _in_cache(width, tape, Extent.SOURCE)
    k, v = linear(tape, source, "k_proj", "k", width), linear(tape, source, "v_proj", "k", width)
    if block.caching is Caching.FILLING:
        with tape.holding(k, v):
            k, v = _cached(tape, block, k), _cached(tape, block, v)
    return k, v


def _attended(
    tape: Tape, block: Block, call: Call, given: Given, held: list[Value], *, gate: Value | None = None
) -> Value:
    attended, *probabilities = attend(tape, call, given)
    held += probabilities
    if gate:
        opened = unary(tape, gate, "σ(gate)", saves_output=True)
        attended = multiply(tape, attended, opened, "gated attention output")
    if block.computation.inner_norms:
        attended = norm(tape, block.computation, attended)
    made = linear(tape, attended, "o_proj", "h", block.hidden)
    if block.computation.attention_held:
        held.append(made)
    return made


def _call(block: Block, mixer: Attention | LatentAttention) -> Call:
    kv_heads = mixer.cached_heads or mixer.kv_heads if isinstance(mixer, Attention) else mixer.heads
    return Call(
        computation=block.computation,
        heads=mixer.heads,
        kv_heads=kv_heads,
        key_dim=mixer.key_dim,
        value_dim=mixer.value_dim,
        mask=block.mask,
        eager=block.eager,
        causal=block.across is not None,
        single=block.caching is Caching.GROWING,
    )


def _relative_bias(tape: Tape, block: Block) -> Value:
    """T5: one learned score a head and distance, made by the first layer for all."""
    assert isinstance(block.mixer, Attention)
    heads, arithmetic = block.mixer.heads, tape.arithmetic
    bias = constant("bias of positions", "a", heads, arithmetic.itemsize, Extent.SQUARE)
    return replace(bias, needs_grad=arithmetic.base_trains)


def _no_bias(tape: Tape, mixer: Attention) -> Value:
    """T5: attention across to the encoder adds zeros, made once for all layers."""
    itemsize = tape.arithmetic.linear_itemsize
    return constant("bias of no positions", "a", mixer.heads, itemsize, Extent.CROSS_SQUARE)


@lru_cache(maxsize=64)
def trace_relative_bias(block: Block, arithmetic: Arithmetic) -> Trace:
    """In the first layer every distance is sorted into a bucket, in 64-bit integers, and its score looked up.

    Source: transformers 5.23, models/t5/modeling_t5.py, _relative_position_bucket and compute_bias.
    """
    tape = Tape(arithmetic)
    assert isinstance(block.mixer, Attention)
    heads = block.mixer.heads
    width = heads * block.mixer.key_dim
    stream = Value(Storage("residual stream", "h", block.hidden, arithmetic.itemsize), block.hidden)
    inner = Value(Storage("norm", "h", block.hidden, arithmetic.itemsize), block.hidden)
    projected = (Value(Storage(name, "q", width, arithmetic.itemsize), width) for name in ("q", "k", "v"))
    names = ("distances", "side", "magnitudes", "logarithms", "bound")
    integers = [Storage(name, "1", 1, 8, Extent.SQUARE) for name in names]
    near = Storage("near", "1", 1, 1, Extent.SQUARE)
    buckets = Storage("buckets of distances", "1", 1, 8, Extent.SQUARE)
    scores = Value(Storage("score of a bucket", "a", 0, 0, Extent.ONCE), 0, arithmetic.base_trains)
    with tape.holding(stream, inner, *projected):
        (index,) = tape.run("buckets of distances", (), (buckets,), scratch=(*integers, near))
        table = Storage("bias of positions", "a", heads, arithmetic.itemsize, Extent.SQUARE)
        (bias,) = tape.run("look up", (index, scores), (table,), saves=(index,))
        if block.across:
            zeros = _no_bias(tape, block.across).storage
            zeros = replace(zeros, counted=True)
            saves = () if block.eager else (Value(zeros, zeros.width),)
            # Attention keeps them for its queries, whether or not the bias is trained.
            tape.run("zeros", (replace(bias, needs_grad=arithmetic.trains),), (zeros,), saves=saves)
    return tape.finish(bias)


class _Projected(NamedTuple):
    """What a layer makes of its input: queries, keys, values, and a gate where it has one."""

    q: Value
    k: Value
    v: Value
    gate: Value | None = None


def _projections(tape: Tape, block: Block, x: Value, inside: list[Value]) -> _Projected:
    mixer = block.mixer
    assert isinstance(mixer, Attention)
    computation = block.computation
    gate = None
    q_width, k_width = mixer.heads * mixer.key_dim, mixer.kv_heads * mixer.key_dim
    v_width = mixer.kv_heads * mixer.value_dim
    if computation.projection is Projection.SEPARATE:
        q, gate = _queries(tape, computation, x, q_width)
        if computation.query_scaled:
            q = unary(tape, q, "q scaled")
        k = linear(tape, x, "k_proj", "k", k_width)
        v = linear(tape, x, "v_proj", "k", v_width)
    else:
        fused = linear(tape, x, "qkv_proj", "(q+2k)", q_width + k_width + v_width)
        inside.append(fused)
        q, k, v = tape.view(fused, q_width, k_width, v_width)
        if computation.projection is Projection.COPIES:
            k, v = _spread(tape, mixer, k, mixer.key_dim), _spread(tape, mixer, v, mixer.value_dim)
    if computation.qk_norm:
        q, k = head_norm(tape, computation, q), head_norm(tape, computation, k)
    v = value_norm(tape, computation, v)
    if computation.rotation is Rotation.PARTIAL_HELD:
        inside += [q, k]
    with tape.holding(q, k, v):
        q, k = _both_rotated(tape, computation, q, k)
    if computation.by_head:
        q, k, v = (copy(tape, value, f"{value.storage.label} by head") for value in (q, k, v))
    with tape.holding(q, k, v):
        return _Projected(q, _cached(tape, block, k), _cached(tape, block, v), gate)


def _queries(tape: Tape, computation: Computation, x: Value, width: int) -> tuple[Value, Value | None]:
    """Queries, and the gate where there is one."""
    if computation.gate is Gate.WITH_QUERIES:
        q, gate = tape.view(linear(tape, x, "q_proj", "q", 2 * width), width, width)
        return q, copy(tape, gate, "gate")
    q = linear(tape, x, "q_proj", "q", width)
    if computation.gate is Gate.SEPARATE:
        return q, linear(tape, x, "gate_proj", "q", width)
    return q, None


def _spread(tape: Tape, mixer: Attention, x: Value, head_dim: int) -> Value:
    """Keys or values out of a fused projection, one for each head that is cached."""
    heads = mixer.cached_heads or mixer.kv_heads
    symbol = "q" if mixer.cached_heads else "k"
    storage = Storage(f"{x.storage.label} out of it", symbol, heads * head_dim, x.itemsize)
    return tape.run("copy", (x,), (storage,))[0]


def _both_rotated(tape: Tape, computation: Computation, q: Value, k: Value) -> tuple[Value, Value]:
    """Queries, then keys."""
    itemsize = q.itemsize
    if computation.rotation in (Rotation.BOTH_FLOAT32, Rotation.COMPLEX):
        q, k = cast(tape, q, FLOAT32), cast(tape, k, FLOAT32)
    with tape.holding(q, k) as held:
        q = _rotated(tape, computation, q)
        held.append(q)
        k = _rotated(tape, computation, k)
        held.append(k)
        return cast(tape, q, itemsize), cast(tape, k, itemsize)


def _rotated(tape: Tape, computation: Computation, x: Value) -> Value:
    """x·cos + rotate_half(x)·sin (Su et al., arXiv 2104.09864); joined again where only a slice is turned."""
    if computation.rotation is Rotation.NONE:
        return x
    label, itemsize = x.storage.label, x.itemsize
    if computation.rotation is Rotation.FULL_FLOAT32:
        x = cast(tape, x, FLOAT32)
    # One row of sines a position serves every head and layer, in the dtype of the residual stream.
    sines = constant("sines", "D", 0, tape.arithmetic.itemsize)
    if computation.rotation is Rotation.COMPLEX:
        return multiply(tape, x, sines, f"{label} rotated")
    turned = multiply(tape, x, sines, f"{label}·cos")
    half = copy(tape, x, f"rotate_half({label})")
    half = multiply(tape, half, sines, f"rotate_half({label})·sin")
    turned = add(tape, turned, half, f"{label} rotated")
    if computation.rotation is Rotation.FULL_FLOAT32:
        return cast(tape, turned, itemsize)
    whole = computation.rotation in (Rotation.FULL, Rotation.BOTH_FLOAT32)
    return turned if whole else copy(tape, turned, f"{label} joined")


def _cached(tape: Tape, block: Block, x: Value) -> Value:
    """Copied into the cache, which another term of the plan holds; a growing one is copied whole."""
    if block.caching is Caching.NONE:
        return x
    storage = Storage("cache", x.storage.symbol, x.width, x.itemsize, Extent.KEYS, counted=False)
    growing = replace(storage, label="cache with room for one more", counted=True)
    windowed = isinstance(block.mixer, Attention) and block.mixer.window is not None
    # A windowed layer joins keys and values before it lets go of the old ones.
    copies = 2 if windowed else 1
    scratch = (growing,) * copies if block.caching is Caching.GROWING else ()
    return tape.run("cache", (x,), (storage,), scratch=scratch)[0]


def _in_cache(width: int, tape: Tape, extent: Extent) -> Value:
    return constant("cache", "k", width, tape.arithmetic.itemsize, extent)


def _latent_projections(tape: Tape, block: Block, x: Value, inside: list[Value]) -> _Projected:
    """Keys and values are projected down to a latent, which is cached, and up again.

    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.
    """
    mixer = block.mixer
    assert isinstance(mixer, LatentAttention)
    flat = mixer.key_dim - mixer.rope_dim
    q = linear(tape, x, "q_proj", "q", mixer.heads * mixer.key_dim)
    latent = linear(tape, x, "kv_a_proj", "c", mixer.latent_dim + mixer.rope_dim)
    inside += [q, latent]
    low, turning = tape.view(latent, mixer.latent_dim, mixer.rope_dim)
    low = _cached(tape, block, norm(tape, block.computation, low))
    turning = _cached(tape, block, _rotated(tape, block.computation, turning))
    q = copy(tape, q, "q joined")
    up = linear(tape, low, "kv_b_proj", "q", mixer.heads * (flat + mixer.value_dim))
    inside += [q, up]
    k, v = tape.view(up, mixer.heads * flat, mixer.heads * mixer.value_dim)
    joined = Storage("k joined", "q", mixer.heads * mixer.key_dim, x.itemsize, k.storage.extent)
    (k,) = tape.run("join", (k, turning), (joined,))
    return _Projected(q, k, v)
