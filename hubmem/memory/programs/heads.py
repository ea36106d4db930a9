"""The ends of a model: embeddings before its layers, logits and the loss after them.

Symbols: h hidden size, V vocabulary, E width of the embedding where it is not h.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from hubmem.memory.programs.altup import joined, spread
from hubmem.memory.programs.blocks import stream_itemsize
from hubmem.memory.programs.computation import Computation, Residual
from hubmem.memory.programs.linear import linear
from hubmem.memory.programs.norms import norm
from hubmem.memory.programs.operators import FLOAT32, HALF, add, cast, dropout, in_float32, in_half, unary
from hubmem.memory.programs.tape import WEIGHT_GRADIENTS, Arithmetic, Extent, Storage, Tape, Trace, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What the ends of a model depend on.

    Attributes:
        width: of the embedding, E.
        layer_inputs: width of what all layers are given of a token beside the stream.
        bins: values of each frame of sound that an encoder reads.
    """

    computation: Computation
    hidden: int
    width: int
    vocabulary: int
    layer_inputs: int = 0
    bins: int = 0

    def frames(self, itemsize: int) -> Storage:
        """The sound of all sequences, two frames a position, which the caller refers to."""
        return Storage("frames", "M", 2 * self.bins, itemsize, Extent.SOURCE)


@lru_cache(maxsize=256)
def trace_logits(ends: Ends, arithmetic: Arithmetic, *, sampled: bool) -> Trace:
    """From the last layer to logits without a loss; sampled ones are copied to float32.

    Source: transformers 5.23, generation/utils.py, _sample.
    """
    tape = Tape(arithmetic)
    x, logits = _logits(tape, ends)
    if sampled:
        last = Storage("last logits in float32", "V", ends.vocabulary, FLOAT32, Extent.SEQUENCES)
        with tape.holding(x, logits):
            (logits,) = tape.run("last logits", (logits,), (last,))
    return tape.finish(logits)


@lru_cache(maxsize=256)
def trace_loss(ends: Ends, arithmetic: Arithmetic) -> Trace:
    """From the last layer to the loss: −log softmax(logits) at each label.

    Source: transformers 5.23, loss/loss_utils.py, ForCausalLMLoss.
    """
    tape = Tape(arithmetic)
    _, logits = _logits(tape, ends)
    with tape.holding(logits):
        loss = _negative_log_likelihood(tape, ends, logits)
    return tape.finish(loss)


@lru_cache(maxsize=64)
def trace_fused_loss(ends: Ends, arithmetic: Arithmetic, chunk: int) -> Trace:
    """From the last layer to the loss, logits `chunk` tokens at a time; gradients are made on the way.

    Source: Hsu et al., Liger Kernel, arXiv 2410.10989, section 3.2; liger-kernel 0.8.5,
    ops/fused_linear_cross_entropy.py. Autocast casts the head at each product, and remembers one of them.
    """
    tape = Tape(arithmetic)
    x = _ended(tape, ends)
    (rows,) = tape.view(x, x.width)
    head = _head_weight(tape, ends)
    itemsize = HALF if arithmetic.autocast else x.itemsize
    logits = Storage("logits of a chunk", "c·V", chunk * ends.vocabulary, itemsize, Extent.ONCE)
    cast_head = replace(head.storage, label="head in bf16", itemsize=HALF, counted=True)
    casts = (cast_head, replace(cast_head, label="head in bf16, again"))
    gradients = [Storage("gradient of the head's input", "h", ends.hidden, x.itemsize, Extent.TOKENS)]
    if head.needs_grad:
        gradients.append(replace(head.storage, label=WEIGHT_GRADIENTS, counted=True))
    with tape.holding(x):
        (loss,) = tape.run(
            "head and loss by chunks",
            (rows, head),
            (Storage("loss", "1", 1, FLOAT32, Extent.TOKENS),),
            ready=gradients,
            scratch=(logits, *(casts if itemsize < head.itemsize else ())),
        )
    return tape.finish(loss)


