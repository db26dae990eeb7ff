"""Upgrade of a warehouse of the first schema: no data is lost, and loads continue."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Engine, text

from market_pipeline.cli.main import main
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import SchemaError
from market_pipeline.warehouse.embedded import Server
from market_pipeline.warehouse.migrations.bar_conversion import convert_ahead
from market_pipeline.warehouse.schema import BEFORE_CONVERSION, find_head_revision, run_migrations
from market_pipeline.warehouse.securities import read_securities
from market_pipeline.warehouse.tables import metadata
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline.warehouse.upgrade import upgrade
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded

FIRST = Path(__file__).parents[1] / "data" / "first_schema.sql"
ROWS = {
    "backfill_history": 7, "bar_source": 1, "corporate_action_inquiries": 4, "market_data": 108,
    "market_data_revisions": 3, "rejected_bars": 3, "sessions": 305, "splits": 3, "tracked_symbols": 3,
}  # fmt: skip
"""The rows of the dump."""


@pytest.fixture
def old(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    name = f"test_{uuid4().hex}"
    url = server.url(name).get_secret_value()
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        with psycopg.connect(url) as filling:
            filling.execute("DROP SCHEMA public")
            filling.execute(FIRST.read_bytes())
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(tmp_path))
        engine = create_warehouse_engine(SecretStr(url))
        yield engine
        engine.dispose()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def columns(warehouse: Engine) -> dict[str, list[str]]:
    """Return the columns of each table with rows."""
    found: dict[str, list[str]] = {}
    for row in query(
        warehouse,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
    ):
        if row["table_name"] in ROWS:
            found.setdefault(row["table_name"], []).append(row["column_name"])
    return found


def rows(warehouse: Engine, table: str, names: list[str]) -> set[str]:
    """Return each row's text, of these columns."""
    listed = ", ".join(f'"{name}"' for name in names)
    return {row["row"] for row in query(warehouse, f"SELECT ROW({listed})::text AS row FROM {table}")}


def migrate_by_command() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["db", "migrate"])
    assert not ended.value.code


def test_every_row_is_kept_as_it_was_and_the_tables_are_this_versions(old: Engine) -> None:
    known = columns(old)
    before = {table: rows(old, table, names) for table, names in known.items()}
    assert {table: len(found) for table, found in before.items()} == ROWS
    covered = query(old, "SELECT symbol, loaded, failed, rejected, first_session FROM coverage ORDER BY 1")

    migrate_by_command()

    after = {table: rows(old, table, names) for table, names in known.items()}
    lost = {table: before[table] - after[table] for table in before}
    assert not any(lost.values()), lost
    assert {table for table in before if after[table] != before[table]} == {"sessions"}, "it reaches to today now"
    assert query(old, "SELECT DISTINCT waited_seconds FROM backfill_history") == [{"waited_seconds": 0.0}]
    assert query(old, "SELECT symbol, loaded, failed, rejected, first_session FROM coverage ORDER BY 1") == covered
    with old.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_dry_run_prints_the_missing_steps(old: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["db", "migrate", "--dry-run"])
    statements, notes = capsys.readouterr()
    assert f"at revision 0001, this version needs {find_head_revision()}" in notes
    assert "0001: The first schema" not in notes
    assert "would run 0002" in notes
    assert "ADD COLUMN waited_seconds" in statements
    assert query(old, "SELECT version_num FROM alembic_version") == [{"version_num": "0001"}]


def test_loads_continue_after_the_upgrade(old: Engine) -> None:
    migrate_by_command()
    with old.begin() as connection:
        connection.exec_driver_sql("UPDATE bar_source SET source = 'polygon'")  # as which the recorded bars are loaded
    more = recorded("AAPL", date(2012, 1, 3), date(2012, 1, 31))
    assert load_frame(old, AAPL, more, run_id="after").loaded == len(more)
    assert query(old, "SELECT loaded FROM coverage WHERE symbol = 'AAPL'") == [{"loaded": 31 + len(more)}]


