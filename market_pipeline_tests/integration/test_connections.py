"""Settings of every connection where server, database or role differ, and the servers that are rejected."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from market_pipeline.cli.main import main
from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.settings import Settings
from market_pipeline.orchestration.instance_storage import find_dagster_database_url, open_storage
from market_pipeline.warehouse import connections, embedded
from market_pipeline.warehouse.backup.client_programs import build_client_environment
from market_pipeline.warehouse.connections import OLDEST_SERVER, SETTINGS, check_server
from market_pipeline.warehouse.database import create_warehouse_engine, warehouse_of
from market_pipeline.warehouse.database_errors import UnsupportedDatabaseError
from market_pipeline.warehouse.read_only_connections import reading_connection
from market_pipeline.warehouse.roles import READER, make_reading_role
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

CONTRARY = {
    "search_path": "elsewhere",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "30s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
    "idle_session_timeout": "30s",
    "timezone": "Asia/Kolkata",
    "datestyle": "German, DMY",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "transaction_timeout": "30s",
}
"""Settings that an administrator may have given a role for other programs."""


@dataclass(frozen=True)
class Own:
    """A database of a test's own: its address, and an administrator's connection to its server."""

    url: SecretStr
    role: str
    administrator: psycopg.Connection


@pytest.fixture
def own(server: embedded.Server) -> Iterator[Own]:
    """Yield a database whose role may make roles and databases, with contrary settings and a schema of its name."""
    name = f"own_{uuid4().hex}"
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'hunter2'")
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [READER]).fetchone() is not None:
            connection.execute(f"GRANT {READER} TO {name}")  # a role that is there is for an administrator to grant
        connection.execute(f"CREATE DATABASE {name} OWNER {name}")
        url = SecretStr(f"postgresql://{name}:hunter2@{server.host}:{server.port}/{name}")
        with psycopg.connect(url.get_secret_value(), autocommit=True) as owner:
            owner.execute(f"CREATE SCHEMA {name}")
            owner.execute("CREATE SCHEMA elsewhere")
        for setting, value in CONTRARY.items():
            connection.execute(f"ALTER ROLE {name} SET {setting} = '{value}'")
        yield Own(url, name, connection)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute(f"DROP DATABASE IF EXISTS {name}_dagster WITH (FORCE)")
        connection.execute(f"DROP ROLE {name}")


def settings_of(url: SecretStr) -> Settings:
    return Settings(_env_file=None, database_url=url)


def test_settings_of_the_role_change_neither_loads_nor_reads(own: Own) -> None:
    settings = settings_of(own.url)
    with warehouse_of(settings) as warehouse:
        add_symbols(warehouse, [AAPL])
        assert load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 1, 3), date(2012, 1, 31))).loaded == 20
        with warehouse.connect() as connection:
            for name, value in (*SETTINGS.items(), ("client_encoding", "UTF8"), ("transaction_timeout", "0")):
                assert connection.scalar(text(f"SHOW {name}")) == value, name
            assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
            schemas = text("SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname !~ '^(pg_|information)'")
            assert set(connection.scalars(schemas)) == {"public", "access"}
        with warehouse.connect() as connection:  # a pooled one, used for something else in between
            connection.execution_options(isolation_level="REPEATABLE READ").execute(text("SELECT 1"))
        with warehouse.connect() as connection:
            assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
        role = make_reading_role(warehouse)
    with reading_connection(DatabaseAddress.parse(own.url), role, 15.0) as reader:
        names = ("search_path", "transaction_read_only", "transaction_isolation", "statement_timeout", "timezone")
        found = [reader.execute(f"SHOW {name}").fetchone() for name in names]
        assert found == [("public",), ("on",), ("repeatable read",), ("15s",), ("UTC",)]
        assert reader.execute("SELECT count(*), current_user::text FROM market_data").fetchone() == (20, READER)


def test_settings_of_the_role_do_not_change_dagsters_connections(own: Own) -> None:
    storage = open_storage(settings_of(own.url))
    assert storage.run_storage.get_runs_count() == 0
    with storage.event_log_storage.index_connection() as connection:
        for name, value in SETTINGS.items():
            assert connection.scalar(text(f"SHOW {name}")) == value, name
        schemas = text("SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname !~ '^(pg_|information)'")
        assert connection.scalars(schemas).all() == ["public"]
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part.dispose()


def test_psql_finds_the_tables_whatever_the_role_is_set_to(own: Own, environment: dict[str, str]) -> None:
    with warehouse_of(settings_of(own.url)):
        pass
    command: list[str | Path] = [Path(sys.executable).with_name("market-pipeline"), "db", "psql", "-Atc"]
    given = {**environment, "DATABASE_URL": own.url.get_secret_value()}
    output = subprocess.run(
        [*command, "SELECT count(*) FROM market_data"],
        env=given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert output.stdout == "0\n"


def test_constraints_that_are_turned_off_are_rejected(own: Own) -> None:
    own.administrator.execute(f"ALTER ROLE {own.role} SET session_replication_role = 'replica'")
    with pytest.raises(UnsupportedDatabaseError, match=r"foreign keys off: .* RESET session_replication_role"):
        create_warehouse_engine(own.url).connect()


@pytest.mark.parametrize(("number", "rejected"), [(90_624, True), (140_019, True), (150_000, False), (180_004, False)])
def test_a_server_older_than_the_oldest_supported_is_rejected(number: int, rejected: bool) -> None:
    address = DatabaseAddress.parse(SecretStr("postgresql://user:hunter2@db/market"))
    if not rejected:
        check_server(address, number, "UTF8")
        return
    with pytest.raises(
        UnsupportedDatabaseError, match=rf"PostgreSQL {number // 10_000}, and 15 is the oldest"
    ) as caught:
        check_server(address, number, "UTF8")
    assert "hunter2" not in str(caught.value)


COMMANDS = [
    "symbols list", "symbols init", "coverage", "gaps", "backfill --dry-run", "marts", "dbt debug", "api --port 0",
    "export --symbols AAPL --output bars.csv", "keys list", "db migrate", "db migrate --dry-run", "db status",
    "db analysts", "db psql -c nothing", "db prune", "db reflag", "backup",
]  # fmt: skip


@pytest.mark.parametrize("reason", ["version", "encoding"])
def test_every_command_rejects_an_unsupported_server_in_one_line(
    reason: str,
    environment: dict[str, str],
    server: embedded.Server,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    expected = {"version": "18, and 19 is the oldest that is used: upgrade", "encoding": "SQL_ASCII, which doesn't"}
    if reason == "version":  # no such server is installed
        monkeypatch.setattr(connections, "OLDEST_SERVER", 19)
    else:
        name = f"ascii_{uuid4().hex}"
        with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        monkeypatch.setenv("DATABASE_URL", server.url(name).get_secret_value())
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        output = capfd.readouterr().err
        assert (ended.value.code, output.count("\n")) == (1, 1), (command, output)
        assert expected[reason] in output, command
    for command in ("doctor", "status"):
        with pytest.raises(SystemExit) as ended:
            main([command])
        output = capfd.readouterr().out
        assert ended.value.code == 1
        assert expected[reason] in output, command
    if reason == "encoding":
        with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_dagsters_own_database_is_made_in_utf8_and_rejected_in_another_encoding(
    server: embedded.Server, database_url: SecretStr
) -> None:
    settings = settings_of(database_url)
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        name = DatabaseAddress.parse(find_dagster_database_url(settings)).database
        connection.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(UnsupportedDatabaseError, match=f"{name} has the encoding SQL_ASCII"):
            open_storage(settings)
        connection.execute(f"DROP DATABASE {name}")
        open_storage(settings)
        encoding = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = %s"
        assert connection.execute(encoding, [name]).fetchone() == ("UTF8",)


def test_programs_use_the_environments_password_where_the_address_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    monkeypatch.setenv("PGHOST", "elsewhere")
    with_one = build_client_environment(SecretStr("postgresql://ann:own%3A@db:6543/market?options=-c%20a%3Db"))
    assert (with_one["PGPASSWORD"], with_one["PGPORT"], with_one["PGOPTIONS"]) == ("own:", "6543", "-c a=b")
    without = build_client_environment(SecretStr("postgresql:///market?host=/a,/b&port=1,2"), {"search_path": "public"})
    assert (without["PGPASSWORD"], without["PGHOST"], without["PGPORT"]) == ("of the environment", "/a,/b", "1,2")
    assert without["PGOPTIONS"] == "-c search_path=public"


def test_the_documentation_names_the_oldest_server() -> None:
    page = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"| PostgreSQL {OLDEST_SERVER} | the oldest supported" in page
    assert f"| PostgreSQL {OLDEST_SERVER - 1} and older | rejected" in page