def chunk_tokens(tokens: int, vocabulary: int, hidden: int) -> int:
    """Tokens whose logits are made at once: T / ⌈V / h⌉, up to a power of two, so that they are about as large as T·h.

    Source: liger-kernel 0.8.5, ops/fused_linear_cross_entropy.py.

    >>> chunk_tokens(16384, 32000, 4096), chunk_tokens(100, 128256, 4096)
    (2048, 4)
    """
    chunk = -(-tokens // -(-vocabulary // hidden))
    return int(min(tokens, 1 << (chunk - 1).bit_length()))


@lru_cache(maxsize=256)
def trace_outputs(ends: Ends, arithmetic: Arithmetic) -> Trace:
    """After autocast has ended accelerate copies the logits to float32, though only the loss is used.

    Source: accelerate 1.15, utils/operations.py, convert_outputs_to_fp32.
    """
    tape = Tape(arithmetic)
    logits = Value(Storage("logits", "V", ends.vocabulary, HALF, Extent.ROWS), ends.vocabulary)
    with tape.holding(logits):
        outputs = cast(tape, logits, FLOAT32)
    return tape.finish(outputs)


def _negative_log_likelihood(tape: Tape, ends: Ends, logits: Value) -> Value:
    """Cross entropy in the logits' dtype, whose last operator autocast runs in float32."""
    if ends.computation.logits_float32:
        logits = cast(tape, logits, FLOAT32)
    with tape.holding(logits):
        logarithms = in_float32(tape, unary(tape, logits, "log softmax", saves_output=True))
        loss = Storage("loss", "1", 1, FLOAT32, Extent.ONCE)
        return tape.run("negative log likelihood", (logarithms,), (loss,), saves=(logarithms,))[0]


@lru_cache(maxsize=256)
def trace_embedding(ends: Ends, arithmetic: Arithmetic, *, tied: bool = False, leaf: bool = False) -> Trace:
    """From token ids to the first layer's input.

    The gradient of a tied embedding is added to the head's, which waits for it as a view that cannot be added
    to in place; autocast's cast makes it one that can. As a leaf the embeddings themselves want a gradient,
    so that checkpoints over frozen layers have one: then the graph keeps them.
    """
    tape = Tape(arithmetic)
    itemsize = arithmetic.itemsize
    vocabulary = Storage(
        "embedding", "V·E", ends.vocabulary * ends.width, itemsize, Extent.ONCE, counted=False
    )
    weight = Value(
        vocabulary,
        vocabulary.width,
        needs_grad=arithmetic.base_trains,
        parameter=True,
        summed=tied and not arithmetic.autocast,
    )
    embeddings = Storage("embeddings", "h", ends.width, itemsize, Extent.STREAM)
    (x,) = tape.run("embedding", (weight,), (embeddings,))
    if leaf:
        x = _as_leaf(tape, ends, x)
    if ends.computation.embedding_norm:
        x = norm(tape, ends.computation, x)
    x = dropout(tape, x, drops=ends.computation.embedding_dropout)
    if ends.layer_inputs:
        _make_layer_inputs(tape, ends, x)
    if ends.width != ends.hidden:
        x = linear(tape, x, "embedding projection", "h", ends.hidden, quantizable=False)
    if ends.computation.versions > 1:
        x = spread(tape, ends.computation, x)
    return tape.finish(x)


def _make_layer_inputs(tape: Tape, ends: Ends, x: Value) -> None:
    """What is looked up for each layer and what is projected from the embeddings: all layers keep the sum.

    Source: transformers 5.23, models/gemma4/modeling_gemma4.py, project_per_layer_inputs.
    """
    own = Storage("own inputs of layers", "L·p", ends.layer_inputs, tape.arithmetic.itemsize)
    (looked_up,) = tape.run("embedding", (), (own,))
    with tape.holding(looked_up):
        projected = linear(tape, x, "per_layer_model_projection", "L·p", ends.layer_inputs)
        normal = norm(tape, ends.computation, unary(tape, projected, "projection scaled"))
        scaled = unary(tape, add(tape, normal, looked_up, "sum"), "sum scaled")
    tape.run("layers", (scaled,), (Storage("layers", "1", 0, 0),), saves=(scaled,))


@lru_cache(maxsize=64)
def trace_convolutions(ends: Ends, arithmetic: Arithmetic, *, leaf: bool = False) -> Trace:
    """From frames of sound, two a position, to the first layer's input; as a leaf the first wants a gradient.

    Source: Radford et al., Whisper, arXiv 2212.04356, section 2.2.
    """
    tape = Tape(arithmetic)
    itemsize = HALF if arithmetic.autocast else arithmetic.itemsize
    # Kept for the weight's gradient, without one of their own.
    frames = replace(ends.frames(itemsize), counted=itemsize < arithmetic.itemsize)
    x = Value(frames, 0, needs_grad=arithmetic.base_trains or leaf)
    for name, each in (("first convolution", 2), ("second convolution", 1)):
        storage = Storage(name, "h", each * ends.hidden, itemsize, Extent.STREAM)
        (x,) = tape.run(name, (x,), (storage,), saves=(x,))
        x = unary(tape, x, "act", saves_input=True)
    return tape.finish(unary(tape, x, "embeddings and positions", itemsize=arithmetic.itemsize))


def _as_leaf(tape: Tape, ends: Ends, x: Value) -> Value:
    """The embeddings are kept, unless they are the first layer's input, which its checkpoint keeps."""
    x = replace(x, needs_grad=True)
    changed = ends.computation.embedding_norm or ends.computation.embedding_dropout
    if changed or ends.computation.embeddings_held > 1 or ends.computation.learned_positions:
        (x,) = tape.run("embeddings and positions", (x,), (x.storage,), saves=(x,))
    return x


@lru_cache(maxsize=64)
def trace_projection(
    width: int, inner: int, hidden: int, arithmetic: Arithmetic, *, norms: Computation | None
) -> Trace:
    """From what a tower hands over, `width` of it a token, to features: two matrices with a function between.

    Source: Liu et al., LLaVA-1.5, arXiv 2310.03744, section 3.2; with a norm before them, Wang et al., Qwen2-VL,
    arXiv 2409.12191, section 2.1.
    """
    tape = Tape(arithmetic)
    x = Value(Storage("tower's output", "hᵥ", width, arithmetic.itemsize), width, arithmetic.trains)
    if norms:
        x = norm(tape, norms, x)
    made = unary(tape, linear(tape, x, "projection in", "hₚ", inner), "act", saves_input=True)
    made = linear(tape, made, "projection out", "h", hidden)
    return tape.finish(unary(tape, made, "image features"))


@lru_cache(maxsize=256)
def trace_encoder_end(ends: Ends, arithmetic: Arithmetic) -> Trace:
    """The norm after an encoder's layers, whose output all of a decoder's layers refer to."""
    tape = Tape(arithmetic)
    stream = Storage("residual stream", "h", ends.hidden, arithmetic.itemsize, Extent.STREAM)
    x = Value(stream, ends.hidden, arithmetic.trains)
    y = dropout(tape, _normed(tape, ends.computation, x), drops=ends.computation.output_dropout)
    (y,) = tape.run("encoder output", (y,), (replace(y.storage, label="encoder output"),), saves=(y,))
    return tape.finish(y)


def _stream(tape: Tape, ends: Ends) -> Value:
    """What the last layer hands on."""
    computation = ends.computation
    width = computation.versions * ends.hidden
    stream = Storage(
        "residual stream", "h", width, stream_itemsize(computation, tape.arithmetic), Extent.STREAM
    )
    x = Value(stream, width, tape.arithmetic.trains)
    return joined(tape, computation, x, ends.hidden) if computation.versions > 1 else x


def _ended(tape: Tape, ends: Ends) -> Value:
    """The same after the model's last norm."""
    computation = ends.computation
    x = dropout(tape, _normed(tape, computation, _stream(tape, ends)), drops=computation.output_dropout)
    return unary(tape, x, "output scaled") if computation.output_dropout else x


def _head_weight(tape: Tape, ends: Ends) -> Value:
    itemsize = tape.arithmetic.itemsize
    weight = Storage("head", "V·h", ends.vocabulary * ends.hidden, itemsize, Extent.ONCE, counted=False)
    return Value(weight, weight.width, tape.arithmetic.base_trains, parameter=True)


def _logits(tape: Tape, ends: Ends) -> tuple[Value, Value]:
    computation = ends.computation
    if computation.mlm_transform and ends.vocabulary:
        x = _stream(tape, ends)
        with tape.holding(x):
            made = linear(tape, x, "transform", "E", ends.width, quantizable=False)
            made = norm(tape, computation, unary(tape, made, "act", saves_input=True))
            logits = linear(tape, made, "logits", "V", ends.vocabulary, quantizable=False)
        return x, logits
    x = _ended(tape, ends)
    (rows,) = tape.view(x, x.width)
    with tape.holding(x):
        logits = _head(tape, rows, _head_weight(tape, ends), ends)
        if computation.logits_softcap:
            logits = unary(tape, logits, "logits / cap")
            logits = unary(tape, logits, "tanh of logits", saves_output=True)
            logits = unary(tape, logits, "capped logits")
    return x, logits


def _normed(tape: Tape, computation: Computation, x: Value) -> Value:
    """The norm after the layers, whose own come last where they stand after each sum."""
    return x if computation.residual is Residual.AFTER_SUM else norm(tape, computation, x)


def _head(tape: Tape, rows: Value, weight: Value, ends: Ends) -> Value:
    """One row of logits a sequence while generating, one a token otherwise: so many rows."""
    rows, weight = in_half(tape, rows), in_half(tape, weight)
    saves = [value for value, other in ((rows, weight), (weight, rows)) if other.needs_grad]
    storage = Storage("logits", "V", ends.vocabulary, rows.itemsize, Extent.ROWS)
    return tape.run("head", (rows, weight), (storage,), saves=saves)[0]
