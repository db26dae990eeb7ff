"""Shared by the tests of stored bars: recorded bars to load, loads of them, and the table's rows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
from bokeh_sampledata import stocks
from sqlalchemy import Engine, select, text

from market_pipeline.core.bars import VALUE_COLUMNS
from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_failure
from market_pipeline.warehouse.loading import RejectedBar, load
from market_pipeline_tests.bar_frames import columns_of

AAPL = Symbol.of("AAPL", "stock")


def recorded(name: str, start: date, end: date) -> pd.DataFrame:
    """Return the bars of a recorded stock, as traded, with BAR_COLUMNS."""
    data = pd.DataFrame(getattr(stocks, name))
    days = pd.DatetimeIndex(pd.to_datetime(data["date"]))
    frame = pd.DataFrame(
        {
            "date": days,
            "time": compute_session_starts("XNYS", days),
            **{column: data[column].astype(float) for column in ("open", "high", "low", "close", "volume")},
            "vwap": float("nan"),
            "transactions": float("nan"),
        }
    )
    return frame[frame["date"].between(pd.Timestamp(start), pd.Timestamp(end))].reset_index(drop=True)


def request_for(symbol: Symbol, sessions: Sequence[date], run_id: str = "run-1", **known: Any) -> LoadRequest:
    """Return a load request for these sessions, all answered unless `known` has others."""
    known = {"answered": (sessions[0], sessions[-1]), "requests": 1, **known}
    return LoadRequest(symbol, sessions, "polygon", run_id, "cli", datetime.now(UTC), **known)


def load_frame(
    warehouse: Engine,
    symbol: Symbol,
    frame: pd.DataFrame,
    *,
    sessions: Sequence[date] | None = None,
    rejected: Sequence[RejectedBar] = (),
    run_id: str = "run-1",
    **known: Any,
) -> LoadResult:
    """Load a frame as the response for `sessions`, by default those from its first to its last bar."""
    requested = sessions or list_sessions(symbol.calendar, frame["date"].min().date(), frame["date"].max().date())
    return load(warehouse, request_for(symbol, requested, run_id, **known), columns_of(frame), rejected, find_flags)


def load_failure(
    warehouse: Engine, symbol: Symbol, sessions: Sequence[date], error: str, run_id: str = "run-1"
) -> LoadResult:
    """Record a failed load request for these sessions."""
    return record_failure(warehouse, request_for(symbol, sessions, run_id), error)


def flags(warehouse: Engine, symbol: Symbol) -> dict[date, tuple[str, ...]]:
    """Return the flags of the symbol's flagged bars."""
    query = select(market_data.c.date, market_data.c.flags).where(
        market_data.c.symbol == symbol.name, ~market_data.c.validated
    )
    with warehouse.connect() as connection:
        return {row.date: tuple(row.flags) for row in connection.execute(query)}


def read_bars(warehouse: Engine) -> pd.DataFrame:
    """Return symbol, date and values of all stored bars, in this order."""
    columns = [market_data.c[name] for name in ("symbol", "date", *VALUE_COLUMNS)]
    with warehouse.connect() as connection:
        return pd.read_sql(select(*columns).order_by(market_data.c.symbol, market_data.c.date), connection)


def query(warehouse: Engine, statement: str, **parameters: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a query, as mappings."""
    with warehouse.connect() as connection:
        return [dict(row) for row in connection.execute(text(statement), parameters).mappings()]
