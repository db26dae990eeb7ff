"""`market-pipeline db migrate --dry-run`: it prints the migrations that would run, and runs none."""

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from market_pipeline.cli.main import main
from market_pipeline.warehouse.backup.dump import open_snapshot, read_table_contents
from market_pipeline.warehouse.schema import find_head_revision
from market_pipeline_tests.integration.stored_bars import query


def dry_run(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["db", "migrate", "--dry-run"])
    assert not ended.value.code
    return tuple(capsys.readouterr())  # type: ignore[return-value]


def test_an_up_to_date_database_needs_no_migration(
    warehouse: Engine, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    statements, notes = dry_run(capsys)
    assert statements == ""
    assert f"at revision {find_head_revision()}, this version needs {find_head_revision()}" in notes
    assert "would run" not in notes


def test_the_printed_sql_creates_the_tables_of_an_empty_database_and_printing_it_creates_none(
    warehouse: Engine,
    database_url: SecretStr,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_snapshot(database_url) as migrated:
        tables = set(read_table_contents(migrated.connection)) - {"public.alembic_version"}
    with psycopg.connect(database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public, access CASCADE")
        connection.execute("CREATE SCHEMA public")
        statements, notes = dry_run(capsys)
        assert "would run 0001: The first schema." in notes
        assert notes.index("would run 0001") < notes.index("would run 0002")
        assert query(warehouse, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
        connection.execute(statements.encode())
    with open_snapshot(database_url) as made:
        assert set(read_table_contents(made.connection)) == tables
