"""The cache of SGLang: pools of tokens, one for layers that see everything, one for windows, one of states.

Source: SGLang 0.5, srt/model_executor/model_runner_kv_cache_mixin.py (profile_max_num_token,
handle_max_mamba_cache, set_num_tokens_hybrid_swa).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from hubmem.memory.engine_cache import PagedCache, Spec, specs_of
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Attention
from hubmem.units import format_binary

# `mamba_full_memory_ratio`: bytes of the pool of states over those of the pool of tokens.
_STATES = Fraction(9, 10)
# States for each running sequence: its own, and those that its prefix leaves in the radix cache
# (MAMBA_CACHE_SIZE_MAX_RUNNING_REQUESTS_RATIO).
_STATES_EACH = 3
# `swa_full_tokens_ratio`: tokens of the pool of windows over those of the pool of full layers.
_WINDOW_TOKENS = Fraction(8, 10)

# Types whose windows have a pool of their own (configs/model_config.py, is_hybrid_swa_model); those of others are
# kept whole.
_WINDOWED = frozenset({"gpt_oss", "llama4", "llama4_text", "mimo_v2_flash", "step3p5"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPool:
    """A model's cache in pools, on one rank.

    Attributes:
        token_bytes: of a token in all layers whose pool has every position, and its share of the pool of windows.
        state_bytes: of one state in all layers that keep one.
    """

    token_bytes: int
    state_bytes: int = 0

    def request_bytes(self, tokens: int) -> int:
        """Bytes of the pools one sequence of that length needs: they are divided before any comes.

        >>> TokenPool(token_bytes=131072).request_bytes(8192) // 2**20
        1024
        """
        return math.ceil(max(self._for_tokens(tokens), self._for_states))

    def formula(self, tokens: int) -> str:
        """Of `request_bytes`, with the numbers put in.

        >>> TokenPool(token_bytes=131072).formula(8192)
        '8,192 tokens × 128 KiB'
        >>> TokenPool(token_bytes=12288, state_bytes=61440).formula(8192)
        '8,192 tokens × 12 KiB / (10/19 of the pools)'
        """
        kept = f"{tokens:,} tokens × {format_binary(self.token_bytes)}"
        if not self.state_bytes:
            return kept
        if self._for_tokens(tokens) >= self._for_states:
            return f"{kept} / ({1 - self._of_states} of the pools)"
        return f"{_STATES_EACH} states × {format_binary(self.state_bytes)} / ({self._of_states} of the pools)"

    def concurrency(self, pool_bytes: int, tokens: int) -> float:
        """Sequences of that length the pools hold at once."""
        return pool_bytes / self.request_bytes(tokens)

    def states_in(self, pool_bytes: int) -> int:
        """`max_mamba_cache_size` in the log."""
        return int(pool_bytes * self._of_states) // self.state_bytes if self.state_bytes else 0

    def tokens_in(self, pool_bytes: int) -> int:
        """`max_total_num_tokens` in the log: of what states leave."""
        left = pool_bytes - self.states_in(pool_bytes) * self.state_bytes
        return left // self.token_bytes if self.token_bytes else 0

    @property
    def _of_states(self) -> Fraction:
        """The part of all pools that is for states."""
        return _STATES / (1 + _STATES) if self.state_bytes else Fraction(0)

    @property
    def _for_states(self) -> Fraction:
        """Bytes of all pools whose part for states has room for one sequence's."""
        return _STATES_EACH * self.state_bytes / self._of_states if self.state_bytes else Fraction(0)

    def _for_tokens(self, tokens: int) -> Fraction:
        """Bytes of all pools whose part for tokens has room for so many."""
        return tokens * self.token_bytes / (1 - self._of_states)


def token_pool(architecture: Architecture, settings: PagedCache) -> TokenPool | None:
    """The cache of a model in pools, or None where its layers cannot be laid out so."""
    specs = specs_of(architecture, settings)
    if not specs or any(spec.kind == "across" for spec in specs):
        return None
    token_bytes, windows = _token_bytes(specs), 0
    if architecture.model_type in _WINDOWED:
        sliding = replace(architecture, layers=tuple(filter(_has_window, architecture.layers)))
        windows = _token_bytes(specs_of(sliding, settings) or {})
    # Where every layer has a window, their pool is the only one.
    saved = int(windows * (1 - _WINDOW_TOKENS)) if windows < token_bytes else 0
    return TokenPool(
        token_bytes=token_bytes - saved,
        state_bytes=sum(spec.state_bytes * layers for spec, layers in specs.items()),
    )


def _token_bytes(specs: Mapping[Spec, int]) -> int:
    return sum(spec.token_bits * layers for spec, layers in specs.items()) // 8


def _has_window(layer: Layer) -> bool:
    return any(isinstance(mixer, Attention) and mixer.window for mixer in layer.mixers)
