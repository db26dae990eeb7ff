"""Bars in PostgreSQL's binary COPY format, encoded and decoded as one array.

A row of fixed-width columns is a fixed-width record, so numpy lays out all rows at once; a Python tuple per row would
take seconds per million. Format: PostgreSQL documentation, "COPY", section "Binary Format".
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Date, Double, Integer

from market_pipeline.core.bars import VALUE_COLUMNS, Columns
from market_pipeline.warehouse.bar_tables import bars as bars_table

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, then no flags and no header extension
_TRAILER = b"\xff\xff"
_FIRST_DAY = np.datetime64("2000-01-01", "D")  # PostgreSQL counts days from here

_HELD = np.dtype([("date", ">i4"), *((name, ">f8") for name in VALUE_COLUMNS)])
_OF_MARKET = np.dtype([("symbol_id", ">i4"), *_HELD.descr])
_STAGED = {"symbol_id": ">i4", "date": ">i4", **dict.fromkeys(VALUE_COLUMNS, ">f8")}
_KINDS = {Integer: ">i4", Date: ">i4", Double: ">f8"}
_NEW = {column.name: _KINDS[type(column.type)] for column in bars_table.columns}
_NULLABLE = [column.name for column in bars_table.columns if column.nullable]
NEW_BAR_COLUMNS = tuple(_NEW)
"""The columns of `bars`, in the order in which new ones are encoded."""

PART = 20_000
"""Bars encoded at a time, 2 MB."""

Kinds = Mapping[str, str | None]
"""Numpy's type of each column, in order; None for a column that is NULL in all rows."""


def encode_bars(bars: Columns) -> Iterator[bytes]:
    """Encode bars with `symbol_id` (NaN allowed, no missing date) in the layout of `staged_bars`, in parts."""
    yield _HEADER
    for part in _split_into_parts(bars):
        yield _encode_rows(_build_values(part), _STAGED, len(part["date"]))
    yield _TRAILER


def encode_new_bars(bars: Columns, load_id: int) -> Iterator[bytes]:
    """Encode bars of one load, with `symbol_id`, in the layout of `bars`, in parts.

    Missing numbers become NULL. Within a part, rows that lack the same numbers come together, in their order.
    """
    yield _HEADER
    for part in _split_into_parts(bars):
        values = _build_values(part)
        missing = [np.isnan(part[name]) for name in _NULLABLE]
        for pattern in product((False, True), repeat=len(_NULLABLE)):
            alike = np.logical_and.reduce([null == wanted for null, wanted in zip(missing, pattern, strict=True)])
            if alike.any():
                absent = {name: None for name, null in zip(_NULLABLE, pattern, strict=True) if null}
                rows = {**{name: value[alike] for name, value in values.items()}, "load_id": load_id}
                yield _encode_rows(rows, {**_NEW, **absent}, int(alike.sum()))
    yield _TRAILER


def _split_into_parts(bars: Columns) -> Iterator[Columns]:
    for start in range(0, len(bars["date"]), PART):
        yield {name: values[start : start + PART] for name, values in bars.items()}


def decode_bars(records: Sequence[bytes]) -> Columns:
    """Decode the bars of `sql/held_bars.sql`: `date`, VALUE_COLUMNS (NaN for NULL), and `place`, each one's record."""
    places = np.repeat(np.arange(len(records)), [len(record) // _HELD.itemsize for record in records])
    return {"place": places, **_decode_values(np.frombuffer(b"".join(records), dtype=_HELD))}


def decode_market_bars(records: list[bytes]) -> Columns:
    """Decode the bars of `sql/bars_between.sql`: `place` (the symbol's id), `date` and VALUE_COLUMNS (NaN for NULL).

    The records are taken off the list one after the other, as all of them, their bars and a copy may be 200 MB.
    """
    count = sum(map(len, records)) // _OF_MARKET.itemsize
    bars: dict[str, NDArray[Any]] = {"place": np.empty(count, "int64"), "date": np.empty(count, "datetime64[D]")}
    bars |= {name: np.empty(count) for name in VALUE_COLUMNS}
    end = count
    while records:
        record = np.frombuffer(records.pop(), dtype=_OF_MARKET)
        rows = slice(end - len(record), end)
        for name, values in {"place": record["symbol_id"], **_decode_values(record)}.items():
            bars[name][rows] = values
        end -= len(record)
    return bars


def _decode_values(bars: "NDArray[np.void]") -> Columns:
    days = _FIRST_DAY + bars["date"].astype("timedelta64[D]")
    return {"date": days, **{name: bars[name].astype("float64") for name in VALUE_COLUMNS}}


def _build_values(bars: Columns) -> dict[str, Any]:
    return {
        "symbol_id": bars["symbol_id"],
        "date": (bars["date"] - _FIRST_DAY).astype(np.int64),
        **{name: bars[name] for name in VALUE_COLUMNS},
    }


def _encode_rows(values: Mapping[str, Any], kinds: Kinds, count: int) -> bytes:
    rows = np.empty(count, dtype=_record(kinds))
    rows["fields"] = len(kinds)
    for name, kind in kinds.items():
        rows[_name_length(name)] = -1 if kind is None else np.dtype(kind).itemsize
        if kind is not None:
            rows[name] = values[name]
    return rows.tobytes()


def _record(kinds: Kinds) -> "np.dtype[np.void]":
    """Return a row's dtype: the number of fields, then each field's length in bytes (-1 for NULL) and its bytes."""
    fields = [("fields", ">i2")]
    for name, kind in kinds.items():
        fields += [(_name_length(name), ">i4"), *([(name, kind)] if kind is not None else [])]
    return np.dtype(fields)


def _name_length(name: str) -> str:
    return f"{name} length"
