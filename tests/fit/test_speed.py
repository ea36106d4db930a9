"""Decoding is no faster than memory can be read: bandwidth ÷ (active weights + cache)."""

import pytest
from hubmem import inspect
from hubmem.fit.speed import most_tokens_per_second
from hubmem.memory.workload import Workload

H100 = 3_350e9
# Of Llama-3.1-8B: all parameters but the embedding of 128,256 × 4,096, two bytes each; 128 KiB of cache a token.
LLAMA_WEIGHTS = 2 * (8_030_261_248 - 128_256 * 4096)


def verdict_of(repo: str, gpu: str = "H100-80GB", **request):
    return inspect(repo, offline=True, gpus=[gpu], **request).verdicts[0]


@pytest.mark.parametrize("context", [1024, 32768])
def test_a_token_reads_the_weights_and_its_sequences_cache(context):
    speed = verdict_of("meta-llama/Llama-3.1-8B", context=context).tokens_per_second_at_most

    assert speed == pytest.approx(H100 / (LLAMA_WEIGHTS + context * 131_072), rel=1e-6)


def test_a_batch_reads_the_weights_once():
    speed = verdict_of("meta-llama/Llama-3.1-8B", context=1024, batch=8).tokens_per_second_at_most

    assert speed == pytest.approx(8 * H100 / (LLAMA_WEIGHTS + 8 * 1024 * 131_072), rel=1e-6)


def test_tensor_parallel_ranks_read_at_once_and_stages_of_one_sequence_do_not():
    one, two, staged = (
        verdict_of("meta-llama/Llama-3.1-8B", context=1024, **options).tokens_per_second_at_most
        for options in ({}, {"tp": 2}, {"pp": 2})
    )

    assert two == pytest.approx(2 * one)
    assert staged == pytest.approx(one)


def test_of_a_mixture_only_the_active_experts_are_read():
    """Mixtral-8x7B: 12.88 of 46.70 billion parameters are active; of them the embedding is not read."""
    reading = verdict_of("mistralai/Mixtral-8x7B-v0.1", "B200").solver.reading

    assert reading.weights_bytes(Workload()) == 2 * (12_879_925_248 - 32_000 * 4096)


def test_a_tied_embedding_is_read_as_the_head():
    reading = verdict_of("openai-community/gpt2").solver.reading

    assert reading.weights_bytes(Workload()) == 4 * 124_439_808


@pytest.mark.parametrize(
    ("repo", "gpu", "request_"),
    [
        ("openai-community/gpt2", "24GiB", {}),
        ("google-bert/bert-base-uncased", "H100-80GB", {}),
        ("meta-llama/Llama-3.1-8B", "8GiB", {}),
        ("meta-llama/Llama-3.1-8B", "H100-80GB", {"train": "lora"}),
        ("meta-llama/Llama-3.1-8B", "H100-80GB", {"gpu_layers": 8}),
    ],
    ids=["unknown bandwidth", "no tokens", "no room", "training", "weights on the host"],
)
def test_no_bound_is_claimed_where_none_is_known(repo, gpu, request_):
    assert verdict_of(repo, gpu, **request_).tokens_per_second_at_most is None


def test_an_unknown_model_has_no_bound():
    assert most_tokens_per_second(None, Workload(), verdict_of("openai-community/gpt2").gpu) is None
