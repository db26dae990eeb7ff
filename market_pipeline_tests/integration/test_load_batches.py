"""Symbols loaded in one transaction: the same content as one by one, and a failure that affects no other."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from market_pipeline import load_batches
from market_pipeline.core.bars import FetchedBars, select_rows
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.ingest import Run, ingest
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.load_history import LoadResult
from market_pipeline.warehouse.loading import CheckedLoad, RejectedBar, load_together
from market_pipeline.warehouse.tracked_symbols import NotTrackedError, Reference, add_symbols
from market_pipeline_tests.bar_frames import columns_of
from market_pipeline_tests.integration.stored_bars import query, recorded, request_for

NAMES = ("AAPL", "IBM", "MSFT")
AAPL, IBM, MSFT = SYMBOLS = [Symbol.of(name, "stock") for name in NAMES]
DAYS = list_sessions("XNYS", date(2005, 1, 3), date(2005, 3, 31))  # with Apple's split of 2005-02-28, not listed here
OCTOBER = list_sessions("XNYS", date(2012, 10, 1), date(2012, 10, 31))
TABLES = {
    "market_data": "symbol, date, time, open, high, low, close, volume, vwap, transactions, source, run_id, flags, "
    "validation_notes, quality_score, gap_detected, volume_anomaly",
    "market_data_revisions": "symbol, date, close, volume, run_id, replaced_by_run_id, flags",
    "rejected_bars": "symbol, date, reasons, payload::text, run_id",
    "adjustment_factors": "symbol, from_date, to_date, split_factor, dividend_factor, unknown_because",
    "backfill_history": "symbol, run_id, start_date, end_date, sessions, answered, refused, answered_from, "
    "answered_to, requests, fetched, loaded, revised, unchanged, rejected, flagged, missing, records_imported, "
    "success, notes",
    "tracked_symbols": "symbol, backfill_status, last_backfill IS NOT NULL",
}
STORED = "bars, bar_flags, bars_revisions, bar_flags_revisions, rejected_bars, adjustment_factors, backfill_history"


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, SYMBOLS)


def nights() -> list[list[CheckedLoad]]:
    """Return three nights: new bars, some with corrections and rejected bars, and one of which MSFT has nothing."""
    frames = {symbol: recorded(symbol.name, DAYS[0], DAYS[-1]) for symbol in SYMBOLS}
    spoilt = RejectedBar(DAYS[35], ["high_too_low: ..."], {"o": 1.0, "h": 0, "T": "A\u0000B"})

    def loads_of(run_id: str, first: int, last: int, changes: Mapping[Symbol, float]) -> list[CheckedLoad]:
        sessions = DAYS[first:last]
        loads = []
        for symbol in SYMBOLS:
            frame = frames[symbol][first:last].reset_index(drop=True)
            frame.loc[frame.index[-1:], "volume"] *= changes.get(symbol, 1.0)
            rejected = [spoilt, spoilt] if symbol in changes else []
            loads.append(CheckedLoad(request_for(symbol, sessions, run_id), columns_of(frame), rejected))
        return loads

    *others, nothing = loads_of("run-3", 36, 41, {})
    empty = CheckedLoad(nothing.load_request, select_rows(nothing.accepted, slice(0)))
    return [
        loads_of("run-1", 0, 34, {IBM: 20.0}),
        loads_of("run-2", 31, 36, {AAPL: 0.0, IBM: 1.5}),
        [*others, empty],
    ]


def content(warehouse: Engine) -> dict[str, list[Mapping[str, Any]]]:
    return {
        name: query(warehouse, f"SELECT {columns} FROM {name} ORDER BY {columns}") for name, columns in TABLES.items()
    }


def test_symbols_loaded_together_are_stored_as_one_by_one(warehouse: Engine) -> None:
    together = [load_together(warehouse, night, find_flags) for night in nights()]
    found = content(warehouse)
    assert query(warehouse, "SELECT count(DISTINCT load_id) AS loads FROM bars") == [{"loads": 3}]
    assert {flag for row in found["market_data"] for flag in row["flags"]} >= {"unlisted_split", "zero_volume"}
    assert found["market_data_revisions"]
    assert found["rejected_bars"]

    with warehouse.begin() as connection:
        connection.execute(text(f"TRUNCATE {STORED}"))
        connection.execute(text("UPDATE tracked_symbols SET backfill_status = 'pending', last_backfill = NULL"))
    one_by_one = [[load_together(warehouse, [each], find_flags)[0] for each in night] for night in nights()]
    assert together == one_by_one
    assert content(warehouse) == found


def test_a_symbol_renamed_before_its_load_fails_alone(warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET symbol = 'IBMX' WHERE symbol = 'IBM'"))
    apple, ibm, microsoft = load_together(warehouse, nights()[0], find_flags)
    assert isinstance(ibm, NotTrackedError)
    assert isinstance(apple, LoadResult)
    assert isinstance(microsoft, LoadResult)
    assert query(warehouse, "SELECT symbol, loaded FROM backfill_history ORDER BY id") == [
        {"symbol": "AAPL", "loaded": 34}, {"symbol": "MSFT", "loaded": 34},
    ]  # fmt: skip
    assert query(warehouse, "SELECT DISTINCT symbol FROM market_data ORDER BY symbol") == [
        {"symbol": "AAPL"}, {"symbol": "MSFT"},
    ]  # fmt: skip


class RecordedVendor:
    """A vendor with all recorded bars of October 2012."""

    source: Source = "polygon"

    def fetch_bars(self, symbol: Symbol, last: date) -> FetchedBars:
        """Return the recorded bars up to a day."""
        frame: pd.DataFrame = recorded(symbol.name, OCTOBER[0], last)
        return FetchedBars(columns_of(frame), [{}] * len(frame), 1, answered=(OCTOBER[0], last))


def ingest_together(warehouse: Engine, symbols: Sequence[Symbol]) -> list[list[LoadResult]]:
    """Return the results of a run, of the symbols of each transaction."""

    def fetch_reference(symbol: Symbol) -> Reference:
        raise AssertionError(f"{symbol} has data")

    return list(ingest(
        symbols, OCTOBER, vendor=RecordedVendor(), fetch_reference=fetch_reference, delisted={}, warehouse=warehouse,
        run=Run("run-1", "manual"), at_once=3,
    ))  # fmt: skip


def test_bars_that_the_database_rejects_fail_alone(warehouse: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_batches, "NEXT_WITHIN", 60.0)  # so that all are loaded together
    with warehouse.begin() as connection:
        ibm: int = connection.execute(text("SELECT id FROM tracked_symbols WHERE symbol = 'IBM'")).scalar_one()
        connection.execute(text(f"ALTER TABLE bars ADD CONSTRAINT no_ibm CHECK (symbol_id <> {ibm})"))
    [results] = ingest_together(warehouse, SYMBOLS)
    assert [(result.symbol, result.loaded) for result in results] == [("AAPL", 21), ("IBM", 0), ("MSFT", 21)]
    records = query(warehouse, "SELECT symbol, success, error_details, loaded FROM backfill_history ORDER BY symbol")
    assert [(row["symbol"], row["success"], row["loaded"]) for row in records] == [
        ("AAPL", True, 21), ("IBM", False, 0), ("MSFT", True, 21),
    ]  # fmt: skip
    assert "no_ibm" in records[1]["error_details"]
    states = query(warehouse, "SELECT symbol, backfill_status FROM tracked_symbols ORDER BY symbol")
    assert [row["backfill_status"] for row in states] == ["completed", "failed", "completed"]
    assert query(warehouse, "SELECT count(*) AS loads FROM loads WHERE source IS NOT NULL") == [{"loads": 2}]


def test_a_run_of_few_bars_is_one_transaction_and_one_of_many_is_not(
    warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_batches, "NEXT_WITHIN", 60.0)
    [together] = ingest_together(warehouse, SYMBOLS)
    assert [result.symbol for result in together] == list(NAMES)
    monkeypatch.setattr(load_batches, "BARS_TOGETHER", 21)
    assert [len(results) for results in ingest_together(warehouse, SYMBOLS)] == [1, 1, 1]
