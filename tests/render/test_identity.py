"""What the first lines of a report say of an architecture."""

import pytest
from hubmem import inspect
from hubmem.render.identity import architecture_parts


@pytest.mark.parametrize(
    ("repo", "said"),
    [
        ("meta-llama/Llama-3.1-70B", {"80 layers", "64 heads / 8 KV heads × 128", "MLP 28,672"}),
        ("deepseek-ai/DeepSeek-V3", {"128 heads, latent 512 + 64", "256 experts × 2,048, 8 a token"}),
        ("google/gemma-3-1b-it", {"22 sliding attention + 4 full attention", "tied embeddings"}),
        ("google-t5/t5-base", {"12 encoder + 12 layers", "context 512"}),
    ],
)
def test_it_is_told_by_what_it_has(repo, said):
    assert said <= set(architecture_parts(inspect(repo, offline=True).architecture))


def test_nothing_is_said_of_what_it_has_not():
    """Mamba: no heads, no MLP, no end of its context."""
    assert list(architecture_parts(inspect("state-spaces/mamba-130m-hf", offline=True).architecture)) == [
        "mamba", "24 layers", "hidden 768", "vocabulary 50,280", "tied embeddings",
    ]  # fmt: skip
