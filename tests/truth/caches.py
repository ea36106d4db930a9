"""KV caches and recurrent states: small models of every type that transformers 5.23 can build, run on the CPU
(fixtures/cache), and large ones derived by hand from their published configs."""

from collections.abc import Iterator, Mapping
from typing import Any

from hubmem import dtypes
from hubmem.models.mixers import CachePolicy, Span

from tests.models.architectures import architecture_of
from tests.models.test_golden import GOLDEN, TOKENS, published_config
from tests.models.test_sweep import ROWS
from tests.truth import Comparison

REASONS = {
    ": blip ": "its forward pass returns no cache and was measured; its `generate` keeps the one hubmem reports",
}


def rows() -> Iterator[Comparison]:
    """Each model's worst point in both spellings of its config, and every derivation."""
    for row in ROWS:
        if row.get("cache"):
            for spelling in ("config", "config_hub"):
                yield max(_points(row, spelling), key=lambda point: abs(point.error or 0))
    for repo, nbytes in GOLDEN:
        kept = architecture_of(published_config(repo)).kept(Span(tokens=TOKENS, encoder_tokens=TOKENS))
        yield Comparison(
            name=repo,
            group="KV cache of published configs, derived by hand",
            unit="bytes",
            measured=nbytes,
            predicted=2 * kept.cached,
        )


def _points(row: Mapping[str, Any], spelling: str) -> Iterator[Comparison]:
    architecture = architecture_of(row[spelling])
    bits = dtypes.parse(row["config"].get("dtype") or "bfloat16").bits
    for point in row["cache"]:
        span = Span(
            tokens=point["context"],
            encoder_tokens=point["encoder_length"] or 0,
            policy=CachePolicy.TRANSFORMERS,
        )
        kept = architecture.kept(span).nbytes(cache_bits=bits, model_bits=bits)
        yield Comparison(
            name=f"{row['name']} ({spelling}), {point['batch']} × {point['context']} tokens",
            group="cache of every type transformers can build and run",
            unit="bytes",
            measured=point["bytes"] or 0,
            predicted=kept * point["batch"],
        )
