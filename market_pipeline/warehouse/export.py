"""Bars into a file, CSV or Parquet, with a second file beside it that says exactly what is in the first.

The rows are streamed by COPY out of one snapshot of the database, so that memory doesn't grow with their number, and a
file takes its name only once it is whole. What adjusted prices are, the dbt project says.
"""

import gzip
import hashlib
import io
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.warehouse.database_errors import first_line
from market_pipeline.warehouse.export_query import (
    Adjustment,
    ColumnMeaning,
    ExportRequestError,
    Selection,
    Summary,
    blocks,
    described_columns,
    summary,
)

Watch = Callable[[int, int], None]
"""Told how many rows are written, of how many."""


class Format(StrEnum):
    """What kind of file."""

    PARQUET = "parquet"
    CSV = "csv"


SUFFIXES = {".parquet": Format.PARQUET, ".csv": Format.CSV, ".csv.gz": Format.CSV}
"""File suffixes and their formats."""


class ExportError(MarketPipelineError):
    """The file couldn't be written to its end; nothing of it is left."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is in a file: the contents of the JSON beside it.

    The selection, the summary of what was found, and the file's format, hash and columns.
    """

    file: str
    format: Format
    symbols: Sequence[str]
    start: date | None
    end: date | None
    adjustment: Adjustment
    as_of: datetime | None
    first_date: date | None
    last_date: date | None
    rows: int
    rows_not_adjusted: int
    sha256: str
    source: str | None
    made_at: datetime
    columns: Sequence[ColumnMeaning]


def format_of(target: Path, named: Format | None) -> Format:
    """The format of a file: the one that is named, else the one that its name ends with.

    Raises:
        ExportRequestError: the two contradict each other, or there is neither.
    """
    suffix = next((suffix for suffix in SUFFIXES if target.name.lower().endswith(suffix)), None)
    if suffix is None and named is None:
        known = ", ".join(SUFFIXES)
        raise ExportRequestError(f"the format of {target} is not known: let its name end with {known}, or add --format")
    if suffix is None or named is None:
        return named or SUFFIXES[str(suffix)]
    if SUFFIXES[suffix] is not named:
        raise ExportRequestError(
            f"{target} is not the name of a {named} file: leave --format {named} out, or choose another --output"
        )
    return named


def manifest_path(target: Path) -> Path:
    """Where the description of a file is: beside it, with `.json` after its whole name."""
    return target.with_name(f"{target.name}.json")


def export(
    engine: Engine,
    selection: Selection,
    kind: Format,
    target: Path,
    *,
    overwrite: bool = False,
    progress: Watch = lambda _done, _total: None,
) -> Manifest:
    """Write the bars of a selection to `target`, by symbol and date, and what they are to `manifest_path(target)`.

    Columns are COLUMNS of the adjustment; missing values are empty in CSV and null in Parquet, times are UTC. In CSV a
    text that a spreadsheet would take for a formula has an apostrophe before it.

    Raises:
        ExportRequestError: one of the files is there already and not to be overwritten, or their folder isn't.
        NoMartsError: adjusted prices have never been computed.
        ExportError: the disk or the database failed.
    """
    description = manifest_path(target)
    _check_place([target, description], overwrite=overwrite)
    with _explained(target), _whole_or_nothing(description) as described, _whole_or_nothing(target) as partial:
        manifest = _write(engine, selection, kind, target.name, partial, progress)
        described.write_text(json.dumps(asdict(manifest), indent=2, default=_iso) + "\n", encoding="utf-8")
        description.unlink(missing_ok=True)  # which would be of another file for a moment
    return manifest


def export_stream(
    engine: Engine,
    selection: Selection,
    kind: Format,
    stream: BinaryIO,
    *,
    progress: Watch = lambda _done, _total: None,
) -> Summary:
    """Write the bars of a selection to a stream, as `export` does to a file, without a description.

    Raises:
        NoMartsError: adjusted prices have never been computed.
        ExportError: the database failed, or the stream did.
        BrokenPipeError: nobody reads the stream any more.
    """
    with _explained("standard output"):
        return _copy(engine, selection, kind, stream, progress)[1]


@contextmanager
def _explained(target: object) -> Iterator[None]:
    """Failures of the disk and of the database as errors of the export."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ExportError(
            f"{target} can't be written: {error.strerror or error}. Free or choose another place"
        ) from None
    except DBAPIError as error:
        raise _broken_off(first_line(error)) from None
    except psycopg.Error as error:
        raise _broken_off(str(error).partition("\n")[0]) from None


def _broken_off(why: str) -> ExportError:
    return ExportError(f"the database broke off the export: {why}. Once that is mended, run the same command again")


def _check_place(files: Sequence[Path], *, overwrite: bool) -> None:
    folder = files[0].parent
    if not folder.is_dir():
        raise ExportRequestError(f"there is no folder {folder}: make it, or choose another --output")
    for file in files:
        if file.is_dir() or (file.exists() and not overwrite):
            raise ExportRequestError(f"{file} is there already: choose another --output, or add --overwrite")


@contextmanager
def _whole_or_nothing(target: Path) -> Iterator[Path]:
    """A file beside `target` to write to, which takes its place if all went well and is gone if not."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _write(engine: Engine, selection: Selection, kind: Format, name: str, partial: Path, progress: Watch) -> Manifest:
    with partial.open("xb") as file, _compressed(file, name) as stream:
        columns, found = _copy(engine, selection, kind, stream, progress)
    with partial.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    parts = {**asdict(selection), **asdict(found)}
    return Manifest(file=name, format=kind, sha256=digest, columns=columns, **parts)


@contextmanager
def _compressed(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The file, or what compresses into it where its name says so."""
    if not name.lower().endswith(".gz"):
        yield file
        return
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as stream:  # the same bars are the same bytes
        yield cast("BinaryIO", stream)


def _copy(
    engine: Engine, selection: Selection, kind: Format, stream: BinaryIO, progress: Watch
) -> tuple[Sequence[ColumnMeaning], Summary]:
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        columns = described_columns(connection, selection.adjustment)
        found = summary(connection, selection)
        write = _write_csv if kind is Format.CSV else _write_parquet
        # Closed before the connection is, which would wait for ever for a COPY that nobody reads to its end.
        with closing(blocks(connection, selection, for_spreadsheets=kind is Format.CSV)) as rows:
            write(stream, columns, _counted(rows, found.rows, progress))
    return columns, found


def _iso(value: date) -> str:
    return value.isoformat()


def _counted(stream: Iterator[list[bytes]], total: int, progress: Watch) -> Iterator[bytes]:
    done = 0
    for block in stream:
        yield b"".join(block)
        done += len(block)
        progress(done, total)


def _write_csv(file: BinaryIO, columns: Sequence[ColumnMeaning], lines: Iterator[bytes]) -> None:
    file.write(",".join(column.name for column in columns).encode() + b"\n")
    file.writelines(lines)


def _write_parquet(file: BinaryIO, columns: Sequence[ColumnMeaning], lines: Iterator[bytes]) -> None:
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
