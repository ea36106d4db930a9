"""The cache of a workload in each policy, and the formula that is shown of it."""

from dataclasses import replace

import pytest
from hubmem.memory.cache import bytes_per_token, cache_bytes, cache_term, window_tail_term
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import (
    Attention,
    CachePolicy,
    Kept,
    LatentAttention,
    Mixer,
    PastInputs,
    Recurrent,
)

from tests.memory.models import llama

LLAMA, _ = llama()
FULL = Attention(heads=8, kv_heads=4, key_dim=64, value_dim=64)


def _with(*mixers: Mixer) -> Architecture:
    return replace(LLAMA, layers=tuple(Layer(mixers=(mixer,), feed_forward=None) for mixer in mixers))


def test_llama_3_1_70b_keeps_320_kib_a_token() -> None:
    assert bytes_per_token(LLAMA, Workload()) == 320 * 1024


def test_the_cache_grows_with_the_batch() -> None:
    assert cache_bytes(LLAMA, Workload(batch=4)) == 4 * (cache_bytes(LLAMA, Workload()) or 0)


def test_an_8_bit_cache_is_half_as_large() -> None:
    assert 2 * (cache_bytes(LLAMA, Workload(kv_dtype="fp8")) or 0) == cache_bytes(LLAMA, Workload())


def test_weights_in_float32_make_a_cache_in_float32() -> None:
    assert cache_bytes(LLAMA, Workload(weight_dtype="fp32")) == 2 * (cache_bytes(LLAMA, Workload()) or 0)


def test_weights_in_4_bit_leave_the_cache_in_the_models_dtype() -> None:
    assert cache_bytes(LLAMA, Workload(weight_dtype="nf4")) == cache_bytes(LLAMA, Workload())


def test_a_config_without_a_dtype_takes_the_one_the_weights_are_stored_in() -> None:
    silent = replace(LLAMA, dtype=None)
    assert cache_bytes(silent, Workload(), stored="F32") == 2 * (cache_bytes(LLAMA, Workload()) or 0)


def test_the_cache_of_unknown_layers_is_unknown() -> None:
    assert cache_bytes(None, Workload()) is None


def test_a_model_that_does_not_generate_keeps_nothing() -> None:
    assert cache_bytes(replace(LLAMA, generates=False), Workload()) == 0


@pytest.mark.parametrize(
    "mixer",
    [
        replace(FULL, window=4096),
        replace(FULL, source="cross"),
        replace(FULL, shared=True),
        Recurrent(name="mamba", state=Kept(model=10, float32=20)),
    ],
    ids=lambda mixer: mixer.kind,
)
def test_a_full_window_a_state_and_an_encoders_keys_cost_nothing_more(mixer: Mixer) -> None:
    assert bytes_per_token(_with(mixer), Workload(context=8192)) == 0


def test_transformers_keeps_one_position_less_than_the_window() -> None:
    windowed = _with(replace(FULL, window=4096))
    logical = cache_bytes(windowed, Workload()) or 0
    kept = cache_bytes(windowed, Workload(cache_policy=CachePolicy.TRANSFORMERS)) or 0
    assert logical - kept == 4 * (64 + 64) * 2


def test_an_encoders_keys_are_as_many_as_its_tokens() -> None:
    across = _with(replace(FULL, source="cross"))
    assert cache_bytes(across, Workload(encoder_context=100)) == 100 * 4 * (64 + 64) * 2


def test_the_formula_shows_its_numbers() -> None:
    term = cache_term(LLAMA, Workload(batch=2), tokens=8192)
    assert term.formula == "80 layers × 2 × 8 × 128 × 2 B = 320 KiB a token × 8,192, × 2 sequences"
    assert term.nbytes == cache_bytes(LLAMA, Workload(batch=2))


