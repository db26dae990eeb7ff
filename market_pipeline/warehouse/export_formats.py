"""Formats of exported files: choosing one by a file's name, and writing rows of CSV in it."""

import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

from market_pipeline.warehouse.export_query import ColumnMeaning, ExportRequestError


class FileFormat(StrEnum):
    """The format of a file."""

    PARQUET = "parquet"
    CSV = "csv"


SUFFIXES = {".parquet": FileFormat.PARQUET, ".csv": FileFormat.CSV, ".csv.gz": FileFormat.CSV}
"""File suffixes and their formats."""


def choose_format(target: Path, given: FileFormat | None) -> FileFormat:
    """Return the format of a file: the given one, else the one that its name ends with.

    Raises:
        ExportRequestError: the two contradict each other, or there is neither.
    """
    suffix = next((suffix for suffix in SUFFIXES if target.name.lower().endswith(suffix)), None)
    if suffix is None and given is None:
        known = ", ".join(SUFFIXES)
        raise ExportRequestError(f"the format of {target} is not known: let its name end with {known}, or add --format")
    if suffix is None or given is None:
        return given or SUFFIXES[str(suffix)]
    if SUFFIXES[suffix] is not given:
        raise ExportRequestError(
            f"{target} is not the name of a {given} file: leave --format {given} out, or choose another --output"
        )
    return given


@contextmanager
def compressed(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Yield the file, or a stream that compresses into it if its name says so."""
    if not name.lower().endswith(".gz"):
        yield file
        return
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as stream:  # the same bars are the same bytes
        yield cast("BinaryIO", stream)


def write_csv(file: BinaryIO, columns: Sequence[ColumnMeaning], lines: Iterator[bytes]) -> None:
    """Write a header and blocks of CSV lines as CSV."""
    file.write(",".join(column.name for column in columns).encode() + b"\n")
    file.writelines(lines)


def write_parquet(file: BinaryIO, columns: Sequence[ColumnMeaning], lines: Iterator[bytes]) -> None:
    """Write blocks of CSV lines as Parquet, a row group per block."""
    # Takes half a second that other commands needn't. It has no types.
    import pyarrow as pa
    from pyarrow import csv, parquet

    types = {
        "TEXT": pa.string(), "DATE": pa.date32(), "DOUBLE PRECISION": pa.float64(), "BIGINT": pa.int64(),
        "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    schema = pa.schema([pa.field(column.name, types[column.type]) for column in columns])
    names = csv.ReadOptions(column_names=schema.names)
    values = csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    with parquet.ParquetWriter(file, schema) as writer:
        for block in lines:
            writer.write_table(csv.read_csv(io.BytesIO(block), names, convert_options=values))
