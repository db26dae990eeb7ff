"""Bars in PostgreSQL's binary COPY format, encoded and decoded as one array.

A row of fixed-width columns is a fixed-width record, so numpy lays out all rows at once; a Python tuple per row would
take seconds per million. Format: PostgreSQL documentation, "COPY", section "Binary Format".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger

from market_pipeline.core.bars import VALUE_COLUMNS, Columns
from market_pipeline.warehouse.tables import market_data

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, then no flags and no header extension
_TRAILER = b"\xff\xff"
_EPOCH = np.datetime64("2000-01-01", "us")  # PostgreSQL counts days and microseconds from here
_FIRST_DAY = _EPOCH.astype("datetime64[D]")

_BAR = {"date": ">i4", "time": ">i8", **dict.fromkeys(VALUE_COLUMNS, ">f8")}
_NULLABLE = {
    name: ">i8" if isinstance(market_data.c[name].type, BigInteger) else ">f8"
    for name in VALUE_COLUMNS
    if market_data.c[name].nullable
}

Kinds = Mapping[str, str | None]
"""Numpy's type of each column, in order; None for a column that is NULL in all rows."""


def encode_bars(bars: Columns) -> bytes:
    """Encode bars (NaN allowed in numbers, no missing date or time) in the layout of `staged_bars`."""
    return _HEADER + _encoded(_values(bars), _BAR, len(bars["date"])) + _TRAILER


def encode_new_bars(bars: Columns, about: Mapping[str, str | datetime]) -> bytes:
    """The bars as `market_data` takes them: the columns of `about`, equal for all, then BAR_COLUMNS.

    Missing numbers become NULL. Rows of which the same numbers are missing come together, in their order.
    """
    constants = {n: value.encode() if isinstance(value, str) else _microseconds(value) for n, value in about.items()}
    kinds = {n: f"S{len(value)}" if isinstance(value, bytes) else ">i8" for n, value in constants.items()}
    values = _values(bars)
    missing = [np.isnan(values[name]) for name in _NULLABLE]
    parts = []
    for pattern in product((False, True), repeat=len(_NULLABLE)):
        alike = np.logical_and.reduce([null == wanted for null, wanted in zip(missing, pattern, strict=True)])
        if alike.any():
            nullable = {n: None if null else kind for (n, kind), null in zip(_NULLABLE.items(), pattern, strict=True)}
            part = {name: column[alike] for name, column in values.items()}
            parts.append(_encoded({**constants, **part}, {**kinds, **_BAR, **nullable}, int(alike.sum())))
    return _HEADER + b"".join(parts) + _TRAILER


def decode_bars(records: bytes) -> tuple[Columns, NDArray[np.bool_]]:
    """Decode `sql/held_bars.sql`'s result: bars with `date` and VALUE_COLUMNS (NaN for NULL), and which are flagged."""
    bars = np.frombuffer(records, dtype=np.dtype([*_BAR.items(), ("validated", "?")]))
    days = _FIRST_DAY + bars["date"].astype("timedelta64[D]")
    return {"date": days, **{name: bars[name].astype("float64") for name in VALUE_COLUMNS}}, ~bars["validated"]


def _values(bars: Columns) -> dict[str, Any]:
    return {
        "date": (bars["date"] - _FIRST_DAY).astype(np.int64),
        "time": (bars["time"] - _EPOCH).astype(np.int64),
        **{name: bars[name] for name in VALUE_COLUMNS},
    }


def _microseconds(instant: datetime) -> int:
    return int((np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us") - _EPOCH).astype(np.int64))


def _encoded(values: Mapping[str, Any], kinds: Kinds, count: int) -> bytes:
    rows = np.empty(count, dtype=_record(kinds))
    rows["fields"] = len(kinds)
    for name, kind in kinds.items():
        rows[_length(name)] = -1 if kind is None else np.dtype(kind).itemsize
        if kind is not None:
            rows[name] = values[name]
    return rows.tobytes()


def _record(kinds: Kinds) -> "np.dtype[np.void]":
    """Return a row's dtype: the number of fields, then each field's length in bytes (-1 for NULL) and its bytes."""
    fields = [("fields", ">i2")]
    for name, kind in kinds.items():
        fields += [(_length(name), ">i4"), *([(name, kind)] if kind is not None else [])]
    return np.dtype(fields)


def _length(name: str) -> str:
    return f"{name} length"
