"""A scan as a Parquet file, for those who have pyarrow (`pip install 'hubmem[parquet]'`)."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from hubmem.errors import UsageError
from hubmem.render.rows import FIELDS, Row, flat_columns, flat_values

_ROWS_A_GROUP = 10_000
_TEXT_FIELDS = frozenset({"repo", "commit", "skipped", "model_type", "format", "quantization"})


def write(path: Path, rows: Iterable[Row], gpus: Sequence[str]) -> None:
    """Write the columns of the CSV with their types, so many rows at a time.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-not-found, unused-ignore]
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError("pyarrow is not installed.", hint="pip install 'hubmem[parquet]'") from error

    is_text = [*(field in _TEXT_FIELDS for field in FIELDS), *(True, False) * len(gpus)]
    types = [pa.string() if text else pa.int64() for text in is_text]
    schema = pa.schema(list(zip(flat_columns(gpus), types, strict=True)))
    remaining = iter(rows)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := [flat_values(row, gpus) for row in islice(remaining, _ROWS_A_GROUP)]:
            columns = zip(*group, strict=True)
            writer.write_batch(pa.record_batch(list(map(pa.array, columns, types)), schema=schema))