def test_the_formula_names_each_kind_of_layer() -> None:
    latent = LatentAttention(heads=16, latent_dim=512, rope_dim=64, key_dim=192, value_dim=128)
    state = Recurrent(name="mamba2", state=Kept(float32=1024))
    mixed = _with(FULL, replace(FULL, window=512), latent, state, replace(FULL, shared=True))
    assert cache_term(mixed, Workload(), tokens=8192).formula == (
        "1 layer × 2 × 4 × 64 × 2 B = 1 KiB a token × 8,192"
        " + 1 layer × 2 × 4 × 64 × 2 B = 1 KiB a token × 512 in a window of 512"
        " + 1 layer × (512 + 64) × 2 B = 1.12 KiB a token × 8,192"
        " + 1 layer × 4 KiB of mamba2"
    )


@pytest.mark.parametrize("policy", [CachePolicy.VLLM, CachePolicy.LLAMA_CPP])
def test_a_token_of_a_full_layer_costs_the_same_in_blocks_and_cells(policy: CachePolicy) -> None:
    assert bytes_per_token(LLAMA, Workload(context=8192, batch=3, cache_policy=policy)) == 320 * 1024


@pytest.mark.parametrize(("policy", "tokens"), [(CachePolicy.VLLM, 112), (CachePolicy.LLAMA_CPP, 256)])
def test_an_engine_takes_its_memory_by_the_block_or_the_cell(policy: CachePolicy, tokens: int) -> None:
    workload = Workload(context=100, batch=1, cache_policy=policy)
    assert cache_bytes(LLAMA, workload) == tokens * 320 * 1024


@pytest.mark.parametrize(
    ("policy", "tokens"), [(CachePolicy.VLLM, 3 * 112), (CachePolicy.LLAMA_CPP, 3 * 256)]
)
def test_each_sequence_takes_blocks_or_cells_of_its_own(policy: CachePolicy, tokens: int) -> None:
    workload = Workload(context=100, batch=3, cache_policy=policy)
    assert cache_bytes(LLAMA, workload) == tokens * 320 * 1024


@pytest.mark.parametrize("policy", [CachePolicy.VLLM, CachePolicy.LLAMA_CPP])
def test_layers_an_engine_has_no_cache_for_are_unknown_and_cost_no_number_a_token(
    policy: CachePolicy,
) -> None:
    xlnet, workload = _with(PastInputs(heads=16, dim=1024)), Workload(cache_policy=policy)
    assert cache_bytes(xlnet, workload) is None
    assert bytes_per_token(xlnet, workload) == 0


@pytest.mark.parametrize("policy", list(CachePolicy))
def test_a_model_that_does_not_generate_keeps_nothing_in_any_engine(policy: CachePolicy) -> None:
    assert cache_bytes(replace(LLAMA, generates=False), Workload(cache_policy=policy)) == 0


def test_llama_cpp_s_cells_are_of_the_type_asked_for_or_else_f16() -> None:
    eighth, unknown = (
        cache_bytes(LLAMA, Workload(context=256, kv_dtype=kv_dtype, cache_policy=CachePolicy.LLAMA_CPP))
        for kv_dtype in ("q8_0", "fp8")
    )
    assert unknown == 256 * 320 * 1024
    assert eighth == unknown * 34 // 64


def test_what_lies_before_a_window_is_held_until_the_next_token() -> None:
    mixed = _with(FULL, replace(FULL, window=100), replace(FULL, window=100), replace(FULL, source="cross"))
    workload = Workload(batch=3, cache_policy=CachePolicy.TRANSFORMERS)
    term = window_tail_term(mixed, workload, tokens=1000)
    assert term.nbytes == 3 * 2 * (1000 - 99) * 4 * (64 + 64) * 2
    assert term.formula.startswith("2 windowed layers hold all 1,000 tokens")


def test_the_formula_tells_keys_from_values_and_bytes_from_halves_of_them() -> None:
    uneven = _with(replace(FULL, value_dim=32))
    assert cache_term(uneven, Workload(), tokens=10).formula.startswith("1 layer × 4 × (64 + 32) × 2 B = ")
    packed = cache_term(_with(FULL), Workload(kv_dtype="fp4"), tokens=10)
    assert packed.formula.startswith("1 layer × 2 × 4 × 64 × 0.5 B = ")


def test_the_formula_says_which_positions_are_the_encoder_s() -> None:
    across = cache_term(_with(replace(FULL, source="cross")), Workload(encoder_context=100), tokens=10)
    assert across.formula.endswith(" × 100 of the encoder")