def migrate_to(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        run_migrations(connection, revision)


def test_versions_that_a_clock_set_back_had_put_in_the_wrong_order_follow_each_other(old: Engine) -> None:
    migrate_to(old, BEFORE_CONVERSION)
    [bar] = query(old, "SELECT symbol, date, fetched_at FROM market_data WHERE symbol = 'AAPL' ORDER BY date LIMIT 1")
    names = "symbol, date, time, open, high, low, close, volume, source, run_id, fetched_at, replaced_at"
    with old.begin() as connection:  # each began after it was replaced
        connection.execute(
            text(
                f"INSERT INTO market_data_revisions ({names}, replaced_by_run_id) "
                "SELECT symbol, date, time, open, high, low, close + n, "
                "volume, source, 'run-' || n, fetched_at + n * interval '1 hour', fetched_at, run_id "
                "FROM market_data CROSS JOIN generate_series(1, 2) AS n WHERE (symbol, date) = (:symbol, :date)"
            ),
            {"symbol": bar["symbol"], "date": bar["date"]},
        )
    migrate_by_command()
    versions = query(
        old,
        "SELECT fetched_at, replaced_at FROM market_data_revisions WHERE (symbol, date) = (:symbol, :date) ORDER BY id",
        symbol=bar["symbol"], date=bar["date"],
    )  # fmt: skip
    begun = [row["fetched_at"] for row in versions] + [bar["fetched_at"]]
    assert begun == sorted(set(begun))
    assert [row["replaced_at"] for row in versions] == begun[1:]
    for instant in begun:
        held = "SELECT count(*) AS bars FROM market_data_as_of(:at) WHERE (symbol, date) = (:symbol, :date)"
        assert query(old, held, at=instant, symbol=bar["symbol"], date=bar["date"]) == [{"bars": 1}]


def test_an_interrupted_conversion_is_resumed_and_finds_what_was_loaded_since(old: Engine) -> None:
    migrate_to(old, BEFORE_CONVERSION)
    convert_ahead(old, lambda _message: None)
    with old.begin() as connection:  # a load of the version before; and a symbol whose conversion was not reached
        connection.exec_driver_sql(
            "UPDATE market_data SET close = close + 1, fetched_at = now(), updated_at = now() WHERE symbol = 'AAPL'"
        )
        connection.exec_driver_sql("DELETE FROM converted_symbols WHERE symbol <> 'AAPL'")
        connection.exec_driver_sql(
            "DELETE FROM bars WHERE symbol_id IN (SELECT id FROM tracked_symbols WHERE symbol <> 'AAPL')"
        )
    known = columns(old)["market_data"]
    before = rows(old, "market_data", known)
    migrate_by_command()
    assert rows(old, "market_data", known) == before


def test_views_of_others_their_rights_and_comments_are_kept(old: Engine) -> None:
    migrate_to(old, BEFORE_CONVERSION)
    role = f"reader_{uuid4().hex[:8]}"
    with old.begin() as connection:
        for statement in (
            f"CREATE ROLE {role}",
            "CREATE SCHEMA mine",
            "CREATE VIEW mine.highest AS SELECT symbol, max(close) AS close FROM market_data GROUP BY symbol",
            "CREATE MATERIALIZED VIEW mine.ranks AS SELECT symbol, rank() OVER (ORDER BY close) FROM mine.highest",
            "CREATE UNIQUE INDEX ranks_key ON mine.ranks (symbol)",
            "COMMENT ON COLUMN mine.highest.close IS 'The highest ever.'",
            f"GRANT SELECT ON mine.highest, market_data TO {role}",
        ):
            connection.exec_driver_sql(statement)
    before = [query(old, f"SELECT * FROM mine.{name} ORDER BY 1") for name in ("highest", "ranks")]
    migrate_by_command()
    assert [query(old, f"SELECT * FROM mine.{name} ORDER BY 1") for name in ("highest", "ranks")] == before
    [kept] = query(
        old,
        "SELECT col_description('mine.highest'::regclass, 2) AS comment, "
        "to_regclass('mine.ranks_key') IS NOT NULL AS key, "
        f"has_table_privilege('{role}', 'mine.highest', 'SELECT') "
        f"AND has_table_privilege('{role}', 'market_data', 'SELECT') AS readable",
    )
    assert kept == {"comment": "The highest ever.", "key": True, "readable": True}
    with old.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")


def test_a_disk_without_room_for_the_conversion_is_reported_before_anything_changes(
    old: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(total=100, used=99, free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    embedded_one = settings.model_copy(update={"database_url": None})
    with pytest.raises(
        SchemaError, match=r"needs 0.0 GB of free space, .*: free some, then run `market-pipeline db mig"
    ):
        upgrade(old, embedded_one)
    assert query(old, "SELECT version_num FROM alembic_version") == [{"version_num": "0001"}]


def test_each_symbol_becomes_a_security_and_a_renamed_one_continues(old: Engine) -> None:
    with old.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE tracked_symbols SET delisted_on = '2022-06-08', renamed_to = 'META', listed = false WHERE symbol = "
            "'AAPL'"
        )
    migrate_by_command()
    tracked = query(old, "SELECT symbol, delisted_on, renamed_to, security_id FROM tracked_symbols ORDER BY 1")
    assert {(row["delisted_on"], row["renamed_to"]) for row in tracked} == {(None, None)}
    records = read_securities(old, [AAPL])
    assert records[AAPL].history == TickerHistory.assume(AAPL)
    assert records[AAPL].checked_at is None  # so that the next run looks it up
    assert len({row["security_id"] for row in tracked}) == len(tracked)
    added = Symbol.of("NVDA", "stock")
    add_symbols(old, [added])  # gets an id that no other has
    [new] = query(old, "SELECT security_id FROM tracked_symbols WHERE symbol = 'NVDA'")
    assert new["security_id"] not in {row["security_id"] for row in tracked}
