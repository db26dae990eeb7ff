"""Rows of a comparison: a file's rows beside the stored bars, a few symbols at a time, as arrays."""

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from sqlalchemy import Connection, func, select

from market_pipeline.reconciliation.explanations import Replaced
from market_pipeline.reconciliation.field_series import Dates, FieldSeries, Flags, Floats
from market_pipeline.reconciliation.file_layout import VALUES
from market_pipeline.warehouse.bar_tables import market_data_revisions
from market_pipeline.warehouse.export_query import Adjustment
from market_pipeline.warehouse.statements import open_copy, read_statement

SYMBOLS_AT_ONCE = 20
"""Symbols whose rows are in memory at once: 20 years of 20 symbols are 100,000 rows, some 15 MB."""

STORED = ("open", "high", "low", "close", "volume", "vwap")


@dataclass(frozen=True)
class SymbolRows:
    """The rows of one symbol by date, ascending.

    `numbers` has the file's values, under names with the prefix `file_`, the stored ones as traded, and the logarithms
    of the factors, `split` and `dividend`; NaN where there is none. `suspected` marks stored bars that are flagged
    `unlisted_split`, and `unknown_because` says why a factor is not known.
    """

    symbol: str
    dates: Dates
    in_file: Flags
    in_warehouse: Flags
    suspected: Flags
    numbers: dict[str, Floats]
    unknown_because: "np.ndarray[Any, np.dtype[np.object_]]"
    replaced: dict[str, Replaced]

    def series(self, name: str, adjustment: Adjustment, tolerance: float, *, any_unit: bool) -> FieldSeries:
        """Return a column of the file beside the stored one."""
        volume = name == "volume"
        split = self.numbers["split"]
        return FieldSeries(
            dates=self.dates,
            file=self.numbers[f"file_{name}"],
            traded=self.numbers[find_stored_name(name)],
            split=-split if volume else split,
            dividend=np.zeros(len(split)) if volume else self.numbers["dividend"],
            suspected=self.suspected,
            adjustment=adjustment,
            tolerance=tolerance,
            any_unit=any_unit,
        )


def find_stored_name(name: str) -> str:
    """Return the stored column that a column of the file is compared with."""
    return "close" if name == "adj_close" else name


def read_rows(connection: Connection, symbols: Sequence[str], first: date, last: date) -> Iterator[SymbolRows]:
    """Yield the rows of each of these symbols that has any, in order."""
    names = sorted(symbols)
    for some in (names[at : at + SYMBOLS_AT_ONCE] for at in range(0, len(names), SYMBOLS_AT_ONCE)):
        table = _read_table(connection, some, first, last)
        replaced = _read_replaced(connection, some, first, last)
        column = table["symbol"].to_numpy()
        starts = [0, *(np.flatnonzero(column[1:] != column[:-1]) + 1).tolist()] if len(column) else []
        for start, stop in zip(starts, [*starts[1:], len(column)], strict=True):
            part = table.slice(start, stop - start)
            yield SymbolRows(
                symbol=column[start],
                dates=part["date"].to_numpy().astype("datetime64[D]"),
                in_file=part["in_file"].to_numpy(),
                in_warehouse=part["in_warehouse"].to_numpy(),
                suspected=part["suspected"].to_numpy(),
                numbers={name: part[name].to_numpy() for name in _NUMBERS},
                unknown_because=part["unknown_because"].to_numpy(),
                replaced=replaced[column[start]],
            )


_NUMBERS = (*(f"file_{name}" for name in VALUES), *STORED, "split", "dividend")
_TYPES = {
    "symbol": pa.string(), "date": pa.date32(), **dict.fromkeys(("in_file", "in_warehouse", "suspected"), pa.bool_()),
    **dict.fromkeys(_NUMBERS, pa.float64()), "unknown_because": pa.string(),
}  # fmt: skip


def _read_table(connection: Connection, symbols: Sequence[str], first: date, last: date) -> pa.Table:
    query = read_statement("reconciled_bars").bindparams(symbols=list(symbols), first=first, last=last)
    compiled = query.compile(connection)
    command = f"COPY ({compiled}) TO STDOUT (FORMAT csv, HEADER)"
    lines = io.BytesIO()
    with open_copy(connection, command, compiled.params) as copy:
        lines.writelines(copy)
    lines.seek(0)
    convert = arrow_csv.ConvertOptions(
        column_types=_TYPES, true_values=["t"], false_values=["f"], null_values=[""], strings_can_be_null=True
    )
    return arrow_csv.read_csv(lines, convert_options=convert)


def _read_replaced(
    connection: Connection, symbols: Sequence[str], first: date, last: date
) -> dict[str, dict[str, Replaced]]:
    """Return the revisions' values by symbol, stored column and date."""
    columns = market_data_revisions.c
    query = select(columns.symbol, columns.date, *(columns[name] for name in STORED)).where(
        columns.symbol == func.any(list(symbols)), columns.date.between(first, last)
    )
    found: dict[str, dict[str, dict[np.datetime64, tuple[float, ...]]]] = defaultdict(lambda: defaultdict(dict))
    for row in connection.execute(query):
        day = np.datetime64(row.date)
        for name in STORED:
            if (value := getattr(row, name)) is not None:
                values = found[row.symbol][name]
                values[day] = (*values.get(day, ()), value)
    return found  # type: ignore[return-value]  # a mapping of mappings either way
