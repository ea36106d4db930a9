from dataclasses import replace

import pytest
from hubmem.memory.cache import bytes_per_token, cache_bytes, cache_term
from hubmem.memory.workload import Workload
from hubmem.models.architecture import Architecture, Layer
from hubmem.models.mixers import Attention, CachePolicy, Kept, LatentAttention, Mixer, Recurrent

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
