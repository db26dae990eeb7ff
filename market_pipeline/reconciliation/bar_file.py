"""Files of bars from elsewhere: CSV and Parquet, read in batches into a temporary table of the warehouse."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from sqlalchemy import Connection, text

from market_pipeline.core.errors import UsageError
from market_pipeline.reconciliation.file_layout import VALUES, FileLayout, find_layout
from market_pipeline.warehouse.statements import open_copy, read_statement

SUFFIXES = (".csv", ".csv.gz", ".parquet")
BATCH_BYTES, BATCH_ROWS = 1 << 22, 1 << 16
"""Part of a CSV file, and of a Parquet file, that is in memory at once."""

MISSING = ("", "nan", "NaN", "NAN", "NA", "N/A", "null", "NULL", "None", "-")
"""Texts that stand for no value."""

DATES = r"^\d{4}-?\d{2}-?\d{2}([ T].*)?$"
"""Dates as text, YYYY-MM-DD or YYYYMMDD, perhaps with a time, which is left out."""

STAGED = "staged_prices"
_COLUMNS = ("symbol", "date", *VALUES)
_CREATE = text(
    f"CREATE TEMPORARY TABLE {STAGED} (symbol text NOT NULL, date date NOT NULL, "
    f"{', '.join(f'{name} double precision' for name in VALUES)}) ON COMMIT DROP"
)
_REPEATED = text(
    "SELECT symbol, date, count(*) AS rows FROM staged_prices GROUP BY symbol, date HAVING count(*) > 1 "
    "ORDER BY symbol, date LIMIT 1"
)


class BarFileError(UsageError):
    """The file can't be read as bars."""


def stage_file(connection: Connection, file: Path, only_symbol: str | None) -> FileLayout:
    """Copy a file's rows with any value into the temporary table STAGED, which lasts as long as the transaction.

    A former ticker of a tracked symbol becomes the symbol.

    Args:
        connection: in a transaction.
        file: a path with one of SUFFIXES.
        only_symbol: the symbol of a file that has no column of symbols.

    Raises:
        BarFileError: it can't be read as bars; the message says which column or value.
        LayoutError: a column is missing, or two mean the same.
    """
    connection.execute(_CREATE)
    with _translate_errors(file), _open_batches(file) as (names, batches):
        layout = find_layout(names, only_symbol)
        _copy(connection, (rows for batch in batches for rows in _split_batch(batch, layout)))
    repeated = connection.execute(_REPEATED).first()
    if repeated is not None:
        raise BarFileError(
            f"{file} has {repeated.rows} rows of {repeated.symbol} on {repeated.date}: leave one of them"
        )
    connection.execute(text(f"CREATE UNIQUE INDEX ON {STAGED} (symbol, date)"))
    connection.execute(read_statement("name_former_tickers"))
    connection.execute(text(f"ANALYZE {STAGED}"))
    return layout


@contextmanager
def _translate_errors(file: Path) -> Iterator[None]:
    """Raise errors of reading the file in one line that names it."""
    try:
        yield
    except (pa.ArrowException, UnicodeError, EOFError, gzip.BadGzipFile) as error:
        reason = str(error).partition("\n")[0]
        raise BarFileError(f"{file} can't be read: {reason}. Give CSV with a header, or Parquet") from None
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise BarFileError(f"{file} can't be read: {reason}. Check the path, and who may read it") from None


@contextmanager
def _open_batches(file: Path) -> Iterator[tuple[list[str], Iterable[pa.RecordBatch]]]:
    """Yield a file's headers and its rows in batches; the columns of CSV are text."""
    name = file.name.lower()
    if file.is_dir():
        raise BarFileError(f"{file} is a folder: give a file in it")
    if not name.endswith(SUFFIXES):
        raise BarFileError(f"{file} is no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file: rename or convert it")
    if file.stat().st_size == 0:
        raise BarFileError(f"{file} is empty: choose another file")
    if name.endswith(".parquet"):
        with parquet.ParquetFile(file) as source:
            yield source.schema_arrow.names, source.iter_batches(BATCH_ROWS)
        return
    zipped = name.endswith(".gz")
    with (gzip.open if zipped else open)(file, "rt", encoding="utf-8-sig", newline="") as opened:
        names = next(csv.reader(opened), [])
    read = arrow_csv.ReadOptions(block_size=BATCH_BYTES, column_names=names, skip_rows=1)
    convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    with pa.input_stream(str(file), compression="gzip" if zipped else None) as stream:
        yield names, arrow_csv.open_csv(stream, read, convert_options=convert)


