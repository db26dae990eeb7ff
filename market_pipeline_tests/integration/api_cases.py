"""Fixtures of the API's tests: a warehouse with bars and a small mart, served over loopback."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import requests
from sqlalchemy import Engine, text

from market_pipeline.api.server import running_api
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline_tests.integration.mart_cases import add_dividends, add_splits, database, settings_of, track
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

TABLES = "/api/v1/tables"
HISTORICAL = "/api/v1/historical"
IBM, MSFT = Symbol.of("IBM", "stock"), Symbol.of("MSFT", "stock")
FIRST, LAST = date(2000, 9, 11), date(2000, 10, 10)
FLAGGED = date(2000, 9, 29)
"""The session on which AAPL lost half its price without a split, at 19 times the usual volume."""

# A column of every type that the warehouse has, with ties, NULLs, and texts that have a meaning elsewhere.
KINDS = """
CREATE TABLE analytics.kinds (
    id integer PRIMARY KEY, name text, price double precision, ratio numeric, trades bigint, day date, at timestamptz,
    good boolean, flags text[], payload json
)
"""
ROWS = """
INSERT INTO analytics.kinds VALUES
    (1, 'AAPL', 1.5, 0.1, 10, '2024-01-31', '2024-01-31 12:00+00', true, '{}', '{"a": 1}'),
    (2, 'AAP,L', 1.5, 0.10, 9007199254740993, '2024-02-29', '2024-01-31 12:00:00.000001+00', false, '{jump}', '[]'),
    (3, 'a "b" (c)', -2.25, -3, -10, '1999-12-31', '2024-01-31 13:00+01', NULL, '{jump,volume}', NULL),
    (4, '100%_a\\b', 0, 0, 0, NULL, NULL, true, NULL, 'null'),
    (5, '', 1e-300, 12345678901234567890.5, NULL, '2024-01-31', '1999-12-31 23:59:59+00', false, '{"two words"}', '{}'),
    (6, NULL, NULL, NULL, 10, '2024-01-31', '2024-01-31 12:00+00', NULL, '{volume,jump}', '"x"'),
    (7, 'Ångström €', 0.1, 0.30000000000000004, 11, '2030-01-01', '2030-01-01 00:00+00', true, '{volume}', '3')
"""

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Api:
    """A warehouse, and the API over it."""

    url: str
    warehouse: Engine
    settings: Settings
    session: requests.Session

    def get(self, path: str, parameters: Parameters = (), **headers: str) -> requests.Response:
        """Send a request; `if_none_match` is the header If-None-Match."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.get(self.url + path, params=list(parameters), headers=named, timeout=60)

    def rows(self, table: str, *parameters: tuple[str, str]) -> list[dict[str, Any]]:
        """Request the rows of a table."""
        response = self.get(f"{TABLES}/{table}", parameters)
        assert response.status_code == 200, response.text
        data: list[dict[str, Any]] = response.json()["data"]
        return data

    def sql(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Query the warehouse directly."""
        with self.warehouse.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]

    def execute(self, *statements: str) -> None:
        """Change the warehouse as its owner."""
        with self.warehouse.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows into a table, in the order of its columns."""
        with self.warehouse.begin() as connection:
            driver: Any = connection.connection.driver_connection
            with driver.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


@contextmanager
def warehouse_to_serve(server: embedded.Server, folder: Path, **changes: Any) -> Iterator[tuple[Engine, Settings]]:
    """Create a warehouse and the settings of an API over it, also in the environment; remove both afterwards."""
    name = f"api_{uuid4().hex}"
    with database(server, name) as warehouse, pytest.MonkeyPatch.context() as environment:
        settings = settings_of(warehouse, folder).model_copy(update={"api_requests_per_minute": 0, **changes})
        assert settings.database_url is not None
        environment.setenv("DATABASE_URL", settings.database_url.get_secret_value())
        environment.setenv("MARKET_PIPELINE_DATA_DIR", str(folder))
        yield warehouse, settings
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}_dagster WITH (FORCE)")


@contextmanager
def serving(server: embedded.Server, folder: Path, **changes: Any) -> Iterator[Api]:
    """Yield an API over an empty warehouse, with these settings changed."""
    with (
        warehouse_to_serve(server, folder, **changes) as (warehouse, settings),
        environment_of(settings),
        running_api(settings) as url,
        requests.Session() as session,
    ):
        yield Api(url, warehouse, settings, session)


@contextmanager
def environment_of(settings: Settings) -> Iterator[None]:
    """Set the environment of Dagster's storage, which would otherwise use the checkout's own database."""
    assert settings.database_url is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
        patch.setenv("MARKET_PIPELINE_DATA_DIR", str(settings.market_pipeline_data_dir))
        yield


def empty(warehouse: Engine) -> None:
    """Delete every row of the project's own tables, which leaves a warehouse as it was made."""
    tables = (
        "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables "
        "WHERE schemaname IN ('public', 'access') AND tablename NOT IN ('alembic_version', 'settled')"
    )
    with warehouse.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {connection.scalar(text(tables))}")


def load_autumn(warehouse: Engine) -> None:
    """Load three stocks' 66 bars of the autumn of 2000, with flagged ones of AAPL, and splits and dividends."""
    track(warehouse, [AAPL, IBM, MSFT], first=FIRST, last=LAST)
    add_splits(warehouse, [("AAPL", date(2000, 6, 21), 1, 2), ("AAPL", date(2005, 2, 28), 1, 2)])
    add_dividends(warehouse, [("IBM", date(2000, 8, 8), 0.13, "CD"), ("IBM", date(2000, 11, 8), 0.13, "CD")])
    for symbol in (AAPL, IBM, MSFT):
        load_frame(warehouse, symbol, recorded(symbol.name, FIRST, LAST))


def until_served(api: Api, table: str) -> None:
    """Wait until a new table is in the API's catalog, which takes a second at most."""
    end = time.monotonic() + 20
    while api.get(f"{TABLES}/{table}").status_code != 200:
        assert time.monotonic() < end, f"{table} is not served"


def problem(response: requests.Response, status: int) -> dict[str, Any]:
    """Check that the response is a problem of this status, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    return body


def faults(response: requests.Response) -> list[str]:
    """Return the parameters that a response with 400 names as wrong."""
    return [fault["parameter"] for fault in problem(response, 400)["errors"]]
