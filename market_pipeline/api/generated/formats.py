"""Formats of rows: JSON, CSV, an Arrow stream and Parquet.

PostgreSQL returns rows as text, by COPY or as JSON, since a Python object for every bar would take many times as long.
Writers convert blocks of such lines to blocks of bytes.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from market_pipeline.api.generated.catalog import Column
from market_pipeline.warehouse.spreadsheets import build_decimal_text, build_plain_text, is_textual


class ResponseFormat(StrEnum):
    """Formats by their names in the parameter `format`."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


MEDIA_TYPES: Mapping[ResponseFormat, str] = {
    ResponseFormat.JSON: "application/json",
    ResponseFormat.CSV: "text/csv",
    ResponseFormat.ARROW: "application/vnd.apache.arrow.stream",
    ResponseFormat.PARQUET: "application/vnd.apache.parquet",
}


class Writer(Protocol):
    """Converts lines of CSV to a file, block by block."""

    def begin(self) -> bytes:
        """Return the first bytes."""

    def block(self, lines: Sequence[bytes]) -> bytes:
        """Return the bytes of these rows."""

    def end(self) -> bytes:
        """Return the last bytes."""


def build_copied_expressions(columns: Sequence[Column], kind: ResponseFormat) -> str:
    """Return the columns' SQL expressions for a COPY as CSV, for a file of this format."""
    expression = _build_spreadsheet_expression if kind is ResponseFormat.CSV else _build_csv_expression
    return ", ".join(f"{expression(column)} AS {column.sql}" for column in columns)


def _build_csv_expression(column: Column) -> str:
    """Convert lists to JSON and booleans to text, as CSV has neither."""
    if column.type.endswith("[]"):
        return f"array_to_json({column.sql})"
    return f"{column.sql}::text" if column.type == "boolean" else column.sql


def _build_spreadsheet_expression(column: Column) -> str:
    """Return the same expression for readers that know no types: no formulas, and one form of a column's numbers."""
    if is_textual(column.type):
        return build_plain_text(column.sql)
    return build_decimal_text(column.sql, column.type) or _build_csv_expression(column)


def open_writer(kind: ResponseFormat, columns: Sequence[Column]) -> Writer:
    """Create the writer of a format for lines with these columns."""
    makers: Mapping[ResponseFormat, Callable[[Sequence[Column]], Writer]] = {
        ResponseFormat.CSV: CsvWriter,
        ResponseFormat.ARROW: lambda columns: ArrowWriter(columns, parquet=False),
        ResponseFormat.PARQUET: lambda columns: ArrowWriter(columns, parquet=True),
    }
    return makers[kind](columns)


@dataclass(frozen=True)
class CsvWriter:
    """Writes a line of column names, and then the lines unchanged."""

    columns: Sequence[Column]

    def begin(self) -> bytes:
        """Return the line of names."""
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(column.name for column in self.columns)
        return line.getvalue().encode()

    def block(self, lines: Sequence[bytes]) -> bytes:
        """Return the lines."""
        return b"".join(lines)

    def end(self) -> bytes:
        """Return no bytes."""
        return b""


GROUP_ROWS = 10_000
"""Rows of a row group of Parquet, held in memory. A reader fetches a group's columns one by one."""


class ArrowWriter:
    """Writes a stream of Arrow record batches, or the row groups of a Parquet file."""

    def __init__(self, columns: Sequence[Column], *, parquet: bool) -> None:
        import pyarrow as pa  # the import takes half a second
        from pyarrow import parquet as pq

        self._pa = pa
        types = _choose_arrow_types(pa)
        self._schema = pa.schema([pa.field(c.name, types.get(c.type, pa.string()), c.nullable) for c in columns])
        self._sink = _Sink()
        made: Any = pq.ParquetWriter if parquet else pa.ipc.new_stream
        self._batch_rows = GROUP_ROWS if parquet else 1
        self._pending: list[Any] = []
        self._file = made(self._sink, self._schema)

    def begin(self) -> bytes:
        """Return the bytes written so far."""
        return self._sink.take()

    def block(self, lines: Sequence[bytes]) -> bytes:
        """Return the rows as one batch; no bytes until there are enough for a row group of Parquet."""
        if lines:
            self._pending.append(self._table(b"".join(lines)))
        if sum(map(len, self._pending)) >= self._batch_rows:
            self._write_pending()
        return self._sink.take()

    def end(self) -> bytes:
        """Close the file and return its last bytes."""
        if self._pending:
            self._write_pending()
        self._file.close()
        return self._sink.take()

    def _write_pending(self) -> None:
        self._file.write_table(self._pa.concat_tables(self._pending))
        self._pending = []

    def _table(self, lines: bytes) -> Any:
        from pyarrow import csv as arrow_csv

        flat = {
            field.name: self._pa.string() if self._pa.types.is_list(field.type) else field.type
            for field in self._schema
        }
        table = arrow_csv.read_csv(
            io.BytesIO(lines),
            # One block, so that a row can have any length. An empty line is a row: of one column, which is NULL.
            arrow_csv.ReadOptions(column_names=self._schema.names, use_threads=False, block_size=len(lines) + 1),
            arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types=flat, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
        columns = [self._parse_lists(column) if self._pa.types.is_list(field.type) else column
                   for field, column in zip(self._schema, table.columns, strict=True)]  # fmt: skip
        return self._pa.table(columns, schema=self._schema)

    def _parse_lists(self, column: Any) -> Any:
        """Parse lists written as JSON; there are few different ones, so each is parsed once."""
        coded = column.combine_chunks().dictionary_encode()
        lists = [json.loads(text) for text in coded.dictionary.to_pylist()]
        return self._pa.array(lists, self._pa.list_(self._pa.string())).take(coded.indices)


class _Sink(io.RawIOBase):
    """A file whose content can be taken out. `tell` counts on, since Parquet's footer has offsets in the file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        self._length += len(part)
        return len(part)

    def tell(self) -> int:
        return self._length

    def take(self) -> bytes:
        """Return the bytes written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _choose_arrow_types(pa: Any) -> Mapping[str, Any]:
    return {
        "date": pa.date32(), "timestamp with time zone": pa.timestamp("us", "UTC"), "double precision": pa.float64(),
        "numeric": pa.float64(), "bigint": pa.int64(), "integer": pa.int32(), "boolean": pa.bool_(),
        "text[]": pa.list_(pa.string()),
    }  # fmt: skip
