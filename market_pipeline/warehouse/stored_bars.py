"""Stored bars, read back as traded or adjusted: as they are now, or as they were at an instant."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine, exists, select

from market_pipeline.warehouse.bar_tables import bars as stored
from market_pipeline.warehouse.bar_tables import market_data, symbol_identities
from market_pipeline.warehouse.export_query import COLUMNS, Adjustment, choose_bars_source
from market_pipeline.warehouse.loads import settle

if TYPE_CHECKING:
    import pandas as pd


def read_bars(
    engine: Engine,
    symbols: Sequence[str],
    start: date,
    end: date,
    *,
    adjustment: Adjustment = Adjustment.NONE,
    as_of: datetime | None = None,
) -> "pd.DataFrame":
    """Return the stored bars of some symbols from `start` to `end`, both included.

    Args:
        engine: the warehouse.
        symbols: by their names here; one that isn't there has no rows.
        start: first session.
        end: last session.
        adjustment: adjustment of the prices; as traded by default. Unknown ones are NaN.
        as_of: return the bars, and their adjustment, as they were at that instant (with a time zone) rather than now.

    Returns:
        Indexed by `symbol` and `date` (datetime64), in that order; the other columns are those of `market_data` or, of
        adjusted prices, those of an export: COLUMNS of the adjustment.

    Raises:
        NoInstantError: `as_of` has no time zone, or is in the future.
        UnsettledError: loads under way may still change the bars of that instant.
    """
    import pandas as pd  # 0.3 s, which callers of `has_bars_around` needn't spend

    if as_of is not None:
        settle(engine, as_of)
    source = choose_bars_source(adjustment, as_of)
    names = market_data.c.keys() if adjustment is Adjustment.NONE else COLUMNS[adjustment]
    selected = source.c.symbol.in_(symbols) & source.c.date.between(start, end)
    query = select(*(source.c[name] for name in names)).where(selected).order_by(source.c.symbol, source.c.date)
    with engine.connect() as connection:
        frame = pd.read_sql(query, connection, parse_dates=["date"])
    return frame.set_index(["symbol", "date"])


def has_bars_around(engine: Engine, symbol: str, first: date, last: date) -> bool:
    """Return True if bars of a symbol are stored both before `first` and after `last`."""
    id_of = select(symbol_identities.c.symbol_id).where(symbol_identities.c.symbol == symbol).scalar_subquery()
    of_symbol, day = stored.c.symbol_id == id_of, stored.c.date
    query = select(exists().where(of_symbol, day < first) & exists().where(of_symbol, day > last))
    with engine.connect() as connection:
        return bool(connection.scalar(query))
