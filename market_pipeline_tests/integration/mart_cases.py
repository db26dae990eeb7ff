"""Shared by the tests of the marts: a warehouse filled row by row, a dbt run, and a mart's rows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
from pydantic import SecretStr
from sqlalchemy import Engine, insert, text

from market_pipeline.core.sessions import compute_session_starts
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dbt_project import BuildScope
from market_pipeline.sandbox.recorded import RECORDED, read_recorded_actions
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.adjustment import refresh_factors
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.database import create_warehouse_engine, warehouse_of
from market_pipeline.warehouse.tables import backfill_history, corporate_action_inquiries, dividends, splits
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.conftest import AS_FILES
from market_pipeline_tests.dbt_server import run_forked_dbt

LOADED_AT = datetime(2024, 4, 1, tzinfo=UTC)
PROVENANCE = {"source": "sandbox", "fetched_at": LOADED_AT, "run_id": "run-1"}


@contextmanager
def database(server: embedded.Server, name: str, *, template: str = "template_warehouse") -> Iterator[Engine]:
    """Yield an engine on a copy of another database, which is dropped afterwards."""
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {AS_FILES}")
        engine = create_warehouse_engine(server.url(name))
        try:
            yield engine
        finally:
            engine.dispose()
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def settings_of(engine: Engine, folder: Path) -> Settings:
    """Return the settings of a warehouse."""
    url = SecretStr(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    return Settings(_env_file=None, database_url=url, market_pipeline_data_dir=folder)


def track(warehouse: Engine, symbols: Sequence[Symbol], *, first: date, last: date) -> None:
    """Track symbols whose bars of these sessions, splits and dividends were requested successfully."""
    add_symbols(warehouse, symbols)
    requested = {"asked_at": LOADED_AT, "history_asked_at": LOADED_AT}
    kinds = [
        {"kind": kind, "symbol": symbol.name, **requested} for symbol in symbols for kind in ("splits", "dividends")
    ]
    counts = dict.fromkeys(("requests", "fetched", "loaded", "revised", "unchanged", "rejected", "missing"), 0)
    history = [
        {
            "run_id": "run-1", "trigger": "cli", "symbol": symbol.name, "start_date": first, "end_date": last,
            "sessions": 1, "answered": 1, "refused": 0, "answered_from": first, "answered_to": last, **counts,
            "flagged": 0, "records_imported": 0, "started_at": LOADED_AT, "duration_seconds": 1.0, "success": True,
        }
        for symbol in symbols
    ]  # fmt: skip
    with warehouse.begin() as connection:
        connection.execute(insert(corporate_action_inquiries), kinds)
        connection.execute(insert(backfill_history), history)


def add_bars(warehouse: Engine, symbol: Symbol, bars: pd.DataFrame) -> None:
    """Add bars of one symbol: date, open, high, low, close and volume, and perhaps vwap and transactions."""
    days = pd.DatetimeIndex(bars["date"])
    starts = compute_session_starts(symbol.calendar, days).to_pydatetime()
    rows = bars.astype(object).where(bars.notna(), None).to_dict("records")
    facts = {"symbol": symbol.name, "validated": True, "quality_score": 1.0, "updated_at": LOADED_AT, **PROVENANCE}
    with warehouse.begin() as connection:
        connection.execute(
            insert(market_data),
            [
                {**{str(name): value for name, value in row.items()}, **facts, "date": day.date(), "time": start}
                for row, day, start in zip(rows, days, starts, strict=True)
            ],
        )


def add_splits(warehouse: Engine, rows: Iterable[tuple[str, date, float, float]]) -> None:
    """Add splits: symbol, execution date, shares before and after."""
    names = ("symbol", "execution_date", "split_from", "split_to")
    with warehouse.begin() as connection:
        connection.execute(insert(splits), [{**dict(zip(names, row, strict=True)), **PROVENANCE} for row in rows])


def add_dividends(warehouse: Engine, rows: Iterable[tuple[str, date, float, str]], currency: str = "USD") -> None:
    """Add dividends: symbol, ex-date, amount per share and kind."""
    names = ("symbol", "ex_dividend_date", "cash_amount", "dividend_type")
    facts = {"currency": currency, **PROVENANCE}
    with warehouse.begin() as connection:
        connection.execute(insert(dividends), [{**dict(zip(names, row, strict=True)), **facts} for row in rows])


def add_recorded_actions(warehouse: Engine) -> None:
    """Add the real splits and dividends of the recorded symbols."""
    rows = [(row, date.fromisoformat(row["ex_date"])) for symbol in RECORDED for row in read_recorded_actions(symbol)]
    numbers = [
        (row["symbol"], day, float(row["split_from"]), float(row["split_to"])) for row, day in rows if row["split_to"]
    ]
    paid = [(row["symbol"], day, float(row["cash_amount"]), row["kind"]) for row, day in rows if row["cash_amount"]]
    add_splits(warehouse, numbers)
    add_dividends(warehouse, paid)


def set_today(warehouse: Engine, today: date) -> None:
    """Make a day today in New York for the database's next sessions, and bring all adjustment factors up to date."""
    name = warehouse.url.database
    with warehouse.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET market_pipeline.today = '{today}'")
    warehouse.dispose()
    refresh_all_factors(warehouse)


def refresh_all_factors(warehouse: Engine) -> None:
    """Bring the adjustment factors up to date, as a load does, after rows were added one by one."""
    with warehouse.begin() as connection:
        refresh_factors(connection, connection.execute(text("SELECT symbol FROM tracked_symbols")).scalars())


def dbt(
    settings: Settings, *command: str, today: date, full: bool = False, scope: BuildScope = BuildScope.EVERYTHING
) -> None:
    """Run dbt as of a day."""
    with warehouse_of(settings) as warehouse:
        set_today(warehouse, today)
    run_forked_dbt(settings, *command, "--quiet", *(["--full-refresh"] if full else []), scope=scope)


def read(warehouse: Engine, query: str, **values: Any) -> pd.DataFrame:
    """Return the result of a query."""
    with warehouse.connect() as connection:
        return pd.read_sql(text(query), connection, params=values)
