"""Queries, keys and values of a layer: made, normed, turned, cached.

Symbols: q = heads·D, k = KV heads·D, c latent vector.
"""

from dataclasses import replace
from typing import NamedTuple

from hubmem.memory.programs.block import Block, Caching
from hubmem.memory.programs.choosing import chosen
from hubmem.memory.programs.computation import Computation, Gate, HeadNorms, Projection, Rotation
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.norms import head_norm, norm, value_norm
from hubmem.memory.programs.operators import FLOAT32, add, cast, constant, copy, multiply, unary
from hubmem.memory.programs.tape import Extent, Storage, Tape, Value
from hubmem.models.mixers import Attention, LatentAttention


class Projected(NamedTuple):
    """What a layer makes of its input: queries, keys, values, and a gate where it has one."""

    q: Value
    k: Value
    v: Value
    gate: Value | None = None


def projections(tape: Tape, block: Block, x: Value, inside: list[Value]) -> Projected:
    """By matrices of their own, or as parts of what one matrix makes."""
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
        q = head_norm(tape, computation, q, HeadNorms.IN_TURN)
        k = linear(tape, x, "k_proj", "k", k_width)
        k = head_norm(tape, computation, k, HeadNorms.IN_TURN)
        v = linear(tape, x, "v_proj", "k", v_width)
    else:
        fused = linear(tape, x, "qkv_proj", "(q+2k)", q_width + k_width + v_width)
        inside.append(fused)
        q, k, v = tape.view(fused, q_width, k_width, v_width)
        if computation.projection is Projection.COPIES:
            k, v = _spread(tape, mixer, k, mixer.key_dim), _spread(tape, mixer, v, mixer.value_dim)
    q, k = (head_norm(tape, computation, value, HeadNorms.TOGETHER) for value in (q, k))
    v = value_norm(tape, computation, v)
    if computation.rotation is Rotation.PARTIAL_HELD:
        inside += [q, k]
    with tape.holding(q, k, v):
        q, k = _both_rotated(tape, computation, q, k)
    if computation.by_head:
        q, k, v = (copy(tape, value, f"{value.storage.label} by head") for value in (q, k, v))
    with tape.holding(q, k, v):
        return Projected(q, cached(tape, block, k), cached(tape, block, v), gate)


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
    if computation.rotation is Rotation.EACH_FLOAT32:
        turned = multiply(tape, cast(tape, x, FLOAT32), sines, f"{label}·cos")
        x = cast(tape, x, FLOAT32)
    else:
        turned = multiply(tape, x, sines, f"{label}·cos")
    half = _half_rotated(tape, x)
    half = multiply(tape, half, sines, f"rotate_half({label})·sin")
    turned = add(tape, turned, half, f"{label} rotated")
    if computation.rotation is Rotation.FULL_FLOAT32:
        return cast(tape, turned, itemsize)
    whole = computation.rotation in (Rotation.FULL, Rotation.BOTH_FLOAT32, Rotation.EACH_FLOAT32)
    return turned if whole else copy(tape, turned, f"{label} joined")


def _half_rotated(tape: Tape, x: Value) -> Value:
    """One half negated and put before the other."""
    label, like = f"rotate_half({x.storage.label})", x.storage
    storage = Storage(label, like.symbol, x.width, x.itemsize, like.extent)
    negated = Storage("half negated", like.symbol, x.width // 2, x.itemsize, like.extent)
    return tape.run(label, (x,), (storage,), scratch=(negated,))[0]


def cached(tape: Tape, block: Block, x: Value) -> Value:
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


def in_cache(width: int, tape: Tape, extent: Extent) -> Value:
    """Keys or values that were cached before."""
    return constant("cache", "k", width, tape.arithmetic.itemsize, extent)


def latent_projections(tape: Tape, block: Block, x: Value, inside: list[Value]) -> Projected:
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
    low = cached(tape, block, norm(tape, block.computation, low))
    turning = cached(tape, block, _rotated(tape, block.computation, turning))
    q = copy(tape, q, "q joined")
    up = linear(tape, low, "kv_b_proj", "q", mixer.heads * (flat + mixer.value_dim))
    inside += [q, up]
    k, v = tape.view(up, mixer.heads * flat, mixer.heads * mixer.value_dim)
    joined = Storage("k joined", "q", mixer.heads * mixer.key_dim, x.itemsize, k.storage.extent)
    (k,) = tape.run("join", (k, turning), (joined,))
    if block.index_dim:
        inside += chosen(tape, block.computation.index_heads, block.index_dim, x)
    return Projected(q, k, v)
