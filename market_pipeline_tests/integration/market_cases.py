"""Small markets for tests: checked sessions of given bars, loaded as a run would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Engine

from market_pipeline.core.bars import VALUE_COLUMNS
from market_pipeline.core.market_bars import CheckedSession, MarketSession, RejectedRow
from market_pipeline.core.markets import MARKETS, Origin
from market_pipeline.core.settings import Source
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.market_loading import load_sessions
from market_pipeline.warehouse.market_records import MarketLoadResult, MarketRun
from market_pipeline.warehouse.recent_bars import RecentBars
from market_pipeline.warehouse.tracked_markets import track_market

STOCKS = MARKETS["us_stocks"]
NAN = float("nan")


@dataclass(frozen=True)
class Bar:
    """Values of a bar: a close, with the other prices near it."""

    close: float = 10.0
    volume: float = 1000.0
    vwap: float = 9.9
    transactions: float = 42.0

    @property
    def values(self) -> tuple[float, ...]:
        """The values in the order of VALUE_COLUMNS."""
        close = self.close
        return (close * 0.99, close * 1.02, close * 0.98, close, self.volume, self.vwap, self.transactions)


@dataclass(frozen=True)
class RecordedBar(Bar):
    """A bar of recorded values, in the order of VALUE_COLUMNS."""

    recorded: tuple[float, ...] = ()

    @property
    def values(self) -> tuple[float, ...]:
        """The recorded values."""
        return self.recorded


def session_of(
    day: date,
    bars: Mapping[str, Bar],
    *,
    rejected: Sequence[str] = (),
    origin: Origin = Origin.GROUPED,
    version: str | None = None,
) -> CheckedSession:
    """Return a checked session of these bars by ticker; those of a flat file have no vwap."""
    values = np.array([bar.values for bar in bars.values()], dtype="float64").reshape(len(bars), len(VALUE_COLUMNS))
    columns: dict[str, Any] = dict(zip(VALUE_COLUMNS, values.T.copy(), strict=True))
    if origin is Origin.FLAT_FILE:
        columns["vwap"] = np.full(len(bars), NAN)
    columns["date"] = np.full(len(bars), np.datetime64(day))
    tickers = np.array(list(bars), dtype=object)
    fetched = MarketSession(day, tickers, columns, lambda row: {"T": tickers[row]}, origin, version, requests=1)
    broken = [RejectedRow(ticker, ["not_positive: a price is zero"], {"T": ticker, "c": 0}) for ticker in rejected]
    return CheckedSession(fetched, tickers, columns, broken)


def load_market(
    warehouse: Engine,
    *sessions: CheckedSession,
    run_id: str = "run-1",
    accept_small: bool = False,
    source: Source = "sandbox",
    recent: RecentBars | None = None,
) -> list[MarketLoadResult]:
    """Load checked sessions of the US stocks."""
    track_market(warehouse, STOCKS)
    run = MarketRun(run_id, "cli", source)
    return load_sessions(warehouse, STOCKS, sessions, run, find_flags, accept_small=accept_small, recent=recent)
