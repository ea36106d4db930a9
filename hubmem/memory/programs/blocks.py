"""Layers as short programs: what the modeling code of transformers does, operator by operator.

Symbols: h hidden size, q = heads·D, k = KV heads·D, f MLP width.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

from hubmem.memory.programs.altup import corrected, predicted
from hubmem.memory.programs.attention import Call, Given, Mask
from hubmem.memory.programs.block import Block, Caching
from hubmem.memory.programs.computation import Computation, Norm, Residual
from hubmem.memory.programs.distances import bias_across, bias_of_distances
from hubmem.memory.programs.kernels import attend
from hubmem.memory.programs.kimi import kimi_delta
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.mlp import feed_forward
from hubmem.memory.programs.norms import norm, times_weight
from hubmem.memory.programs.operators import (
    FLOAT32,
    HALF,
    add,
    constant,
    copy,
    dropout,
    multiply,
    unary,
)
from hubmem.memory.programs.projections import cached, in_cache, latent_projections, projections
from hubmem.memory.programs.scans import Recurrence, chunked_scan, delta_rule, selective_scan, step
from hubmem.memory.programs.tape import Arithmetic, Extent, Storage, Tape, Trace, Value
from hubmem.models.mixers import Attention, LatentAttention

_Part = Callable[[Tape, Block, Value, list[Value]], Value]


@lru_cache(maxsize=1024)
def trace_layer(block: Block, arithmetic: Arithmetic, *, input_needs_grad: bool = True) -> Trace:
    """What one layer keeps, and what is alive while it runs forward and backward.

    Layers before the first adapter get an input that wants no gradient.
    """
    tape = Tape(arithmetic)
    block = _with_parts_to_run(block)
    itemsize = stream_itemsize(block.computation, arithmetic)
    width = block.computation.versions * block.hidden
    stream = Storage("residual stream", "h", width, itemsize, Extent.STREAM)
    x = Value(stream, width, needs_grad=arithmetic.trains and input_needs_grad)
    # The model's loop over its layers refers to a layer's input until the layer returns.
    with tape.holding(x) as held:
        y = _LAYERS[block.computation.residual](tape, block, x, held)
        if block.computation.layer_inputs and block.computation.versions == 1:
            y = add(tape, y, _own_input(tape, block, y), "residual stream")
    return tape.finish(y)


def _with_parts_to_run(block: Block) -> Block:
    """A layer of one part, or of a recurrence, has nothing that could run side by side."""
    residual = block.computation.residual
    parallel = residual in (Residual.PARALLEL, Residual.PARALLEL_TWO)
    alone = parallel and (block.part is None or isinstance(block.mixer, Recurrence))
    if alone or (residual is Residual.INTO_RECURRENCE and block.beside is None):
        return replace(block, computation=replace(block.computation, residual=Residual.PRE))
    return block


def stream_itemsize(computation: Computation, arithmetic: Arithmetic) -> int:
    """Bytes of an element of the residual stream: autocast makes norms and lengths of embeddings float32."""
    if arithmetic.autocast and computation.convolved_stream:
        return HALF
    normed = computation.embedding_norm and computation.norm is Norm.LAYER
    widened = normed or computation.versions > 1
    return FLOAT32 if arithmetic.autocast and widened else arithmetic.itemsize


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


def _into_recurrence(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """X + mamba(norm(x + mlp(norm(attention(norm([x, embeddings]))))·W)).

    Source: Glorioso et al., Zamba, arXiv 2405.16712, section 2; transformers 5.23, Zamba2HybridLayer.
    """
    computation = block.computation
    joined = Storage("input and embeddings", "h", 2 * block.hidden, x.itemsize, x.storage.extent)
    (both,) = tape.run("join", (x,), (joined,))
    with tape.holding() as inside:
        attended = _attention(tape, block, norm(tape, computation, both), inside)
        made = _mlp(tape, block, norm(tape, computation, attended), inside)
    made = linear(tape, made, "linear", "h", block.hidden)
    with tape.holding(made):
        inner = norm(tape, computation, add(tape, x, made, "input of the recurrence"))
        return add(tape, x, _recurrence(tape, block, inner, held), "residual stream")


def _over_versions(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """A layer over the first version of each token; its own input is added to the others (Gemma 3n).

    Source: transformers 5.23, models/gemma3n/modeling_gemma3n.py, Gemma3nTextDecoderLayer.
    """
    computation = block.computation
    predictions = predicted(tape, computation, x, block.hidden)
    (first,) = tape.view(predictions, block.hidden)
    with tape.holding(predictions) as inside:
        normal = norm(tape, computation, first)
        beside = _low_rank(tape, computation, normal)
        inside += [normal, beside]
        attended = norm(tape, computation, _attention(tape, block, normal, held))
        total = add(tape, first, attended, "attention + input")
        inside += [attended, total]
        stream = unary(tape, add(tape, total, beside, "both parts"), "both parts / √2")
        inner = norm(tape, computation, stream)
        inside += [stream, inner]
        made = _mlp(tape, block, inner, held)
        normed = norm(tape, computation, made)
        inside += [made, normed]
        activated = add(tape, stream, normed, "residual stream")
        inside.append(activated)
        versions = corrected(tape, computation, predictions, activated)
        (first,) = tape.view(versions, block.hidden)
        own = _own_input(tape, block, times_weight(tape, copy(tape, first, "first version")))
        return tape.run("add in place", (versions, own), (versions.storage,), passes=(versions,))[0]


def _low_rank(tape: Tape, computation: Computation, x: Value) -> Value:
    """X + norm(x·L·R) (Menghani et al., LAuReL, arXiv 2411.07501)."""
    low = linear(tape, x, "linear_left", "r", computation.side_rank)
    return add(tape, x, norm(tape, computation, linear(tape, low, "linear_right", "h", x.width)), "LAuReL")


_LAYERS = {
    Residual.PRE: _one_after_another,
    Residual.SANDWICH: _one_after_another,
    Residual.POST: _one_after_another,
    Residual.AFTER_SUM: _norm_after_sum,
    Residual.PARALLEL: _side_by_side,
    Residual.PARALLEL_TWO: _side_by_side,
    Residual.OVER_VERSIONS: _over_versions,
    Residual.INTO_RECURRENCE: _into_recurrence,
}


def _own_input(tape: Tape, block: Block, x: Value) -> Value:
    """norm((act(x·W) ⊙ input)·W'), the input being this layer's own of each token (Gemma 4)."""
    arithmetic, width = tape.arithmetic, block.computation.layer_inputs
    own = constant("layer's own input", "p", width, arithmetic.itemsize)
    own = replace(own, needs_grad=arithmetic.trains)
    gate = unary(tape, linear(tape, x, "per_layer_input_gate", "p", width), "act", saves_input=True)
    made = linear(tape, multiply(tape, gate, own, "gated input"), "per_layer_projection", "h", block.hidden)
    return norm(tape, block.computation, made)


def _parts(block: Block) -> Iterator[_Part]:
    yield _recurrence if isinstance(block.mixer, Recurrence) else _both if block.beside else _attention
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

    Scans whose operators are not known are taken to be one kernel that keeps what it reads, as those of
    mamba-ssm do. A single token is not scanned.
    """
    del held
    mixer = block.beside or block.mixer
    assert isinstance(mixer, Recurrence)
    scan = _SCANS.get(mixer.kind)
    if scan and block.caching is not Caching.GROWING:
        return scan(tape, mixer, x, block.hidden)
    with tape.holding(x):
        projected = linear(tape, x, "in_proj", "p", mixer.projected)
        (part,) = tape.view(projected, mixer.inner)
        convolved = unary(tape, part, "convolution", saves_input=True)
        if block.caching is Caching.GROWING:
            step(tape, mixer)
        scanned = unary(tape, convolved, "scan", saves_input=True)
        gated = multiply(tape, scanned, part, "gated")
        return linear(tape, gated, "out_proj", "h", block.hidden)


def _both(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """A recurrence and attention over the same input, scaled and added (Falcon-H1)."""
    with tape.holding(x):
        scanned = unary(tape, _recurrence(tape, block, x, held), "scan scaled")
        with tape.holding(scanned):
            attended = unary(tape, _attention(tape, block, x, held), "attention scaled")
            return add(tape, scanned, attended, "scan + attention")


_SCANS = {
    "gated_delta_net": delta_rule,
    "kimi_delta_attention": kimi_delta,
    "mamba": selective_scan,
    "mamba2": chunked_scan,
}


def _attention(tape: Tape, block: Block, x: Value, held: list[Value]) -> Value:
    """Projections, rotation, the cache, the kernel, the output projection, dropout."""
    with tape.holding(x) as inside:
        assert not isinstance(block.mixer, Recurrence)
        make = latent_projections if isinstance(block.mixer, LatentAttention) else projections
        q, k, v, gate = make(tape, block, x, inside)
        bias = bias_of_distances(tape, block)
        inside.extend(filter(None, (q, k, v, gate, bias)))
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
        bias = bias_across(tape, block)
        inside.extend(filter(None, (q, k, v, bias)))
        call = replace(_call(block, mixer, Extent.CROSS), mask=Mask.NONE, bias_in_order=True)
        made = _attended(tape, block, call, Given(q, k, v, bias), held)
    return dropout(tape, made, drops=block.computation.dropout)


def _cross_keys(tape: Tape, block: Block, mixer: Attention, source: Value) -> tuple[Value, Value]:
    width = mixer.kv_heads * mixer.key_dim
    if block.caching is Caching.GROWING:
        return in_cache(width, tape, Extent.SOURCE), in_cache(width, tape, Extent.SOURCE)
    k, v = linear(tape, source, "k_proj", "k", width), linear(tape, source, "v_proj", "k", width)
    if block.caching is Caching.FILLING:
        with tape.holding(k, v):
            k, v = cached(tape, block, k), cached(tape, block, v)
    return k, v


def _attended(
    tape: Tape, block: Block, call: Call, given: Given, held: list[Value], *, gate: Value | None = None
) -> Value:
    attended, *probabilities = attend(tape, call, given)
    held += probabilities
    if block.computation.outputs_joined:
        attended = unary(tape, attended, "attention outputs, joined")
    if gate:
        opened = unary(tape, gate, "σ(gate)", saves_output=True)
        attended = multiply(tape, attended, opened, "gated attention output")
    if block.computation.inner_norms:
        attended = norm(tape, block.computation, attended)
    made = linear(tape, attended, "o_proj", "h", block.hidden)
    if block.computation.attention_held:
        held.append(made)
    return made


def _call(block: Block, mixer: Attention | LatentAttention, pairs: Extent = Extent.PAIRS) -> Call:
    kv_heads = mixer.cached_heads or mixer.kv_heads if isinstance(mixer, Attention) else mixer.heads
    return Call(
        computation=block.computation,
        heads=mixer.heads,
        kv_heads=kv_heads,
        key_dim=mixer.key_dim,
        value_dim=mixer.value_dim,
        mask=block.mask,
        eager=block.eager,
        pairs=pairs,
        unaligned=pairs in block.unaligned,
        kernels=block.kernels,
        causal=block.across is not None,
        single=block.caching is Caching.GROWING,
    )
