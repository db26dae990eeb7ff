"""Export of bars to a CSV or Parquet file, with a manifest beside it that describes the content exactly.

The rows are streamed by COPY out of one snapshot of the database, so that memory doesn't grow with their number, and a
file takes its name only once it is whole. The view `daily_bars_adjusted` defines adjusted prices.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.wording import name_some
from market_pipeline.warehouse.database_errors import read_first_line
from market_pipeline.warehouse.export_formats import FileFormat, compressed, write_csv, write_parquet
from market_pipeline.warehouse.export_query import (
    Adjustment,
    ColumnMeaning,
    ExportRequestError,
    NotAdjustedError,
    Selection,
    Summary,
    describe_columns,
    read_blocks,
    summarize,
)
from market_pipeline.warehouse.loads import settle

HOW_TO_ADJUST = (
    "`market-pipeline status` has the reason, `market-pipeline backfill --missing` fetches what was never fetched, and "
    "--adjustment none needs neither"
)

ProgressCallback = Callable[[int, int], None]
"""Called with the number of rows written and the number of all."""


class ExportError(MarketPipelineError):
    """The file couldn't be written to its end; nothing of it is left."""


@dataclass(frozen=True, kw_only=True)
class ExportManifest:
    """The manifest of an exported file, written as JSON beside it.

    The selection, its summary, and the file's format, hash and columns. `as_of` is always there: an export as of it is
    the same file.
    """

    file: str
    format: FileFormat
    symbols: Sequence[str]
    start: date | None
    end: date | None
    adjustment: Adjustment
    as_of: datetime
    snapshot: str | None
    first_date: date | None
    last_date: date | None
    rows: int
    rows_not_adjusted: int
    symbols_not_adjusted: Sequence[str]
    sha256: str
    source: str | None
    made_at: datetime
    columns: Sequence[ColumnMeaning]


def build_manifest_path(target: Path) -> Path:
    """Return the path of a file's manifest: beside it, with `.json` after its whole name."""
    return target.with_name(f"{target.name}.json")


def export(
    engine: Engine,
    selection: Selection,
    kind: FileFormat,
    target: Path,
    *,
    overwrite: bool = False,
    progress: ProgressCallback = lambda _done, _total: None,
) -> ExportManifest:
    """Write the bars of a selection to `target`, by symbol and date, and the manifest to `build_manifest_path(target)`.

    Columns are COLUMNS of the adjustment; missing values are empty in CSV and null in Parquet, times are UTC. In CSV a
    text that a spreadsheet would take for a formula has an apostrophe before it.

    Raises:
        NoInstantError: the selection's instant is in the future.
        UnsettledError: loads under way may still change what is stored as of it.
        ExportRequestError: one of the files is there already and not to be overwritten, or their folder isn't.
        NotAdjustedError: no adjusted price of the selection is known.
        ExportError: the disk or the database failed.
    """
    manifest_file = build_manifest_path(target)
    _check_place([target, manifest_file], overwrite=overwrite)
    with _translate_errors(target), _atomic_file(manifest_file) as partial_manifest, _atomic_file(target) as partial:
        manifest = _write(engine, selection, kind, target.name, partial, progress)
        partial_manifest.write_text(
            json.dumps(asdict(manifest), indent=2, default=_format_iso) + "\n", encoding="utf-8"
        )
        manifest_file.unlink(missing_ok=True)  # it would be of another file for a moment
    return manifest


def export_stream(
    engine: Engine,
    selection: Selection,
    kind: FileFormat,
    stream: BinaryIO,
    *,
    progress: ProgressCallback = lambda _done, _total: None,
) -> Summary:
    """Write the bars of a selection to a stream, as `export` does to a file, without a manifest.

    Raises:
        NotAdjustedError: no adjusted price of the selection is known.
        ExportError: the database failed, or the stream did.
        BrokenPipeError: the stream's reader is gone.
    """
    with _translate_errors("standard output"):
        return _copy(engine, selection, kind, stream, progress)[1]


@contextmanager
def _translate_errors(target: object) -> Iterator[None]:
    """Raise failures of the disk and of the database as errors of the export."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ExportError(
            f"{target} can't be written: {error.strerror or error}. Free space or choose another --output"
        ) from None
    except DBAPIError as error:
        raise _build_broken_off_error(read_first_line(error)) from None
    except psycopg.Error as error:
        raise _build_broken_off_error(str(error).partition("\n")[0]) from None


def _build_broken_off_error(why: str) -> ExportError:
    return ExportError(f"the database broke off the export: {why}. Once that is fixed, run the same command again")


def _check_place(files: Sequence[Path], *, overwrite: bool) -> None:
    folder = files[0].parent
    if not folder.is_dir():
        raise ExportRequestError(f"there is no folder {folder}: make it, or choose another --output")
    for file in files:
        if file.is_dir() or (file.exists() and not overwrite):
            raise ExportRequestError(f"{file} is there already: choose another --output, or add --overwrite")


@contextmanager
def _atomic_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to, which replaces it on success and is deleted on failure."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _write(
    engine: Engine, selection: Selection, kind: FileFormat, name: str, partial: Path, progress: ProgressCallback
) -> ExportManifest:
    with partial.open("xb") as file, compressed(file, name) as stream:
        columns, found = _copy(engine, selection, kind, stream, progress)
    with partial.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    parts = {**asdict(selection), **asdict(found)}
    return ExportManifest(file=name, format=kind, sha256=digest, columns=columns, **parts)


def _copy(
    engine: Engine, selection: Selection, kind: FileFormat, stream: BinaryIO, progress: ProgressCallback
) -> tuple[Sequence[ColumnMeaning], Summary]:
    if selection.as_of is not None:
        settle(engine, selection.as_of)
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection:
        columns = describe_columns(connection, selection.adjustment)
        found = summarize(connection, selection)
        if found.rows and found.rows_not_adjusted == found.rows:
            raise NotAdjustedError(
                f"no adjusted price of {name_some(found.symbols_not_adjusted)} is known, as their splits or dividends "
                f"are not, and nothing was written: {HOW_TO_ADJUST}"
            )
        write = write_csv if kind is FileFormat.CSV else write_parquet
        # Closed before the connection, which would wait for ever for a COPY that isn't read to its end.
        with closing(read_blocks(connection, selection, for_spreadsheets=kind is FileFormat.CSV)) as rows:
            write(stream, columns, _report_progress(rows, found.rows, progress))
    return columns, found


def _format_iso(value: date) -> str:
    return value.isoformat()


def _report_progress(stream: Iterator[list[bytes]], total: int, progress: ProgressCallback) -> Iterator[bytes]:
    done = 0
    for block in stream:
        yield b"".join(block)
        done += len(block)
        progress(done, total)
