"""Stored bars as arrays: those of some symbols, and those of all symbols on some dates.

Each symbol's or date's are read as one value: a row for each bar would take several times as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from market_pipeline.core.bars import Columns
from market_pipeline.warehouse.binary_copy import decode_bars, decode_market_bars
from market_pipeline.warehouse.statements import read_statement


@dataclass(frozen=True)
class SymbolSpan:
    """A symbol, by its id in tracked_symbols, and the first and last session of a span; by default all."""

    symbol_id: int
    first: date = date.min
    last: date = date.max


def read_held_bars(
    connection: Connection, spans: Sequence[SymbolSpan], *, reach: int = 0
) -> tuple[Columns, list[frozenset[date]]]:
    """Read the stored bars of spans, and up to `reach` more on either side of each.

    Returns:
        The bars (`date`, VALUE_COLUMNS, and `place`, each one's span) by span and date, and of each span the sessions
        whose bar is flagged.
    """
    parameters = {
        "symbol_ids": [span.symbol_id for span in spans],
        "firsts": [span.first for span in spans],
        "lasts": [span.last for span in spans],
        "reach": reach,
    }
    rows = connection.execute(read_statement("held_bars"), parameters).all()
    return decode_bars([row.bars for row in rows]), [frozenset(row.flagged) for row in rows]


def read_bars_between(connection: Connection, first: date, last: date) -> Columns:
    """Read the stored bars of all symbols from `first` to `last`.

    Returns:
        `place` (the symbol's id), `date` and VALUE_COLUMNS, by date.
    """
    return decode_market_bars([*connection.scalars(read_statement("bars_between"), {"first": first, "last": last})])