def _split_batch(batch: pa.RecordBatch, layout: FileLayout) -> Iterator[pa.Table]:
    """Yield a batch's rows as tables with _COLUMNS; of a wide file, one for each symbol."""
    table = pa.Table.from_batches([batch])
    days = _parse_dates(table[layout.columns["date"]])
    if layout.symbols:
        for at, name in layout.symbols.items():
            yield _build_table(
                pa.repeat(name.strip(), len(table)), days, {"close": _parse_numbers(table.column(at), name)}
            )
        return
    if layout.only_symbol is not None:
        symbols = pa.repeat(layout.only_symbol, len(table))
    else:
        symbols = pc.utf8_trim_whitespace(table[layout.columns["symbol"]].cast(pa.string()))
        if symbols.null_count or pc.any(pc.equal(symbols, "")).as_py():
            raise BarFileError(f"a row has no symbol in the column {layout.columns['symbol']!r}: complete or drop it")
    numbers = {name: _parse_numbers(table[layout.columns[name]], layout.columns[name]) for name in layout.values}
    yield _build_table(symbols, days, numbers)


def _build_table(symbols: Any, days: Any, numbers: Mapping[str, Any]) -> pa.Table:
    missing = pa.nulls(len(symbols), pa.float64())
    table = pa.table([symbols, days, *(numbers.get(name, missing) for name in VALUES)], names=list(_COLUMNS))
    return table.filter(reduce(pc.or_, map(pc.is_valid, numbers.values())))


def _parse_dates(column: Any) -> Any:
    if pa.types.is_date(column.type):
        days = column.cast(pa.date32())
    elif pa.types.is_timestamp(column.type):
        days = pc.local_timestamp(column) if column.type.tz else column
        days = days.cast(pa.date32(), safe=False)
    else:
        texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
        good = pc.match_substring_regex(texts, DATES)
        if not pc.all(good).as_py():
            shown = texts.filter(pc.invert(good))[0].as_py()
            raise BarFileError(f"{shown!r} is not a date: write it as YYYY-MM-DD")
        digits = pc.utf8_slice_codeunits(pc.replace_substring(texts, "-", ""), 0, 8)
        parts = [pc.utf8_slice_codeunits(digits, start, stop) for start, stop in ((0, 4), (4, 6), (6, 8))]
        days = pc.binary_join_element_wise(*parts, "-").cast(pa.date32())
    if days.null_count:
        raise BarFileError("a row has no date: complete or drop it")
    return days


def _parse_numbers(column: Any, name: str) -> Any:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.is_in(texts, value_set=pa.array(MISSING)), None, texts)
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise BarFileError(f"the column {name!r} has a value that is no number: {reason}. Correct or drop it") from None
    numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
    if pc.any(pc.is_inf(numbers)).as_py():
        raise BarFileError(f"the column {name!r} has an infinite value: correct or drop it")
    return numbers


def _copy(connection: Connection, tables: Iterator[pa.Table]) -> None:
    without_header = arrow_csv.WriteOptions(include_header=False)
    rows = 0
    with open_copy(connection, f"COPY {STAGED} FROM STDIN (FORMAT csv)") as copy:
        for table in tables:
            lines = io.BytesIO()
            arrow_csv.write_csv(table, lines, without_header)
            copy.write(lines.getvalue())
            rows += len(table)
    if not rows:
        raise BarFileError("the file has no row with a value: choose another file")
