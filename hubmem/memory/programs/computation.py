"""How a family's code computes a layer, as far as memory shows it: the words in which `families` speaks.

Source: transformers 5.23, models/*/modeling_*.py.
"""

from dataclasses import dataclass
from enum import Enum


class Norm(Enum):
    """How a norm is computed."""

    RMS = "in float32, cast back, then multiplied by the weight"
    RMS_BARE = "in float32, cast back"
    RMS_FLOAT32 = "in float32, multiplied by the weight, then cast back"
    RMS_T5 = "the mean square in float32, the quotient of x itself"
    LAYER = "in one kernel"
    LAYER_AUTOCAST = "in one kernel, in autocast's dtype where there is one"
    LAYER_FLOAT32 = "in one kernel in float32, cast back"
    LAYER_BY_HAND = "in float32 operator by operator, multiplied by the weight, then cast back"


class Residual(Enum):
    """Where the norms stand around attention and MLP."""

    PRE = "before each"
    SANDWICH = "before and after each"
    POST = "after each, before the sum"
    AFTER_SUM = "after each sum"
    PARALLEL = "one before both, which run side by side"
    PARALLEL_TWO = "one before each, which run side by side"
    OVER_VERSIONS = "before and after each, beside a part of low rank, over one of a token's versions (AltUp)"
    INTO_RECURRENCE = "as the first, but what both make is added to the input of a recurrence alone (Zamba)"


class Projection(Enum):
    """How queries, keys and values are made."""

    SEPARATE = "by three matrices"
    VIEWS = "by one matrix; they are views of its output"
    COPIES = "by one matrix; keys and values are copied out of its output"


class HeadNorms(Enum):
    """Norms of queries and keys."""

    NONE = "none"
    IN_TURN = "of each as soon as it is made"
    TOGETHER = "of both, once values are made too"


class Rotation(Enum):
    """How positions are put into queries and keys."""

    NONE = "not by rotation"
    FULL = "x·cos + rotate_half(x)·sin"
    FULL_FLOAT32 = "the same in float32, cast back"
    BOTH_FLOAT32 = "the same, queries and keys cast before either is turned"
    EACH_FLOAT32 = "the same, both cast back when both are turned"
    COMPLEX = "as products of complex numbers in float32, cast back"
    PARTIAL = "of a slice, the rest concatenated again"
    PARTIAL_HELD = "of a slice, whose source the attention refers to until it returns"
    HALVES = "of two halves, concatenated"


class Activation(Enum):
    """The function between the matrices of an MLP."""

    FUSED = "one kernel, which keeps its input (silu, gelu)"
    RELU = "one kernel, which keeps its output"
    RELU_SQUARED = "relu, then the square"
    GELU_NEW = "the tanh approximation of gelu in eight operators"
    GELU_FAST = "the same, x squared as a product of two"
    QUICK_GELU = "x·σ(1.702·x)"
    BLOOM_GELU = "the same, with a derivative of its own that keeps the input alone"
    XIELU = "a branch for each sign (Huang and Schlag, arXiv 2411.13010)"
    CLAMPED_GLU = "gpt-oss: gate and up clamped, (up + 1)·gate·σ(α·gate)"


class Routing(Enum):
    """In which dtype the weights of chosen experts are."""

    LOGITS = "that of the router's logits"
    SOFTMAX = "that of their softmax, which autocast runs in float32"
    LAYER = "the layer's"
    FLOAT32 = "float32"


class Gate(Enum):
    """What attention's output is multiplied by before its last matrix."""

    NONE = "nothing"
    SEPARATE = "σ of a matrix of its own"
    WITH_QUERIES = "σ of what the queries' matrix makes besides"


class DistanceBias(Enum):
    """Who makes the learned scores of distances that attention adds (T5)."""

    NONE = "there are none"
    SHARED = "the first layer, for all"
    EACH = "each layer for itself"
    REPEATED = "the encoder, for all layers and once for each sequence"


class Sinks(Enum):
    """How a score of each head's own stands beside the tokens' (Xiao et al., arXiv 2309.17453)."""

    NONE = "there is none"
    JOINED = "in a column more, the scores without it held meanwhile"
    REPLACING = "in a column more of what then goes by the scores' name"
    SCALING = "as a factor of the output, from the scores' log-sum-exp"


class Tables(Enum):
    """What a model computes for all its positions when it is made, and does not save."""

    NONE = "nothing"
    MASK = "a causal mask, a byte a pair of positions"
    MASK_EACH = "the same in every layer"
    SINES = "sines of all positions in each of its stacks"
    SINES_EACH = "sines and cosines of 64 dimensions in float32 in every layer"


