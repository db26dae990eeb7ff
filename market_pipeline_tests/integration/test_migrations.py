"""Migrations: a migrated database is equal to the declarations in tables.py."""

from collections.abc import Iterable
from datetime import date

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Engine, text

from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.api_keys import access_metadata
from market_pipeline.warehouse.database import create_warehouse_engine, open_warehouse
from market_pipeline.warehouse.database_errors import DatabaseUnavailableError, SchemaError
from market_pipeline.warehouse.embedded import Server
from market_pipeline.warehouse.schema import (
    build_alembic_config,
    find_head_revision,
    list_revisions,
    migrate,
    read_revision,
)
from market_pipeline.warehouse.tables import metadata
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded


def test_the_migrated_database_equals_the_declared_tables(warehouse: Engine) -> None:
    with warehouse.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        of_access = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == "access",
        }
        context = MigrationContext.configure(connection, opts={**options, **of_access})
        assert compare_metadata(context, access_metadata) == []


def test_check_constraints_are_those_declared(warehouse: Engine) -> None:
    tables = [*metadata.tables.values(), *access_metadata.tables.values()]
    declared = {c.name for table in tables for c in table.constraints if "check" in str(c.name)}
    with warehouse.connect() as connection:
        found: Iterable[str] = connection.execute(
            text("SELECT conname FROM pg_constraint WHERE contype = 'c'")
        ).scalars()
        held = {name for name in found if not name.startswith(("cardinal", "yes_or_no"))}
    assert {str(name) for name in declared} == held


def test_every_table_and_column_has_its_comment_in_the_database(warehouse: Engine) -> None:
    assert all(table.comment for table in metadata.tables.values())
    assert all(column.comment for table in metadata.tables.values() for column in table.columns)
    query = text("SELECT obj_description('market_data'::regclass), col_description('market_data'::regclass, 2)")
    with warehouse.connect() as connection:
        table_comment, date_comment = map(str, connection.execute(query).one())
    assert table_comment.startswith("Daily bars as traded")
    assert date_comment.startswith("The session")


def test_migrating_writes_the_declared_comments_over_older_ones(warehouse: Engine) -> None:
    query = text("SELECT obj_description('market_data'::regclass), obj_description('access.api_keys'::regclass)")
    with warehouse.begin() as connection:
        declared = connection.execute(query).one()
        connection.execute(text("COMMENT ON VIEW market_data IS 'old words'"))
        connection.execute(text("COMMENT ON TABLE access.api_keys IS NULL"))
    migrate(warehouse)
    with warehouse.connect() as connection:
        assert connection.execute(query).one() == declared


def test_a_column_added_to_bars_is_kept_with_their_earlier_versions(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 1, 3), date(2012, 1, 3)))
    with warehouse.begin() as connection:
        for table in ("bars", "bars_revisions"):
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN twap double precision")
        connection.exec_driver_sql("DROP FUNCTION bars_around(timestamptz) CASCADE")
    migrate(warehouse)
    for value in (477.25, 478.5):
        with warehouse.begin() as connection:
            connection.exec_driver_sql(f"UPDATE bars SET twap = {value}")
    versions = query(warehouse, "SELECT twap, replaced_by - load_id AS loads FROM bars_revisions ORDER BY load_id")
    assert versions == [{"twap": None, "loads": 1}, {"twap": 477.25, "loads": 1}]


def test_the_known_revisions_are_those_that_the_migrations_make_one_after_the_other() -> None:
    made = [script.revision for script in ScriptDirectory.from_config(build_alembic_config()).walk_revisions()]
    assert list_revisions() == made[::-1]


def test_migrating_again_changes_nothing(warehouse: Engine) -> None:
    assert migrate(warehouse) == find_head_revision()


def test_a_new_database_gets_the_schema_on_opening(server: Server, database_url: SecretStr, settings: Settings) -> None:
    engine = create_warehouse_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public, access CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    opened = open_warehouse(settings)
    with opened.connect() as connection:
        assert read_revision(connection) == find_head_revision()
    opened.dispose()


def test_a_database_at_a_revision_that_is_not_known_is_left_alone(warehouse: Engine, settings: Settings) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(SchemaError, match="0000, which this version doesn't know"):
        open_warehouse(settings)


def test_a_database_that_is_down_is_one_clear_line_without_the_password(settings: Settings) -> None:
    down = settings.model_copy(update={"database_url": SecretStr("postgresql://user:hunter2@127.0.0.1:1/nowhere")})
    with pytest.raises(DatabaseUnavailableError) as caught:
        open_warehouse(down)
    assert "127.0.0.1:1/nowhere" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_is_one_clear_line_without_it(server: Server, settings: Settings) -> None:
    address = f"postgresql://{server.user}:hunter2@{server.host}:{server.port}/market_data"
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed") as caught:
        open_warehouse(settings.model_copy(update={"database_url": SecretStr(address)}))
    assert "hunter2" not in str(caught.value)
