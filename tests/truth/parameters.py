"""Parameters of published repos, as the Hub, model cards, papers or logs count them (fixtures/snapshots)."""

import fnmatch
from collections.abc import Iterator

from hubmem.models.config import Config
from hubmem.models.families import read_architecture
from hubmem.weights import counting
from hubmem.weights.census import Census
from hubmem.weights.quantization_config import read_quantization

from tests.truth import Comparison
from tests.weights.records import RECORDS, Record, stored_census
from tests.weights.test_census import left_out

REASONS = {
    "deepseek-ai/DeepSeek-R1 ": "its source counts the router's 59 correction biases, which are not trained by gradients",
}


def rows() -> Iterator[Comparison]:
    """Each repo's count, of stored elements or of the model's parameters, whichever its source gives."""
    for repo, record in RECORDS.items():
        published = record["parameters"]
        census = counted(repo)
        yield Comparison(
            name=f"{repo} ({published['counts']})",
            group="parameters of published repos",
            unit="parameters",
            measured=published["published"],
            predicted=_stored(record, census)
            if published["counts"] == "stored"
            else _logical(record, census),
        )


def _stored(record: Record, census: Census) -> int:
    return census.stored_elements - left_out(record, census)


def _logical(record: Record, census: Census) -> int:
    """Parameters without the heads that a source does not count."""
    heads = record["parameters"].get("leaves_out", {})
    return sum(
        group.parameters
        for group in census.groups
        if not any(fnmatch.fnmatchcase(group.template, head) for head in heads)
    )


def counted(repo: str) -> Census:
    """A record's tensors, counted as the model has them."""
    record: Record = RECORDS[repo]
    architecture = read_architecture(Config(record["config"]))
    return counting.count(
        stored_census(repo),
        quantization=read_quantization(record["config"]),
        tied_embeddings=architecture.tied_embeddings if architecture else False,
        layers=len(architecture.layers) if architecture else None,
    )
