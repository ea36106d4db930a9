"""Quantized repos, their parameters and their bytes, each predicted from the shapes of the model it is of."""

from collections.abc import Iterator

from hubmem.units import GIB

from tests.truth import Comparison
from tests.weights.records import stored_census
from tests.weights.test_precision import LOADED, OF_OWN_PRECISION, SIBLINGS, counted, weight
from tests.weights.test_quantization import SIBLINGS as COUNTED_ALIKE

_GROUP = "bytes of quantized repos, predicted from their originals"


def rows() -> Iterator[Comparison]:
    """Repos with their originals, what an engine loaded of one, and repos whose original was never published."""
    for repo, base in COUNTED_ALIKE:
        yield Comparison(
            name=f"{repo} against {base}",
            group="parameters of quantized repos against their originals",
            unit="parameters",
            measured=counted(base).parameters,
            predicted=counted(repo).parameters,
        )
    for repo, base, precision in SIBLINGS:
        yield Comparison(
            name=f"{repo} as {precision} of {base}",
            group=_GROUP,
            unit="bytes",
            measured=stored_census(repo).stored_bytes,
            predicted=weight(counted(base), precision),
        )
    for repo, base, precision, gib in LOADED:
        yield Comparison(
            name=f"{repo} as {precision} of {base}",
            group=_GROUP,
            unit="GiB",
            measured=gib,
            predicted=weight(counted(base), precision) / GIB,
        )
    for repo, precision in OF_OWN_PRECISION:
        yield Comparison(
            name=f"{repo} as {precision} of its unpacked shapes",
            group=_GROUP,
            unit="bytes",
            measured=stored_census(repo).stored_bytes,
            predicted=weight(counted(repo), precision),
        )
