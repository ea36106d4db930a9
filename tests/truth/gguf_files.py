"""GGUF files of llama.cpp's quantizations: bits a weight in its documentation, and sizes on model cards."""

from collections.abc import Iterator

from tests.truth import Comparison
from tests.weights.records import stored_census
from tests.weights.test_gguf_mixtures import BITS, LLAMA_70B, MIXTRAL_8X22B, mixtral_8x22b, weight

# Of Llama-3.1-8B's file: all elements, 64 rotary factors in float32 among them.
_ELEMENTS = 8_030_261_312


def rows() -> Iterator[Comparison]:
    """Each published size of a model in one quantization, made from its unquantized tensors."""
    for mixture, bits in BITS.items():
        nbytes = weight(stored_census("meta-llama/Llama-3.1-8B"), mixture) + 64 * 4
        yield _row(f"Llama-3.1-8B {mixture}", "bits a weight", bits, 8 * nbytes / _ELEMENTS)
    for mixture, gigabytes in LLAMA_70B.items():
        predicted = weight(stored_census("meta-llama/Llama-3.1-70B"), mixture) / 1e9
        yield _row(f"Llama-3.1-70B {mixture}", "GB", gigabytes, predicted)
    for mixture, gigabytes in MIXTRAL_8X22B.items():
        yield _row(f"Mixtral-8x22B {mixture}", "GB", gigabytes, weight(mixtral_8x22b(), mixture) / 1e9)


def _row(name: str, unit: str, measured: float, predicted: float) -> Comparison:
    group = "size of GGUF files by quantization"
    return Comparison(name=name, group=group, unit=unit, measured=measured, predicted=predicted)