class Scores(Enum):
    """How attention scores are made where no kernel hides them."""

    SCALED = "q·kᵀ, scaled, masked"
    FLOAT32 = "q·kᵀ in float32, divided, masked"
    ALIBI = "q·kᵀ and the bias of positions in one operator, masked"
    IN_PLACE = "q·kᵀ divided in place, masked"
    NAMED = "q·kᵀ, scaled, masked, referred to until attention returns"
    CLAMPED = "q·kᵀ, masked, no less than the least number"
    DISENTANGLED = "q·kᵀ and two products with a table of relative positions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """Facts about a family's code.

    Attributes:
        fused_kernels: whether attention may run in one kernel (`sdpa`); without, scores are always made.
        groups_heads: whether that kernel is told that query heads share keys.
        by_head: whether queries, keys and values are copied into an order by heads before attention.
        always_masked: whether it is given a mask even where it could do without.
        two_way_images: whether a token of an image sees those after it, which takes a mask.
        softmax_float32: whether unfused attention takes the softmax in float32.
        softcap: whether attention scores go through tanh.
        sinks: how a learned score of each head stands beside the tokens'.
        relative_positions: rows of the table of relative positions whose products scores add (DeBERTa).
        distance_bias: who makes the learned scores of distances that attention adds.
        query_scaled: whether queries are scaled by an operator of their own.
        dropout: after attention and MLP, as the class has it by default.
        mlp_dropout: after the MLP alone.
        attention_dropout: of attention probabilities.
        inner_dropout: between the matrices of an MLP.
        fused_gate: whether gate and up projection are one matrix.
        down_float32: whether the MLP's last matrix stays in float32 where others are quantized.
        qk_norm: whether and when queries and keys go through norms of their own.
        head_norm: how those are computed, where not as the others.
        value_norm: how values are normed, if they are.
        layer_inputs: width of what each layer is given of each token beside the residual stream (Gemma 4).
        index_heads: of an indexer that chooses the keys attention sees.
        versions: of each token in the residual stream, all but one of which pass a layer by (AltUp).
        side_rank: of the part beside attention (LAuReL).
        adapts_experts: whether PEFT takes router and experts for linear layers.
        shared_gated: whether what a shared expert makes of a token is multiplied by a learned number.
        runs_all_experts: whether every token goes through every expert, most of them weighed with zero.
        router_float32: whether the router multiplies in float32.
        routing: in which dtype the weights of chosen experts are.
        gate: what attention's output is multiplied by.
        inner_norms: whether there is a norm before the last matrix of attention and of the MLP (BitNet).
        attention_held: whether a layer refers to attention's output until it returns.
        packed: whether all pictures are one sequence, in which a mask of numbers keeps each to itself.
        outputs_joined: whether attention runs sequence by sequence, whose outputs are then copied into one tensor.
        norms_held: whether a layer refers to all its norms' outputs until it returns.
        mlp_input_held: whether the MLP's input lives until the MLP returns.
        gate_held: whether gate and up projection live until the MLP returns, too.
        pixels_cast: whether a model refers to pixels in its own dtype, too, while its tower runs.
        scales_parts: whether what attention and MLP make is multiplied by a learned vector (layer scale).
        returns_probabilities: whether a layer returns attention probabilities, which its model then refers to
            while the next layer runs.
        layers_held: whether a model refers to the output of each layer until the last returns.
        logits_float32: whether the loss is taken of logits in float32.
        logits_softcap: whether logits go through tanh.
        embeddings_held: tensors of the embeddings' size that a decoder refers to until it returns.
        window_positions: whether layers with a window have sines and cosines of another base.
        convolved_stream: whether the residual stream begins as a convolution's output, which autocast halves.
        own_positions: whether sines and cosines are made for each sequence, as of places in an image.
        positions_float32: whether they stay in float32.
        learned_positions: whether it refers to a row for each position too.
        convolved_input: whether an encoder reads frames through two convolutions, the second of stride two.
        embedding_norm: whether the sum of embeddings goes through a norm.
        embedding_dropout: of the sum of embeddings.
        output_dropout: of the last layer's output, after its norm.
        tables: what is computed for all positions when the model is made.
        frozen: endings of the names of tensors that are never trained: sines of positions.
        mlm_transform: whether a layer and a norm stand before the head, and no norm after the layers.
    """

    norm: Norm = Norm.RMS
    residual: Residual = Residual.PRE
    projection: Projection = Projection.SEPARATE
    rotation: Rotation = Rotation.FULL
    activation: Activation = Activation.FUSED
    fused_kernels: bool = True
    groups_heads: bool = True
    by_head: bool = False
    always_masked: bool = False
    two_way_images: bool = False
    scores: Scores = Scores.SCALED
    softmax_float32: bool = True
    softcap: bool = False
    sinks: Sinks = Sinks.NONE
    relative_positions: int = 0
    distance_bias: DistanceBias = DistanceBias.NONE
    query_scaled: bool = False
    dropout: bool = False
    mlp_dropout: bool = False
    attention_dropout: bool = False
    inner_dropout: bool = False
    fused_gate: bool = False
    down_float32: bool = False
    qk_norm: HeadNorms = HeadNorms.NONE
    head_norm: Norm | None = None
    value_norm: Norm | None = None
    layer_inputs: int = 0
    index_heads: int = 0
    versions: int = 1
    side_rank: int = 0
    adapts_experts: bool = False
    shared_gated: bool = False
    runs_all_experts: bool = False
    router_float32: bool = False
    routing: Routing = Routing.LOGITS
    gate: Gate = Gate.NONE
    inner_norms: bool = False
    attention_held: bool = False
    packed: bool = False
    outputs_joined: bool = False
    norms_held: bool = False
    mlp_input_held: bool = True
    gate_held: bool = False
    pixels_cast: bool = False
    scales_parts: bool = False
    returns_probabilities: bool = False
    layers_held: bool = False
    logits_float32: bool = True
    logits_softcap: bool = False
    embeddings_held: int = 1
    window_positions: bool = False
    convolved_stream: bool = False
    own_positions: bool = False
    positions_float32: bool = False
    learned_positions: bool = False
    convolved_input: bool = False
    embedding_norm: bool = False
    embedding_dropout: bool = False
    output_dropout: bool = False
    tables: Tables = Tables.NONE
    frozen: tuple[str, ...] = ()
    mlm_transform: bool = False
