"""What a layer mixes tokens with, and what each kind keeps in the cache for one sequence.

Every kind answers `kept(span)`: how many elements it holds after that many tokens. The sum over layers is the
cache; a hybrid, a sliding window, a shared cache or a recurrent state is a fact of a layer, never a special
case in a formula.

Symbols: s tokens, K KV heads, Dk and Dv key and value dims of a head, w window, r latent rank.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol


class CachePolicy(str, Enum):
    """How the tokens a window can see are counted."""

    LOGICAL = "logical"
    """What the mathematics needs: a window of w holds w positions."""
    TRANSFORMERS = "transformers"
    """What transformers 5 keeps between steps: w - 1 positions, because the next token brings the last."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Softmax attention with a key and a value for each KV head and position.

    Attributes:
        window: positions it can see, or None for all.
        window_kind: whether the window slides or lies in fixed chunks (Llama 4).
        source: whether it looks at its own sequence or across at an encoder's.
        shared: whether it reads the cache of an earlier layer and keeps none.
        cached_heads: KV heads as they are cached, where that differs (Falcon broadcasts before caching).
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
        heads = self.cached_heads or self.kv_heads
        return Kept(cached=self._positions(span) * heads * (self.key_dim + self.value_dim))

    def _positions(self, span: Span) -> int:
        if self.source == "cross":
            return span.encoder_tokens
        if self.window is None:
            return span.tokens
        return min(span.tokens, self.window - (span.policy is CachePolicy.TRANSFORMERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: one compressed vector a position instead of keys and values a head.

    Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.

    Attributes:
        latent_dim: kv_lora_rank.
        rope_dim: qk_rope_head_dim, the part that carries positions.
        key_dim, value_dim: of a head, once the latent is projected up.
        index_dim: of the key a sparse-attention indexer keeps beside it, 0 without one.
    """

    heads: int
    latent_dim: int
    rope_dim: int
    key_dim: int
    value_dim: int
    index_dim: int = 0

    @property
    def kind(self) -> str:
        """`latent_attention`."""
        return "latent_attention"

    def kept(self, span: Span) -> Kept:
        """One vector of r + rope dim (+ index dim) for each position.

        >>> v3 = LatentAttention(heads=128, latent_dim=512, rope_dim=64, key_dim=192, value_dim=128)
        >>> v3.kept(Span(tokens=2)).cached
        1152
        """
        return Kept(cached=span.tokens * (self.latent_dim + self.rope_dim + self.index_dim))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """A state of fixed size, whatever the length: convolutions, state spaces, linear attention.

    Attributes:
        name: its kind, such as `mamba2`.
        state: what it keeps.
    """

    name: str
    state: Kept

    @property
    def kind(self) -> str:
        """Its name."""
        return self.name

    def kept(self, span: Span) -> Kept:  # noqa: ARG002 - the point of a recurrent state
        """The same after any number of tokens."""
        return self.state
