"""What a layer mixes tokens with, and what each kind keeps in the cache for one sequence.

Every kind answers `kept(span)`: how many elements it holds after that many tokens. The sum over layers is the
cache; a hybrid, a sliding window, a shared cache or a recurrent state is a fact of a layer, never a special
case in a formula.

Symbols: s tokens, K KV heads, Dk and Dv key and value dims of a head, w window, r latent rank.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, Protocol


class CachePolicy(str, Enum):
    """How the tokens a window can see are counted."""

    LOGICAL = "logical"
    """What the mathematics needs: a window of w holds w positions."""
    TRANSFORMERS = "transformers"
    """What transformers 5 keeps between steps: w - 1 positions, because the next token brings the last."""
    VLLM = "vllm"
    """vLLM's blocks: layers of a kind in groups of equal length, a window beside the tokens of a step."""
    LLAMA_CPP = "llama.cpp"
    """llama.cpp's cells: rounded up to 256, a window beside a micro-batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How far a sequence has come.

    Attributes:
        tokens: positions in the decoder.
        encoder_tokens: positions of the encoder's output, or of image tokens that are attended to across.
    """

    tokens: int
    encoder_tokens: int = 0
    policy: CachePolicy = CachePolicy.LOGICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Elements kept for one sequence, by the dtype they are kept in.

    Attributes:
        cached: in the dtype of the KV cache.
        model: in the dtype of the model, whatever the cache's is (convolution states).
        float32: always four bytes (recurrent states of a model in half precision).
    """

    cached: int = 0
    model: int = 0
    float32: int = 0

    def __add__(self, other: "Kept") -> "Kept":
        """Both together."""
        return Kept(
            cached=self.cached + other.cached,
            model=self.model + other.model,
            float32=self.float32 + other.float32,
        )

    def __mul__(self, times: int) -> "Kept":
        """That many times as much."""
        return Kept(cached=times * self.cached, model=times * self.model, float32=times * self.float32)

    def nbytes(self, *, cache_bits: int, model_bits: int) -> int:
        """Bytes, with the dtypes' widths in bits.

        >>> Kept(cached=1024, model=10, float32=1).nbytes(cache_bits=8, model_bits=16)
        1048
        """
        return (self.cached * cache_bits + self.model * model_bits + 7) // 8 + self.float32 * 4


class Mixer(Protocol):
    """One way of mixing tokens."""

    @property
    def kind(self) -> str:
        """Its name in `architecture.layer_kinds`."""

    def kept(self, span: Span) -> Kept:
        """What it holds for one sequence."""


def visible(span: Span, window: int | None) -> int:
    """Positions a layer can still see: all of them, or those of its window.

    >>> visible(Span(tokens=100), 32), visible(Span(tokens=100, policy=CachePolicy.TRANSFORMERS), 32)
    (32, 31)
    """
    if window is None:
        return span.tokens
    return min(span.tokens, window - (span.policy is CachePolicy.TRANSFORMERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Softmax attention with a key and a value for each KV head and position.

    Attributes:
        window: positions it can see, or None for all.
        window_kind: whether the window slides or lies in fixed chunks (Llama 4).
        source: whether it looks at its own sequence or across at an encoder's.
        shared: whether it reads the cache of an earlier layer and keeps none.
        cached_heads: KV heads as transformers caches them, where that differs (Falcon's are broadcast first).
        prompt: positions of a learned prompt before the sequence (CPM-Ant).
    """

    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    window: int | None = None
    window_kind: Literal["sliding", "chunked"] = "sliding"
    source: Literal["self", "cross"] = "self"
    shared: bool = False
    cached_heads: int | None = None
    prompt: int = 0

    @property
    def kind(self) -> str:
        """`full_attention`, `sliding_attention`, `chunked_attention` or `cross_attention`."""
        if self.source == "cross":
            return "cross_attention"
        return f"{self.window_kind}_attention" if self.window else "full_attention"

    def kept(self, span: Span) -> Kept:
        """K·(Dk + Dv) for each position it can still see.

        >>> llama = Attention(heads=64, kv_heads=8, key_dim=128, value_dim=128)
        >>> llama.kept(Span(tokens=8192)).cached * 2 // 8192
        4096
        """
        if self.shared:
            return Kept()
        own = visible(span, self.window) + self.prompt
        positions = span.encoder_tokens if self.source == "cross" else own
        return Kept(cached=positions * self.heads_kept(span.policy) * (self.key_dim + self.value_dim))

    def heads_kept(self, policy: CachePolicy) -> int:
        """KV heads whose keys and values are kept: transformers may keep more than there are."""
        return self.cached_heads or self.kv_heads if policy is CachePolicy.TRANSFORMERS else self.kv_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: one compressed vector a position instead of keys and values a head.

    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.

    Attributes:
        latent_dim: kv_lora_rank.
        rope_dim: qk_rope_head_dim, the part that carries positions.
        key_dim, value_dim: of a head, once the latent is projected up.
        window: positions it can see, or None for all.
        shared: whether it reads the cache of an earlier layer and keeps none.
    """

    heads: int
    latent_dim: int
    rope_dim: int
    key_dim: int
    value_dim: int
    window: int | None = None
    shared: bool = False

    @property
    def kind(self) -> str:
        """`latent_attention`, or `sliding_latent_attention`."""
        return "sliding_latent_attention" if self.window else "latent_attention"

    def kept(self, span: Span) -> Kept:
        """One vector of r + rope dim for each position it can still see.

        >>> v3 = LatentAttention(heads=128, latent_dim=512, rope_dim=64, key_dim=192, value_dim=128)
        >>> v3.kept(Span(tokens=2)).cached
        1152
        """
        if self.shared:
            return Kept()
        return Kept(cached=visible(span, self.window) * (self.latent_dim + self.rope_dim))


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """The keys by which sparse attention picks the positions it looks at, beside that attention's own cache.

    Source: DeepSeek-V3.2, arXiv 2512.02556, section 2.1 (lightning indexer).

    Attributes:
        dim: elements for each position; one key head.
        in_float32: whether they are kept in float32 whatever the model's dtype (Dots 3).
        position_ids: int64 positions kept with each key (Qwen 4, for its three axes).
    """

    dim: int
    in_float32: bool = False
    position_ids: int = 0

    @property
    def kind(self) -> str:
        """`indexer`."""
        return "indexer"

    def kept(self, span: Span) -> Kept:
        """One key for each position; an int64 takes the room of two float32.

        >>> Indexer(dim=128).kept(Span(tokens=10)).cached
        1280
        """
        wide = span.tokens * (self.dim * self.in_float32 + 2 * self.position_ids)
        return Kept(cached=span.tokens * self.dim * (not self.in_float32), float32=wide)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedAttention:
    """Attention over a window of shared keys and values, and one entry for each `ratio` tokens before it.

    Source: DeepSeek-V4, sections 2.3.1 and 2.3.2; `DeepseekV4HCACache`, `DeepseekV4CSACache` of
    transformers 5.23.

    Attributes:
        dim: of the one vector that is both key and value.
        index_dim: of the indexer that picks entries where they overlap (CSA), 0 where it has none (HCA).
    """

    heads: int
    dim: int
    window: int
    ratio: int
    index_dim: int = 0

    @property
    def kind(self) -> str:
        """`compressed_sparse_attention` with an indexer, else `heavily_compressed_attention`."""
        return "compressed_sparse_attention" if self.index_dim else "heavily_compressed_attention"

    def kept(self, span: Span) -> Kept:
        """D for each position of the window and for each of s / r entries.

        transformers also keeps a value and a gate of each token that waits for its entry to be closed. Where
        entries overlap (CSA) they are of two series, have an indexer's twin, and the last r values and gates
        stay, the gates in float32. The mathematics needs one running entry in place of them.

        >>> hca = CompressedAttention(heads=4, dim=512, window=128, ratio=128)
        >>> hca.kept(Span(tokens=1024)).cached // 512
        136
        """
        own = visible(span, self.window) * self.dim
        width = self.dim + self.index_dim
        closed, waiting = divmod(span.tokens, self.ratio)
        if span.policy is not CachePolicy.TRANSFORMERS:
            return Kept(cached=own + (closed + bool(waiting)) * width)
        series = 2 if self.index_dim else 1
        overlap = self.ratio * width if self.index_dim and closed else 0
        return Kept(cached=own + (closed + 2 * waiting * series) * width + overlap, float32=overlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastInputs:
    """Attention that keeps its inputs and makes keys and values of them anew (XLNet, Reformer).

    Attributes:
        dim: hidden size.
        buckets: int64 hashes kept for each position, over all heads and rounds.
        chunk: a sequence no longer than this needs no buckets.
    """

    heads: int
    dim: int
    buckets: int = 0
    chunk: int = 0

    @property
    def kind(self) -> str:
        """`past_inputs`."""
        return "past_inputs"

    def kept(self, span: Span) -> Kept:
        """H for each position, and its buckets; an int64 takes the room of two float32.

        >>> PastInputs(heads=16, dim=1024).kept(Span(tokens=3)).cached
        3072
        """
        hashed = span.tokens if span.tokens > self.chunk else 0
        return Kept(cached=span.tokens * self.dim, float32=2 * hashed * self.buckets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """A state of fixed size, whatever the length: convolutions, state spaces, linear attention.

    Attributes:
        name: its kind, such as `mamba2`.
        state: what it keeps.
        kernel: inputs of a convolution in it, the current one included, which transformers keeps too; 0 for none.
        chunk: tokens that are scanned together in plain operators, 0 where that is not known.
    """

    name: str
    state: Kept
    kernel: int = 0
    chunk: int = 0

    @property
    def kind(self) -> str:
        """Its name."""
        return self.name

    @property
    def engine_state(self) -> Kept:
        """What engines keep: of a convolution only its past inputs.

        >>> Recurrent(name="mamba", state=Kept(model=4 * 1536, float32=16 * 1536), kernel=4).engine_state.model
        4608
        """
        if not self.kernel:
            return self.state
        return replace(self.state, model=self.state.model // self.kernel * (self.kernel - 1))

    def kept(self, span: Span) -> Kept:  # noqa: ARG002 - the point of a recurrent state
        """The same after any number of tokens."""
        return self.state
