"""Users' own servers: the oldest PostgreSQL that is supported, poolers before it, sockets, and several hosts."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from market_pipeline.api.generated.reader import Reader
from market_pipeline.cli.main import main
from market_pipeline.core.settings import Settings
from market_pipeline.orchestration.instance_storage import open_storage
from market_pipeline.warehouse.database import create_warehouse_engine, warehouse_of
from market_pipeline.warehouse.database_errors import UnsupportedDatabaseError
from market_pipeline.warehouse.rate_limit import SharedLimiter
from market_pipeline.warehouse.roles import READER, make_reading_role
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.conftest import keep_manifest
from market_pipeline_tests.dbt_server import run_forked_dbt
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded
from market_pipeline_tests.own_servers import OwnServer, oldest_server, pooler

OWNER, PASSWORD = "trader", "test"
JANUARY = recorded("AAPL", date(2012, 1, 3), date(2012, 1, 31))


@pytest.fixture(scope="module")
def oldest() -> Iterator[OwnServer]:
    """Yield a server whose user `trader` may make roles and databases and has a schema of its name."""
    with oldest_server() as server:
        server.execute(
            f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'",
            f"ALTER ROLE {OWNER} SET default_transaction_isolation = 'repeatable read'",
            f"CREATE DATABASE market OWNER {OWNER}",
        )
        server.execute(f"CREATE SCHEMA {OWNER} AUTHORIZATION {OWNER}", database="market")
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, parsed_project: Path) -> Path:
    """Return the data folder of all, with dbt's manifest for the one database that they lead to."""
    folder = tmp_path_factory.mktemp("data")
    anywhere = SecretStr("postgresql://127.0.0.1/market")
    keep_manifest(Settings(_env_file=None, database_url=anywhere, market_pipeline_data_dir=folder), parsed_project)
    return folder


@pytest.fixture(scope="module", params=["PostgreSQL itself", "pooler", "socket", "several hosts"])
def way(request: pytest.FixtureRequest, oldest: OwnServer, folder: Path) -> Iterator[Settings]:
    """Yield settings that lead to the same database in different ways."""
    who = f"postgresql://{OWNER}:{PASSWORD}@"

    def settings(url: str) -> Settings:
        return Settings(_env_file=None, database_url=SecretStr(url), market_pipeline_data_dir=folder)

    match request.param:
        case "pooler":
            with pooler(oldest, "session", {OWNER: PASSWORD, "postgres": "market"}) as before:
                yield settings(before.url("market", OWNER, PASSWORD).get_secret_value())
        case "socket":
            yield settings(f"{who}/market?host={quote(str(oldest.sockets), safe='')}&port={oldest.port}")
        case "several hosts":
            with closing(socket.create_server(("127.0.0.1", 0))) as closed:
                nobody = closed.getsockname()[1]
            yield settings(f"{who}127.0.0.1:{nobody},127.0.0.1:{oldest.port}/market?target_session_attrs=read-write")
        case _:
            yield settings(f"{who}127.0.0.1:{oldest.port}/market")


def test_loads_reads_and_dagsters_records_work(way: Settings) -> None:
    assert way.database_url is not None
    with warehouse_of(way) as warehouse:
        add_symbols(warehouse, [AAPL])
        load_frame(warehouse, AAPL, JANUARY)
        SharedLimiter(warehouse, 10, window_seconds=1.0).acquire()
        with warehouse.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM public.market_data")) == 20
            assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
        role = make_reading_role(warehouse)
    storage = open_storage(way)
    assert storage.run_storage.get_runs_count() == 0
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part.dispose()
    count = "SELECT count(*)::text || current_user || current_setting('transaction_read_only') FROM market_data"
    assert asyncio.run(read_text(Reader(way.database_url, role), count)) == f"20{READER}on"


async def read_text(reader: Reader, statement: str) -> str:
    await reader.open()
    try:
        [found] = await reader.row(statement)
        return str(found)
    finally:
        await reader.close()


def test_the_doctor_finds_nothing_wrong_with_it(
    way: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    assert way.database_url is not None
    monkeypatch.setenv("DATABASE_URL", way.database_url.get_secret_value())
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(way.market_pipeline_data_dir))
    monkeypatch.setenv("POLYGON_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(SystemExit):
        main(["doctor", "--json"])
    output = capfd.readouterr().out
    findings = {finding["check"]: finding for finding in json.loads(output[output.index("{") :])["findings"]}
    for check in ("database", "PostgreSQL", "pooler", "schema", "API's sessions", "rights", "dbt project"):
        assert findings[check]["level"] == "ok", findings[check]
    assert ("in session mode" in findings["pooler"]["found"]) is ("[pooler]" in request.node.name)
    assert f":{PASSWORD}@" not in output


@pytest.mark.parametrize("way", ["pooler", "socket"], indirect=True)
def test_dbt_connects_with_the_same_settings(way: Settings) -> None:
    query = "SELECT count(*) AS bars, current_setting('transaction_isolation') AS level FROM market_data"
    found = run_forked_dbt(way, "--quiet", "show", "--output", "json", "--inline", query)
    assert json.loads(found)["show"] == [{"bars": 20, "level": "read committed"}]


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_rejected_by_each_consumer_in_one_line(
    mode: str, oldest: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pooler(oldest, mode, {OWNER: PASSWORD, "postgres": "market"}) as before:
        shared, direct = before.url("market", OWNER, PASSWORD), oldest.url("market", OWNER, PASSWORD)
        with pytest.raises(UnsupportedDatabaseError, match=r"pool_mode transaction or statement.*own address"):
            create_warehouse_engine(shared).connect()
        dagsters = before.url("market_dagster", OWNER, PASSWORD)
        separate = Settings(_env_file=None, database_url=direct, dagster_database_url=dagsters)
        with pytest.raises(UnsupportedDatabaseError, match=r"market_dagster.*own address"):
            open_storage(separate)
        monkeypatch.setenv("DATABASE_URL", shared.get_secret_value())
        monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(tmp_path))
        for command in ("backfill --missing", "marts", "api --port 0", "db psql -c nothing"):
            with pytest.raises(SystemExit) as ended:
                main(command.split())
            output = capfd.readouterr().err
            assert (ended.value.code, output.count("\n")) == (1, 1), output
            assert "set pool_mode=session" in output
        with pytest.raises(SystemExit) as ended:
            main(["doctor"])
        assert ended.value.code == 1
        assert "set pool_mode=session" in capfd.readouterr().out


def test_a_server_that_has_never_been_used_may_be_reached_through_a_pooler_too(oldest: OwnServer) -> None:
    oldest.execute(f"CREATE DATABASE unused OWNER {OWNER}")
    with (
        pooler(oldest, "session", {OWNER: PASSWORD}) as before,
        psycopg.connect(before.url("unused", OWNER, PASSWORD).get_secret_value()) as other,
    ):
        other.execute("SELECT 1")  # another client holds the session that would be given out first
        settings = Settings(_env_file=None, database_url=before.url("unused", OWNER, PASSWORD))
        with warehouse_of(settings) as warehouse:
            add_symbols(warehouse, [AAPL])
            assert load_frame(warehouse, AAPL, JANUARY).loaded == 20
