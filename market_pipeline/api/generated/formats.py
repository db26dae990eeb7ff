"""The formats that rows are given in: JSON, CSV, an Arrow stream and Parquet.

Rows come out of PostgreSQL as text, by COPY or as JSON made there: a Python object for every bar would take many times
as long. Formats turn blocks of such lines into blocks of bytes; which rows, others say.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from market_pipeline.api.generated.catalog import Column
from market_pipeline.warehouse.spreadsheets import is_textual, plain_text


class Format(StrEnum):
    """By the name that `format=` takes."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


MEDIA_TYPES: Mapping[Format, str] = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
}


_NAMED = {str(kind): kind for kind in Format}


class Writer(Protocol):
    """Makes a file of lines of CSV: what it begins with, each block, and what it ends with."""

    def begin(self) -> bytes:
        """The first bytes."""

    def block(self, lines: Sequence[bytes]) -> bytes:
        """The bytes of some more rows."""

    def end(self) -> bytes:
        """The last bytes."""


def chosen_format(named: str | None, accept: str) -> Format | None:
    """The format that a request wants: `format=`, else what it accepts best; None where that is none of ours."""
    if named is not None:
        return _NAMED.get(named)
    if not accept or accept == "*/*":
        return Format.JSON
    known = {media_type: kind for kind, media_type in MEDIA_TYPES.items()}
    known |= {"*/*": Format.JSON, "application/*": Format.JSON, "text/*": Format.CSV}
    wanted = sorted(_accepted(accept), key=lambda entry: -entry[1])
    return next((known[kind] for kind, weight in wanted if kind in known and weight > 0), None)


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    for entry in accept.split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        try:
            yield kind.lower(), float(weights[0]) if weights else 1.0
        except ValueError:
            yield kind.lower(), 0.0


def copied_expressions(columns: Sequence[Column], kind: Format) -> str:
    """The columns in a COPY as CSV, for a file of this format."""
    copied = _for_spreadsheets if kind is Format.CSV else _copied
    return ", ".join(f"{copied(column)} AS {column.sql}" for column in columns)


def _copied(column: Column) -> str:
    """CSV has no lists (they are JSON there) and no common way to write true."""
    if column.type.endswith("[]"):
        return f"array_to_json({column.sql})"
    return f"{column.sql}::text" if column.type == "boolean" else column.sql


def _for_spreadsheets(column: Column) -> str:
    """The same, but for texts that a spreadsheet would take for a formula."""
    return plain_text(column.sql) if is_textual(column.type) else _copied(column)


def writer(kind: Format, columns: Sequence[Column]) -> Writer:
    """What makes a file of the format of lines that hold these columns."""
    makers: Mapping[Format, Callable[[Sequence[Column]], Writer]] = {
        Format.CSV: CsvWriter,
        Format.ARROW: lambda columns: ArrowWriter(columns, parquet=False),
        Format.PARQUET: lambda columns: ArrowWriter(columns, parquet=True),
    }
    return makers[kind](columns)


@dataclass(frozen=True)
class CsvWriter:
    """The columns' names and then the lines as they come."""

    columns: Sequence[Column]

    def begin(self) -> bytes:
        """The line of names."""
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(column.name for column in self.columns)
        return line.getvalue().encode()

    def block(self, lines: Sequence[bytes]) -> bytes:
        """The lines."""
        return b"".join(lines)

    def end(self) -> bytes:
        """Nothing."""
        return b""


class ArrowWriter:
    """Columns of Arrow, as a stream of record batches or as the row groups of a Parquet file."""

    def __init__(self, columns: Sequence[Column], *, parquet: bool) -> None:
        import pyarrow as pa  # half a second that starting the API needn't take
        from pyarrow import parquet as pq

        self._pa = pa
        types = _arrow_types(pa)
        self._schema = pa.schema([pa.field(c.name, types.get(c.type, pa.string()), c.nullable) for c in columns])
        self._sink = _Sink()
        made: Any = pq.ParquetWriter if parquet else pa.ipc.new_stream
        self._file = made(self._sink, self._schema)

    def begin(self) -> bytes:
        """What is written already."""
        return self._sink.taken()

    def block(self, lines: Sequence[bytes]) -> bytes:
        """The rows as one batch."""
        if lines:
            self._file.write_table(self._table(b"".join(lines)))
        return self._sink.taken()

    def end(self) -> bytes:
        """What closes the file."""
        self._file.close()
        return self._sink.taken()

    def _table(self, lines: bytes) -> Any:
        from pyarrow import csv as arrow_csv

        flat = {
            field.name: self._pa.string() if self._pa.types.is_list(field.type) else field.type
            for field in self._schema
        }
        table = arrow_csv.read_csv(
            io.BytesIO(lines),
            # One block, for a row to be of any length. An empty line is a row too: of one column, which is NULL.
            arrow_csv.ReadOptions(column_names=self._schema.names, use_threads=False, block_size=len(lines) + 1),
            arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types=flat, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
        columns = [self._lists(column) if self._pa.types.is_list(field.type) else column
                   for field, column in zip(self._schema, table.columns, strict=True)]  # fmt: skip
        return self._pa.table(columns, schema=self._schema)

    def _lists(self, column: Any) -> Any:
        """Lists of JSON as lists; there are few different ones, so each is read once."""
        coded = column.combine_chunks().dictionary_encode()
        lists = [json.loads(text) for text in coded.dictionary.to_pylist()]
        return self._pa.array(lists, self._pa.list_(self._pa.string())).take(coded.indices)


class _Sink(io.RawIOBase):
    """A file that gives away what is written to it. Parquet's footer holds places in the file, so `tell` goes on."""

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

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _arrow_types(pa: Any) -> Mapping[str, Any]:
    return {
        "date": pa.date32(), "timestamp with time zone": pa.timestamp("us", "UTC"), "double precision": pa.float64(),
        "numeric": pa.float64(), "bigint": pa.int64(), "integer": pa.int32(), "boolean": pa.bool_(),
        "text[]": pa.list_(pa.string()),
    }  # fmt: skip
