"""docs/analysts.md as an analyst follows it, over the read-only role, and the permissions of that role."""

import contextlib
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from market_pipeline.cli.main import main
from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.recorded import RECORDED
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.roles import RoleError, grant_analyst_access
from market_pipeline.warehouse.schema import migrate
from market_pipeline_tests.integration.mart_cases import (
    add_recorded_actions,
    database,
    dbt,
    read,
    settings_of,
    track,
)
from market_pipeline_tests.integration.stored_bars import load_frame, recorded

DOCUMENT = (Path(__file__).parents[2] / "docs" / "analysts.md").read_text(encoding="utf-8")
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'analytics'::regnamespace AND relkind IN ('r', 'v')"
FIRST, LAST = date(2000, 3, 1), date(2013, 3, 1)


def load_recorded(warehouse: Engine) -> None:
    """Load the recorded stocks with their real splits and dividends, and flag bars as a run does."""
    symbols = [Symbol.of(name, "stock") for name in RECORDED]
    track(warehouse, symbols, first=FIRST, last=LAST)
    add_recorded_actions(warehouse)
    for symbol in symbols:
        load_frame(warehouse, symbol, recorded(symbol.name, FIRST, LAST))


@pytest.fixture(scope="module")
def marts(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str]]:
    """Marts of the recorded stocks, built after the role was made, and the role's URL."""
    with role_set_aside(server), database(server, "marts_for_analysts") as warehouse:
        access = grant_analyst_access(warehouse)
        assert access.has_password
        load_recorded(warehouse)
        dbt(settings_of(warehouse, tmp_path_factory.mktemp("analysts")), "run", today=LAST)
        yield warehouse, access.url.get_secret_value()
        with administrator(server, "marts_for_analysts") as connection:
            forget_role(connection)


@pytest.fixture
def analyst(marts: tuple[Engine, str]) -> Iterator[psycopg.Connection]:
    """A connection of the role with every setting that could lift its read-only mode."""
    with psycopg.connect(marts[1], autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        yield connection


@pytest.fixture
def without_role(server: embedded.Server) -> Iterator[None]:
    """Rename roles of that name on the server during a test."""
    with role_set_aside(server):
        yield


@contextlib.contextmanager
def role_set_aside(server: embedded.Server) -> Iterator[None]:
    """Rename a role that other tests have made on the server, and restore its name."""
    other_name = f"analyst_{uuid4().hex}"
    with administrator(server) as connection:
        there = connection.execute("SELECT FROM pg_roles WHERE rolname = 'market_analyst'").fetchone() is not None
        if there:
            connection.execute(f"ALTER ROLE market_analyst RENAME TO {other_name}")
        yield
        if there:
            connection.execute(f"ALTER ROLE {other_name} RENAME TO market_analyst")


# --- the document


def test_every_table_has_its_line(marts: tuple[Engine, str]) -> None:
    tables = read(marts[0], TABLES)
    section = DOCUMENT.partition("## The tables")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \| ", section, re.MULTILINE)) == set(tables["relname"])


# --- the role


def test_tables_that_dbt_builds_later_can_be_read(marts: tuple[Engine, str], analyst: psycopg.Connection) -> None:
    tables = read(marts[0], TABLES)
    for table in tables["relname"]:
        analyst.execute(f"SELECT * FROM analytics.{table} LIMIT 1")
    assert analyst.execute("SELECT count(*) FROM market_data_as_of(settled_point())").fetchone() == (12_154,)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM market_data",
        "INSERT INTO bar_source (source) VALUES ('polygon')",
        "UPDATE analytics.daily_returns SET close = 1",
        "TRUNCATE splits",
        "CREATE TABLE public.mine ()",
        "CREATE TABLE analytics.mine ()",
        "CREATE SCHEMA mine",
        "DROP VIEW analytics.daily_bars",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "SELECT * FROM analytics_staging.stg_market_data",
        "COPY market_data TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_the_server_rejects_all_else_even_where_read_only_was_switched_off(
    analyst: psycopg.Connection, statement: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        analyst.execute(statement)


def test_the_server_reports_at_once_that_it_is_read_only(marts: tuple[Engine, str]) -> None:
    with psycopg.connect(marts[1]) as connection, pytest.raises(errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TEMP TABLE mine ()")
    with psycopg.connect(marts[1]) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("5min",)


def test_the_password_is_shown_once_and_made_anew_on_demand(
    without_role: None,
    server: embedded.Server,
    warehouse: Engine,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, again, renewed = (command(capsys, "db", "analysts", *option) for option in ([], [], ["--new-password"]))
    try:
        owner = environment["DATABASE_URL"]
        assert make_url(again).password is None
        for address in (first, again, renewed):
            assert (make_url(address).username, make_url(address).port) == ("market_analyst", make_url(owner).port)
            assert str(make_url(owner).password) not in address
        psycopg.connect(renewed).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(first)
    finally:
        with administrator(server, str(warehouse.url.database)) as connection:
            forget_role(connection)


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the output of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    assert not ended.value.code, printed.err
    return printed.out.strip()


@pytest.fixture
def humble(server: embedded.Server) -> Iterator[Engine]:
    """A warehouse over its owner's URL, a user who may not create roles."""
    with administrator(server) as connection:
        connection.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
        connection.execute("CREATE DATABASE humble OWNER humble")
        engine = create_warehouse_engine(SecretStr(f"postgresql://humble:humble@{server.host}:{server.port}/humble"))
        migrate(engine)
        yield engine
        engine.dispose()
        connection.execute("DROP DATABASE humble WITH (FORCE)")
        connection.execute("DROP ROLE humble")


def test_a_user_who_may_create_no_roles_gets_the_statements_for_an_administrator(
    without_role: None, humble: Engine, server: embedded.Server
) -> None:
    with pytest.raises(RoleError, match="once an administrator has run: ") as caught:
        grant_analyst_access(humble)
    statements = str(caught.value).partition("has run: ")[2]
    with administrator(server) as connection:
        connection.execute(statements.replace("<a password>", "chosen"))
    try:
        assert not grant_analyst_access(humble).has_password
        with psycopg.connect(f"postgresql://market_analyst:chosen@{server.host}:{server.port}/humble") as connection:
            assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
            assert connection.execute("SELECT count(*) FROM market_data").fetchone() == (0,)
        with pytest.raises(RoleError, match=r"ALTER ROLE market_analyst LOGIN PASSWORD '<a password>'$"):
            grant_analyst_access(humble, new_password=True)
    finally:
        with administrator(server, "humble") as connection:
            forget_role(connection)


def administrator(server: embedded.Server, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(server.url(database).get_secret_value(), autocommit=True)


def forget_role(connection: psycopg.Connection) -> None:
    connection.execute("DROP OWNED BY market_analyst")
    connection.execute("DROP ROLE market_analyst")


def test_no_address_is_given_out_of_a_role_that_may_write(
    without_role: None, server: embedded.Server, warehouse: Engine
) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("CREATE ROLE market_analyst LOGIN"))
        connection.execute(text("GRANT INSERT ON splits TO market_analyst"))
    try:
        with pytest.raises(RoleError, match="may write, to splits for one"):
            grant_analyst_access(warehouse)
    finally:
        with administrator(server, str(warehouse.url.database)) as connection:
            forget_role(connection)
