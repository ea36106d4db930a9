"""What each kind of mixer keeps for one sequence, in elements worked out by hand."""

from dataclasses import replace

import pytest
from hubmem.models.mixers import (
    Attention,
    CachePolicy,
    CompressedAttention,
    Indexer,
    Kept,
    LatentAttention,
    Mixer,
    PastInputs,
    Recurrent,
    Span,
    visible,
)

FULL = Attention(heads=8, kv_heads=2, key_dim=4, value_dim=3)
LATENT = LatentAttention(heads=8, latent_dim=16, rope_dim=4, key_dim=8, value_dim=8)
HEAVY = CompressedAttention(heads=4, dim=10, window=8, ratio=4)
SPARSE = replace(HEAVY, index_dim=2)


@pytest.mark.parametrize(
    ("mixer", "logical"),
    [
        (FULL, Kept(cached=100 * 2 * 7)),
        (replace(FULL, window=30), Kept(cached=30 * 2 * 7)),
        (replace(FULL, window=200), Kept(cached=100 * 2 * 7)),
        (replace(FULL, prompt=5), Kept(cached=105 * 2 * 7)),
        (replace(FULL, source="cross", prompt=5), Kept(cached=40 * 2 * 7)),
        (replace(FULL, shared=True), Kept()),
        (replace(FULL, cached_heads=8), Kept(cached=100 * 2 * 7)),
        (LATENT, Kept(cached=100 * 20)),
        (replace(LATENT, window=30), Kept(cached=30 * 20)),
        (replace(LATENT, shared=True), Kept()),
        (Indexer(dim=6), Kept(cached=600)),
        (Indexer(dim=6, in_float32=True), Kept(float32=600)),
        (Indexer(dim=6, position_ids=3), Kept(cached=600, float32=100 * 2 * 3)),
        (PastInputs(heads=2, dim=6), Kept(cached=600)),
        (PastInputs(heads=2, dim=6, buckets=3, chunk=99), Kept(cached=600, float32=100 * 2 * 3)),
        (PastInputs(heads=2, dim=6, buckets=3, chunk=100), Kept(cached=600)),
        (Recurrent(name="mamba", state=Kept(model=3, float32=5)), Kept(model=3, float32=5)),
    ],
)
def test_after_100_tokens_and_40_of_an_encoder(mixer: Mixer, logical: Kept) -> None:
    assert mixer.kept(Span(tokens=100, encoder_tokens=40)) == logical


def test_of_one_token_without_an_encoder_nothing_is_kept_across_and_its_bucket_is() -> None:
    assert replace(FULL, source="cross").kept(Span(tokens=1)) == Kept()
    assert PastInputs(heads=2, dim=6, buckets=3).kept(Span(tokens=1)) == Kept(cached=6, float32=2 * 3)


@pytest.mark.parametrize(
    ("mixer", "engines"),
    [
        (Recurrent(name="mamba", state=Kept(model=12, float32=5), kernel=4), Kept(model=9, float32=5)),
        (Recurrent(name="rwkv", state=Kept(model=12, float32=5)), Kept(model=12, float32=5)),
    ],
)
def test_engines_keep_all_of_a_state_but_the_current_input_of_a_convolution(
    mixer: Recurrent, engines: Kept
) -> None:
    assert mixer.engine_state == engines


@pytest.mark.parametrize(
    ("mixer", "tokens", "logical", "in_transformers"),
    [
        # A window of 8 positions, then of every 4 tokens one entry; the last is running while tokens wait.
        (HEAVY, 100, Kept(cached=80 + 25 * 10), Kept(cached=70 + 25 * 10)),
        (HEAVY, 102, Kept(cached=80 + 26 * 10), Kept(cached=70 + (25 + 2 * 2) * 10)),
        (HEAVY, 3, Kept(cached=30 + 10), Kept(cached=30 + 2 * 3 * 10)),
        # With an indexer's twin of 2, and the values and gates of the last 4 tokens.
        (SPARSE, 100, Kept(cached=80 + 25 * 12), Kept(cached=70 + (25 + 4) * 12, float32=4 * 12)),
        (SPARSE, 102, Kept(cached=80 + 26 * 12), Kept(cached=70 + (25 + 4 * 2 + 4) * 12, float32=4 * 12)),
        (SPARSE, 3, Kept(cached=30 + 12), Kept(cached=30 + 4 * 3 * 12)),
    ],
)
def test_compressed_attention_keeps_a_window_and_entries(
    mixer: CompressedAttention, tokens: int, logical: Kept, in_transformers: Kept
) -> None:
    assert mixer.kept(Span(tokens=tokens)) == logical
    assert mixer.kept(Span(tokens=tokens, policy=CachePolicy.TRANSFORMERS)) == in_transformers


@pytest.mark.parametrize(
    ("window", "policy", "positions"),
    [
        (None, CachePolicy.TRANSFORMERS, 100),
        (30, CachePolicy.LOGICAL, 30),
        (30, CachePolicy.VLLM, 30),
        (30, CachePolicy.TRANSFORMERS, 29),
        (101, CachePolicy.TRANSFORMERS, 100),
    ],
)
def test_positions_that_are_visible_after_100_tokens(
    window: int | None, policy: CachePolicy, positions: int
) -> None:
    assert visible(Span(tokens=100, policy=policy), window) == positions


def test_heads_that_are_broadcast_before_they_are_cached_are_more_in_transformers_alone() -> None:
    falcon = replace(FULL, cached_heads=8)
    assert {policy.value: falcon.heads_kept(policy) for policy in CachePolicy} == {
        "logical": 2, "transformers": 8, "vllm": 2, "llama.cpp": 2,
    }  # fmt: skip
    assert FULL.heads_kept(CachePolicy.TRANSFORMERS) == 2


@pytest.mark.parametrize(
    ("mixer", "kind"),
    [
        (FULL, "full_attention"),
        (replace(FULL, window=8), "sliding_attention"),
        (replace(FULL, window=8, window_kind="chunked"), "chunked_attention"),
        (replace(FULL, window=8, source="cross"), "cross_attention"),
        (LATENT, "latent_attention"),
        (replace(LATENT, window=8), "sliding_latent_attention"),
        (Indexer(dim=8), "indexer"),
        (SPARSE, "compressed_sparse_attention"),
        (HEAVY, "heavily_compressed_attention"),
        (PastInputs(heads=1, dim=8), "past_inputs"),
        (Recurrent(name="mamba2", state=Kept()), "mamba2"),
    ],
)
def test_kinds_have_names(mixer: Mixer, kind: str) -> None:
    assert mixer.kind == kind


@pytest.mark.parametrize(
    ("kept", "nbytes"),
    [
        (Kept(cached=3), 2),
        (Kept(cached=1, model=1), 3),
        (Kept(float32=5), 20),
        (Kept(cached=2, model=3, float32=1), 1 + 6 + 4),
    ],
)
def test_elements_have_the_width_of_what_keeps_them_and_half_bytes_are_filled_up(
    kept: Kept, nbytes: int
) -> None:
    assert kept.nbytes(cache_bits=4, model_bits=16) == nbytes


def test_what_is_kept_adds_up_by_dtype() -> None:
    one, other = Kept(cached=2, model=3, float32=4), Kept(cached=20, model=30, float32=40)
    assert one + other == one * 11 == Kept(cached=22, model=33, float32=44)
