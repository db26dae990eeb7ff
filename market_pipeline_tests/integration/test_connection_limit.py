"""DATABASE_MAX_CONNECTIONS, and the connections that a run takes: the documented numbers are measured."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import CONNECTIONS_OF_A_RUN
from market_pipeline.warehouse.tracked_symbols import add_symbols

SYMBOLS = ("AAPL", "AMZN", "GOOGL", "JPM", "META", "MSFT", "NVDA", "TSLA")


@contextmanager
def counting(url: SecretStr) -> Iterator[list[int]]:
    """Count the connections to the warehouse and Dagster's database every few milliseconds."""
    counts: list[int] = []
    over = threading.Event()
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s)"

    def count() -> None:
        with psycopg.connect(url.get_secret_value(), dbname="postgres", autocommit=True) as observer:
            name = psycopg.conninfo.conninfo_to_dict(url.get_secret_value())["dbname"]
            while not over.wait(0.005):
                found = observer.execute(query, [[name, f"{name}_dagster"]]).fetchone()
                assert found is not None
                counts.append(found[0])

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()


def test_a_run_takes_no_more_connections_than_is_documented(
    database_url: SecretStr, environment: dict[str, str]
) -> None:
    engine = create_warehouse_engine(database_url)
    add_symbols(engine, [Symbol.of(name, "stock") for name in SYMBOLS])
    engine.dispose()
    command = ["backfill", "--symbols", ",".join(SYMBOLS), "--start", "2023-01-03", "--end", "2023-12-29"]
    with running_sandbox(SandboxConfig()) as sandbox, counting(database_url) as counts:
        done = subprocess.run(
            [Path(sys.executable).with_name("market-pipeline"), *command],
            env={**environment, "POLYGON_BASE_URL": sandbox},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert CONNECTIONS_OF_A_RUN - 3 <= max(counts) <= CONNECTIONS_OF_A_RUN


@pytest.fixture
def narrow(database_url: SecretStr) -> Iterator[Engine]:
    """Yield an engine that two threads may use at once."""
    engine = create_warehouse_engine(database_url, most=2)
    yield engine
    engine.dispose()


def test_more_threads_than_connections_wait_their_turn_and_none_for_itself(narrow: Engine) -> None:
    both_have_one = threading.Barrier(2, timeout=30)

    def connections_of_two_threads(number: int) -> int:
        with narrow.connect() as outer:
            if number < 2:
                both_have_one.wait()  # none is left when they request a second
            with narrow.connect() as inner:
                inner.execute(text("SELECT pg_sleep(0.01)"))
                query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
                return int(outer.scalar(query) or 0)

    with ThreadPoolExecutor(12) as pool:
        counts = list(pool.map(connections_of_two_threads, range(24), timeout=60))
    assert max(counts) <= 2 * 2


def test_a_thread_that_gets_no_connection_in_time_gets_an_error(narrow: Engine) -> None:
    hold, held = threading.Event(), threading.Semaphore(0)

    def holding() -> None:
        with narrow.connect():
            held.release()
            hold.wait(30)

    narrow.pool._timeout = 0.1  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits for half a minute
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(holding)
        try:
            assert held.acquire(timeout=30)
            assert held.acquire(timeout=30)
            with pytest.raises(PoolTimeoutError, match="2 threads have connections"):
                narrow.connect()
        finally:
            hold.set()
    with narrow.connect() as connection:  # they have given them back
        assert connection.scalar(text("SELECT 1")) == 1
