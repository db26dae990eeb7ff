"""Load records of markets: one per session and run, written to `market_loads` with the session's bars."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from market_pipeline.core.markets import Market, Origin
from market_pipeline.core.settings import Source
from market_pipeline.warehouse.load_history import COUNTERS, LoadCounters
from market_pipeline.warehouse.statements import read_statement


@dataclass(frozen=True)
class MarketRun:
    """A run that loads sessions of a market: its id, as Dagster shows it, its trigger, and the bars' source."""

    run_id: str
    trigger: str
    source: Source


@dataclass(frozen=True, kw_only=True)
class MarketLoadResult(LoadCounters):
    """The result of loading one session: counters of bars, or the error if nothing is stored.

    `tickers` is the number of the session's bars after the load, None if it failed; `suspicious` is true if the
    response can't be the whole session.
    """

    market: str
    session: date
    origin: Origin | None = None
    version: str | None = None
    requests: int = 0
    waited_seconds: float = 0.0
    withdrawn: int = 0
    flagged: int = 0
    tickers: int | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    suspicious: bool = False
    present: frozenset[str] = field(default=frozenset(), repr=False)
    """The active tracked symbols that have a bar of the session in market_data now."""
    empty: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The active tracked symbols of which the vendor has no bar of the session, with the reason."""
    ended: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The active tracked symbols that had left the market before the session, with the reason."""

    @property
    def fetched(self) -> int:
        """The number of different bars in the vendor's response."""
        return self.total


SESSION_COUNTERS = ("fetched", *COUNTERS, "withdrawn", "flagged", "requests")
"""Columns of `market_loads`, and attributes of `MarketLoadResult`, that count bars and requests of a session."""

_RESULT_COLUMNS = ("market", "origin", "version", "waited_seconds", *SESSION_COUNTERS, "tickers", "suspicious")
"""Columns of `market_loads` with the value of the attribute of `MarketLoadResult` that has their name."""


def record_market_loads(
    connection: Connection, run: MarketRun, results: Sequence[MarketLoadResult], started_at: datetime
) -> None:
    """Write the load records of sessions that were loaded, or failed, in the connection's transaction."""
    rows = [_build_row(run, result, started_at) for result in results]
    connection.execute(read_statement("record_market_loads"), {"records": json.dumps(rows, default=str)})


def record_session_failure(
    engine: Engine,
    market: Market,
    session: date,
    run: MarketRun,
    error: str,
    *,
    requests: int = 0,
    waited_seconds: float = 0.0,
) -> MarketLoadResult:
    """Record a session that could not be fetched or loaded, of which nothing is stored, and return its result."""
    result = MarketLoadResult(
        market=market.name, session=session, requests=requests, waited_seconds=waited_seconds, error=error
    )
    with engine.begin() as connection:
        record_market_loads(connection, run, [result], datetime.now(UTC))
    return result


def _build_row(run: MarketRun, result: MarketLoadResult, started_at: datetime) -> dict[str, Any]:
    return {
        **{name: getattr(result, name) for name in _RESULT_COLUMNS},
        "date": result.session,
        "run_id": run.run_id,
        "trigger": run.trigger,
        "source": run.source,
        "success": result.error is None,
        "error_details": result.error,
        "notes": "; ".join(result.notes) or None,
        "started_at": started_at,
    }
