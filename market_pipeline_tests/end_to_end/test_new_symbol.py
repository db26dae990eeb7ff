"""A symbol that is added while Dagster runs: fetched and backfilled without a restart."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import requests
from dagster import DagsterInstance
from sqlalchemy import Engine, func, select

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import find_free_port
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.backfill_launch import find_backfill, start_backfill
from market_pipeline.orchestration.backfill_status import BackfillJob
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.orchestration.scheduler_status import read_scheduler_state
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.tables import backfill_history
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.test_dagster_tools import is_loaded
from market_pipeline_tests.processes import until

AAPL, MSFT, NVDA = (Symbol.of(name, "stock") for name in ("AAPL", "MSFT", "NVDA"))
BTC = Symbol.of("BTC", "crypto")
START, END = date(2024, 3, 1), date(2024, 3, 8)
SECONDS = 300

ASSETS = "query ($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { id } }"


@pytest.fixture
def dagster(
    environment: dict[str, str], dbt_manifest: None, sandbox: str, warehouse: Engine, settings: Settings
) -> Iterator[Settings]:
    """`dagster dev` with AAPL tracked, and settings with its URL."""
    add_symbols(warehouse, [AAPL])
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [Path(sys.executable).with_name("dagster"), "dev", "--host", "127.0.0.1", "--port", str(port)],
        env={**environment, "POLYGON_BASE_URL": sandbox, "DAGSTER_WEBSERVER_URL": url},
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: is_loaded(f"{url}/graphql"), "the UI's start")
        yield settings.model_copy(update={"dagster_webserver_url": url})
    finally:
        server.terminate()
        try:
            server.wait(SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture
def instance(dagster: Settings) -> Iterator[DagsterInstance]:
    with open_instance(dagster) as opened:
        yield opened


def is_asset(dagster: Settings, symbol: Symbol) -> bool:
    keys = [{"path": ["market_data", symbol.name]}]
    requested = {"query": ASSETS, "variables": {"keys": keys}}
    response = requests.post(f"{dagster.dagster_webserver_url}/graphql", json=requested, timeout=30).json()
    return bool(response["data"]["assetNodes"])


def test_a_new_symbol_is_backfilled_at_once_and_another_becomes_an_asset_meanwhile(
    dagster: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [MSFT, BTC])
    started = start_backfill(dagster, instance, warehouse, [MSFT, BTC], START, END, now=datetime.now(UTC))
    assert is_asset(dagster, MSFT)
    assert is_asset(dagster, BTC)
    assert started.status in ("requested", "running"), "the daemon may have begun"

    add_symbols(warehouse, [NVDA])
    until(lambda: is_asset(dagster, NVDA), "loading a new symbol")

    def ended() -> BackfillJob | None:
        job = find_backfill(instance, warehouse, started.id)
        return job if job and job.ended_at else None

    job = until(ended, "the backfill")
    assert (job.status, job.error, dict(job.errors), job.note) == ("succeeded", None, {}, None)
    assert len(job.run_ids) == 2
    sessions = {symbol: len(list_sessions(symbol.calendar, START, END)) for symbol in (MSFT, BTC)}
    assert job.progress.sessions_done == job.progress.sessions_total == job.progress.loaded == sum(sessions.values())
    query = select(market_data.c.symbol, func.count()).group_by(market_data.c.symbol)
    with warehouse.connect() as connection:
        assert dict(connection.execute(query).all()) == {symbol.name: n for symbol, n in sessions.items()}
        assert set(connection.execute(select(backfill_history.c.trigger)).scalars()) == {"api"}
    assert read_scheduler_state(instance, datetime.now(UTC)).running
