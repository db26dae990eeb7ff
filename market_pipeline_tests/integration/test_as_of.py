"""Reading back bars as they were stored at an instant, after any number of corrections."""

from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from market_pipeline.core.bars import BAR_COLUMNS
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.loads import NoInstantError
from market_pipeline.warehouse.stored_bars import read_bars
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded

WEEK = recorded("AAPL", date(2012, 10, 22), date(2012, 11, 2))  # New York was closed on 29 and 30 October


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])


def now(warehouse: Engine) -> datetime:
    with warehouse.connect() as connection:
        instant: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return instant


def closes(warehouse: Engine, as_of: datetime) -> list[float]:
    return list(read_bars(warehouse, ["AAPL"], date(2012, 1, 1), date(2012, 12, 31), as_of=as_of)["close"])


def test_a_corrected_bar_can_be_read_as_it_was_with_the_load_that_replaced_it(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, WEEK)
    before = now(warehouse)
    load_frame(warehouse, AAPL, WEEK.assign(close=WEEK["close"].where(WEEK.index != 3, 612.25)), run_id="run-2")
    corrected = WEEK["close"].where(WEEK.index != 3, 612.25)
    assert closes(warehouse, before) == list(WEEK["close"])
    assert closes(warehouse, now(warehouse)) == list(corrected)
    [kept] = query(warehouse, "SELECT * FROM market_data_revisions")
    [held] = query(warehouse, "SELECT * FROM market_data WHERE run_id = 'run-2'")
    assert (kept["date"], kept["run_id"], kept["replaced_by_run_id"]) == (held["date"], "run-1", "run-2")
    assert kept["replaced_at"] == held["fetched_at"] > before > kept["fetched_at"]


def test_as_of_before_the_first_load_there_is_no_bar(warehouse: Engine) -> None:
    early = now(warehouse)
    load_frame(warehouse, AAPL, WEEK)
    assert closes(warehouse, early) == []


def test_a_time_without_a_zone_is_rejected(warehouse: Engine) -> None:
    with pytest.raises(NoInstantError, match="as_of 2026-03-01 12:00:00 is no instant: give it a time zone"):
        closes(warehouse, datetime(2026, 3, 1, 12))  # noqa: DTZ001 - without a zone is the point


def test_in_python_bars_come_as_a_frame_by_symbol_and_date(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, WEEK)
    found = read_bars(warehouse, ["AAPL", "MSFT"], date(2012, 10, 24), date(2012, 10, 31))
    assert found.index.names == ["symbol", "date"]
    assert [day.isoformat()[:10] for _, day in found.index] == ["2012-10-24", "2012-10-25", "2012-10-26", "2012-10-31"]
    assert found.loc[("AAPL", pd.Timestamp("2012-10-31")), "close"] == 595.32
    assert set(BAR_COLUMNS) <= {*found.columns, "date"}


def test_the_function_uses_the_tables_indexes(warehouse: Engine) -> None:
    """The planner inlines it, so that an index serves a query for one symbol."""
    statement = "EXPLAIN SELECT * FROM market_data_as_of(settled_point()) WHERE symbol = 'AAPL' AND date = '2012-10-31'"
    plan = "\n".join(row["QUERY PLAN"] for row in query(warehouse, statement))
    assert "Seq Scan on bars " not in plan
    assert "Seq Scan on bars_revisions " not in plan
    assert "Function Scan" not in plan


@settings(max_examples=15)
@given(st.lists(st.dictionaries(st.integers(0, len(WEEK) - 1), st.floats(1, 1000), max_size=4), min_size=1, max_size=5))
def test_every_earlier_state_can_be_read_back(warehouse: Engine, corrections: list[dict[int, float]]) -> None:
    with warehouse.begin() as connection:
        connection.execute(market_data.delete())
    state = WEEK.assign(high=2000.0, low=0.5)
    history: list[tuple[datetime, list[Any]]] = []
    for number, changes in enumerate(corrections):
        for row, close in changes.items():
            state.loc[row, "close"] = close
        load_frame(warehouse, AAPL, state, run_id=f"run-{number}")
        history.append((now(warehouse), list(state["close"])))
    assert [closes(warehouse, instant) for instant, _ in history] == [values for _, values in history]
