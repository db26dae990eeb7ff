"""A backfill killed half-way: no symbol is half loaded, Dagster knows of it, and the same command loads the rest."""

import os
import time
from datetime import date
from pathlib import Path

import pandas as pd
from dagster import DagsterRunStatus
from sqlalchemy import Engine, func, select, text

from market_pipeline.core.bars import VALUE_COLUMNS
from market_pipeline.core.markets import MARKETS
from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.market_assets import build_market_key
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tables import backfill_history
from market_pipeline.warehouse.tracked_markets import track_market
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.end_to_end.conftest import CHECKOUT, Run
from market_pipeline_tests.end_to_end.forked_commands import ForkedCommand
from market_pipeline_tests.integration.stored_bars import read_bars

NAMES = ("AAPL", "AMZN", "GOOGL", "IBM", "MSFT", "NVDA")
START, END = "2003-09-10", "2024-12-31"  # so many bars that only four symbols share a transaction
COMMAND = ("backfill", "--symbols", ",".join(NAMES), "--start", START, "--end", END)


def undisturbed(sandbox: str) -> pd.DataFrame:
    """The vendor's bars, symbol by symbol, without any loading."""
    frames = []
    with PolygonClient(sandbox, None, source="sandbox", limiter=LocalLimiter(60_000)) as client:
        for name in NAMES:
            frame = frame_of(client.fetch_daily_bars(Symbol.of(name, "stock"), *dates()))
            frames.append(frame.assign(symbol=name, date=[day.date() for day in frame["date"]]))
    return pd.concat(frames, ignore_index=True)[["symbol", "date", *VALUE_COLUMNS]]


def symbols_done(warehouse: Engine) -> int:
    with warehouse.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(backfill_history)).scalar_one())


def test_the_same_command_after_a_kill_ends_in_the_content_of_an_undisturbed_run(
    run: Run, environment: dict[str, str], settings: Settings, sandbox: str, warehouse: Engine
) -> None:
    add_symbols(warehouse, [Symbol.of(name, "stock") for name in NAMES])
    nowhere = Path(os.devnull)
    killed = ForkedCommand(COMMAND, {**environment, "POLYGON_BASE_URL": sandbox}, CHECKOUT, out=nowhere, err=nowhere)
    while symbols_done(warehouse) == 0:
        assert killed.poll() is None, "the backfill ended before it could be killed"
        time.sleep(0.01)
    killed.kill()

    done = symbols_done(warehouse)
    assert done < len(NAMES)
    sessions = len(plan_range_runs([Symbol.of("AAPL", "stock")], *dates(), pd.Timestamp.now("UTC"))[0].sessions)
    assert read_bars(warehouse).groupby("symbol").size().tolist() == [sessions] * done

    again = run("market-pipeline", *COMMAND)
    assert again.returncode == 0, again.stderr
    assert "was interrupted earlier" in again.stderr
    pd.testing.assert_frame_equal(read_bars(warehouse), undisturbed(sandbox), check_exact=True)
    with open_instance(settings) as instance:
        assert [run.status for run in instance.get_runs()] == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]


def test_a_market_s_backfill_that_is_killed_keeps_whole_sessions_and_the_next_records_and_loads_the_rest(
    environment: dict[str, str], run: Run, settings: Settings, warehouse: Engine
) -> None:
    stocks = MARKETS["us_stocks"]
    track_market(warehouse, stocks)
    sessions = list_sessions("XNYS", date(2023, 6, 1), date(2024, 5, 31))
    command = ("market", "backfill", "us-stocks", "--start", str(sessions[0]), "--end", str(sessions[-1]))
    with running_sandbox(SandboxConfig(market_tickers=60)) as base_url:
        address = {"POLYGON_BASE_URL": base_url}
        nowhere = Path(os.devnull)
        killed = ForkedCommand(command, {**environment, **address}, CHECKOUT, out=nowhere, err=nowhere)
        while stored_sessions(warehouse) == 0:
            assert killed.poll() is None, "the backfill ended before it could be killed"
            time.sleep(0.01)
        killed.kill()
        kept = stored_sessions(warehouse)
        assert kept < len(sessions)
        assert unequal_sessions(warehouse) == []
        again = run("market-pipeline", *command, "--missing", **address)
    assert again.returncode == 0, again.stderr
    assert "was interrupted earlier" in again.stderr
    assert stored_sessions(warehouse) == len(sessions)
    assert unequal_sessions(warehouse) == []
    with open_instance(settings) as instance:
        assert instance.get_materialized_partitions(build_market_key(stocks)) == set(map(str, sessions))


def stored_sessions(warehouse: Engine) -> int:
    with warehouse.connect() as connection:
        return int(connection.execute(text("SELECT count(DISTINCT date) FROM market_loads WHERE success")).scalar_one())


def unequal_sessions(warehouse: Engine) -> list[date]:
    """Return the sessions whose bars are not those that their load records count."""
    query = """
        SELECT date FROM (SELECT date, count(*) AS stored FROM bars GROUP BY date) AS b
        FULL JOIN (SELECT date, max(tickers) AS tickers FROM market_loads WHERE success GROUP BY date) AS l USING (date)
        WHERE stored IS DISTINCT FROM tickers
    """
    with warehouse.connect() as connection:
        return list(connection.execute(text(query)).scalars())


def dates() -> tuple[date, date]:
    return date.fromisoformat(START), date.fromisoformat(END)
