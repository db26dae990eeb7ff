"""Upgrade of a warehouse of the first schema: no data is lost, and work goes on."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Engine

from market_pipeline.cli.main import main
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.embedded import Server
from market_pipeline.warehouse.schema import head_revision
from market_pipeline.warehouse.securities import read_securities
from market_pipeline.warehouse.tables import metadata
from market_pipeline.warehouse.tracked_symbols import add_symbols
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


def migrated() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["db", "migrate"])
    assert not ended.value.code


def test_every_row_is_kept_as_it_was_and_the_tables_are_this_versions(old: Engine) -> None:
    known = columns(old)
    before = {table: rows(old, table, names) for table, names in known.items()}
    assert {table: len(found) for table, found in before.items()} == ROWS
    covered = query(old, "SELECT symbol, loaded, failed, rejected, first_session FROM coverage ORDER BY 1")

    migrated()

    after = {table: rows(old, table, names) for table, names in known.items()}
    lost = {table: before[table] - after[table] for table in before}
    assert not any(lost.values()), lost
    assert {table for table in before if after[table] != before[table]} == {"sessions"}, "it reaches to today now"
    assert query(old, "SELECT DISTINCT waited_seconds FROM backfill_history") == [{"waited_seconds": 0.0}]
    assert query(old, "SELECT symbol, loaded, failed, rejected, first_session FROM coverage ORDER BY 1") == covered
    with old.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_dry_run_names_each_step_and_what_it_prints_is_what_is_missing(
    old: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["db", "migrate", "--dry-run"])
    statements, said = capsys.readouterr()
    assert f"at revision 0001, this version needs {head_revision()}" in said
    assert "0001: The first schema" not in said
    assert "would run 0002" in said
    assert "ADD COLUMN waited_seconds" in statements
    assert query(old, "SELECT version_num FROM alembic_version") == [{"version_num": "0001"}]


def test_work_goes_on_where_it_was(old: Engine) -> None:
    migrated()
    with old.begin() as connection:
        connection.exec_driver_sql("UPDATE bar_source SET source = 'polygon'")  # as which the recorded bars are loaded
    more = recorded("AAPL", date(2012, 1, 3), date(2012, 1, 31))
    assert load_frame(old, AAPL, more, run_id="after").loaded == len(more)
    assert query(old, "SELECT loaded FROM coverage WHERE symbol = 'AAPL'") == [{"loaded": 31 + len(more)}]


def test_each_symbol_becomes_a_security_and_a_renamed_one_goes_on(old: Engine) -> None:
    with old.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE tracked_symbols SET delisted_on = '2022-06-08', renamed_to = 'META', listed = false WHERE symbol = "
            "'AAPL'"
        )
    migrated()
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
