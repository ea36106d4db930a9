"""Published configs become the architectures their papers and model cards describe."""

import json
from importlib.resources import files

import pytest
from hubmem.models.architecture import Architecture, Dense, Experts
from hubmem.models.config import Config
from hubmem.models.families import FAMILIES, read_architecture
from hubmem.models.mixers import Span


def bundled(repo: str) -> Architecture:
    path = files("hubmem") / "data" / "snapshots" / f"{repo.replace('/', '--')}.json"
    architecture = read_architecture(Config(json.loads(path.read_text(encoding="utf-8"))["config"]))
    assert architecture is not None
    return architecture


def test_a_model_type_that_is_not_known_is_not_taken_for_a_llama() -> None:
    config = {"model_type": "llama-next-generation", "hidden_size": 64, "num_hidden_layers": 2}
    assert read_architecture(Config(config)) is None


def test_no_model_type_stands_in_two_rows() -> None:
    names = [name for family in FAMILIES for name in family.names]
    assert sorted(names) == sorted(set(names))


# layers × 2 × KV heads × head dim × 2 bytes × positions, from the published configs.
@pytest.mark.parametrize(
    ("repo", "nbytes"),
    [
        ("meta-llama/Llama-2-7b-hf", 32 * 2 * 32 * 128 * 2 * 4096),
        ("meta-llama/Llama-3.1-8B", 32 * 2 * 8 * 128 * 2 * 4096),
        ("meta-llama/Llama-3.1-70B", 80 * 2 * 8 * 128 * 2 * 4096),
        ("meta-llama/Llama-3.1-405B", 126 * 2 * 8 * 128 * 2 * 4096),
        ("meta-llama/Llama-3.2-1B", 16 * 2 * 8 * 64 * 2 * 4096),
        ("EleutherAI/gpt-j-6b", 28 * 2 * 16 * 256 * 2 * 4096),
        ("EleutherAI/gpt-neox-20b", 44 * 2 * 64 * 96 * 2 * 4096),
        ("bigscience/bloom", 70 * 2 * 112 * 128 * 2 * 4096),
        ("bigscience/bloom-560m", 24 * 2 * 16 * 64 * 2 * 4096),
        ("facebook/opt-6.7b", 32 * 2 * 32 * 128 * 2 * 4096),
        ("openai-community/gpt2", 12 * 2 * 12 * 64 * 2 * 4096),
        ("mistralai/Mistral-7B-v0.1", 32 * 2 * 8 * 128 * 2 * 4096),
        ("mistralai/Mixtral-8x7B-v0.1", 32 * 2 * 8 * 128 * 2 * 4096),
        ("Qwen/Qwen2.5-0.5B", 24 * 2 * 2 * 64 * 2 * 4096),
        ("Qwen/Qwen3-0.6B", 28 * 2 * 8 * 128 * 2 * 4096),
        ("google/gemma-2b", 18 * 2 * 1 * 256 * 2 * 4096),
        ("google/gemma-7b", 28 * 2 * 16 * 256 * 2 * 4096),
    ],
)
def test_the_cache_of_4096_tokens_in_bfloat16(repo: str, nbytes: int) -> None:
    assert bundled(repo).kept(Span(tokens=4096)).nbytes(cache_bits=16, model_bits=16) == nbytes


def test_a_sliding_window_stops_growing_once_it_is_full() -> None:
    mistral = bundled("mistralai/Mistral-7B-v0.1")
    assert mistral.kept(Span(tokens=32768)) == mistral.kept(Span(tokens=4096))


@pytest.mark.parametrize(
    "repo", ["google-bert/bert-base-uncased", "FacebookAI/roberta-base", "albert/albert-base-v2"]
)
def test_an_encoder_keeps_no_cache(repo: str) -> None:
    architecture = bundled(repo)
    assert not architecture.generates
    assert architecture.kept(Span(tokens=512)).nbytes(cache_bits=16, model_bits=16) == 0


def test_t5_keeps_its_own_tokens_and_the_encoder_s_once_each() -> None:
    t5 = bundled("google-t5/t5-base")
    per_position = 12 * 2 * 12 * 64
    assert t5.kept(Span(tokens=10, encoder_tokens=100)).cached == per_position * 110
    assert len(t5.encoder) == 12
    assert t5.tied_embeddings


def test_mixtral_has_experts_and_llama_a_gated_mlp() -> None:
    mixtral, llama = bundled("mistralai/Mixtral-8x7B-v0.1"), bundled("meta-llama/Llama-3.1-8B")
    assert mixtral.feed_forward == Experts(count=8, active=2, width=14336, shared_width=0, gated=True)
    assert llama.feed_forward == Dense(width=14336, gated=True)
