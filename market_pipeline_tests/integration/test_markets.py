"""Markets: tracking, and the states of their sessions."""

from datetime import date

import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.markets import find_market
from market_pipeline.warehouse.tracked_markets import (
    UntrackedMarketError,
    list_tracked_markets,
    read_market_sessions,
    read_market_totals,
    track_market,
    untrack_market,
)

STOCKS = find_market("us-stocks")


def record(warehouse: Engine, day: str, *, loaded: int = 0, error: str | None = None, suspicious: bool = False) -> None:
    statement = text(
        "INSERT INTO market_loads (market, date, run_id, trigger, source, origin, requests, fetched, loaded, revised, "
        "unchanged, rejected, withdrawn, flagged, tickers, success, suspicious, error_details, started_at, "
        "duration_seconds) VALUES ('us_stocks', :day, 'run', 'cli', 'sandbox', 'grouped', 1, :loaded, :loaded, 0, 0, "
        "0, 0, 0, CASE WHEN CAST(:error AS text) IS NULL THEN 5 END, CAST(:error AS text) IS NULL, :suspicious, "
        ":error, now(), 0)"
    )
    with warehouse.begin() as connection:
        connection.execute(statement, {"day": day, "loaded": loaded, "error": error, "suspicious": suspicious})


def test_a_market_is_tracked_and_untracked(warehouse: Engine) -> None:
    assert list_tracked_markets(warehouse) == []
    assert track_market(warehouse, STOCKS)
    assert not track_market(warehouse, STOCKS)
    assert list_tracked_markets(warehouse) == [STOCKS]
    untrack_market(warehouse, STOCKS)
    assert list_tracked_markets(warehouse) == []
    with pytest.raises(UntrackedMarketError, match="us-stocks is not tracked"):
        untrack_market(warehouse, STOCKS)
    assert track_market(warehouse, STOCKS)


def test_a_session_s_state_is_that_of_its_loads(warehouse: Engine) -> None:
    track_market(warehouse, STOCKS)
    assert read_market_sessions(warehouse, STOCKS) == []
    record(warehouse, "2024-01-02", loaded=5)
    record(warehouse, "2024-01-02", error="HTTP 500")
    record(warehouse, "2024-01-03", loaded=5)
    record(warehouse, "2024-01-03", loaded=1)
    record(warehouse, "2024-01-05", error="HTTP 403")
    record(warehouse, "2024-01-08", error="half", suspicious=True)
    found = {each.date: each for each in read_market_sessions(warehouse, STOCKS)}
    states = [found[date(2024, 1, day)].state for day in (2, 3, 4, 5, 8, 9)]
    assert states == ["loaded", "corrected", "never_asked", "failed", "suspicious", "never_asked"]
    assert found[date(2024, 1, 2)].reason == "HTTP 500"
    assert found[date(2024, 1, 2)].is_loaded
    [totals] = read_market_totals(warehouse)
    assert (totals.loaded, totals.corrected, totals.failed, totals.suspicious) == (1, 1, 1, 1)
    assert (totals.first_session, totals.last_session) == (date(2024, 1, 2), date(2024, 1, 3))
    assert (totals.symbols, totals.trading, totals.ended) == (0, 0, 0)
