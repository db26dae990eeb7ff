"""`db migrate` and `db prune` killed in their transaction: nothing is half done, and the next call completes it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alembic.command
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, text

from market_pipeline.core.settings import Settings
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse.schema import build_alembic_config, find_head_revision, read_revision
from market_pipeline_tests.dagster_storage.event_log_cases import FIRST_RUN, SECOND_RUN, run_range
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.forked_commands import ForkedCommand, run_forked

SECONDS = 300
BEFORE = "0003"
WAITING = text(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
    "AND pid <> pg_backend_pid()"
)


@contextmanager
def killed_while_it_waits_for(engine: Engine, table: str, environment: dict[str, str], *words: str) -> Iterator[None]:
    """Kill a command at a locked table, in the middle of its transaction, before the block runs."""
    with engine.connect() as holder:
        holder.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        nowhere = Path(os.devnull)
        command = ForkedCommand(words, environment, CHECKOUT, out=nowhere, err=nowhere)
        try:
            until_waiting(engine, command)
        finally:
            command.kill()
    with engine.connect() as connection:  # the server notices that the client is gone once it has the lock
        end = time.monotonic() + SECONDS
        others = text(
            "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE relname = :table "
            "AND pid <> pg_backend_pid()"
        )
        while connection.scalar(others, {"table": table}):
            assert time.monotonic() < end
            time.sleep(0.05)
    yield


def until_waiting(engine: Engine, command: ForkedCommand) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with engine.connect() as connection:
            if connection.execute(WAITING).first() is not None:
                return
        assert command.poll() is None
        time.sleep(0.05)
    raise AssertionError("the command never waited for the lock")


def test_a_killed_migration_changes_nothing_and_the_next_is_complete(
    warehouse: Engine, environment: dict[str, str]
) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("DROP SCHEMA public, access CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        config = build_alembic_config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, BEFORE)
        views = "SELECT count(*) FROM pg_views WHERE schemaname = 'public'"
        before = connection.scalar(text(views))
    with (
        killed_while_it_waits_for(warehouse, "request_slots", environment, "db", "migrate"),
        warehouse.connect() as connection,
    ):
        assert read_revision(connection) == BEFORE
        assert connection.scalar(text(views)) == before
    done = run_forked(("db", "migrate"), environment, CHECKOUT, SECONDS)
    assert done.returncode == 0, done.stderr
    with warehouse.connect() as connection:
        assert read_revision(connection) == find_head_revision()
        assert connection.scalar(text("SELECT count(taken_at) FROM request_slots")) == 0


@pytest.fixture
def records(database_url: SecretStr) -> Iterator[Engine]:
    """Dagster's database."""
    engine = create_engine(
        database_url.get_secret_value().replace("postgresql://", "postgresql+psycopg://") + "_dagster"
    )
    yield engine
    engine.dispose()


COUNTS = "SELECT (SELECT count(*) FROM event_logs), (SELECT count(*) FROM asset_event_tags)"
LOST = "SELECT count(*) FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)"


def test_a_killed_prune_has_deleted_no_event_without_its_tags_and_the_next_does_the_rest(
    settings: Settings, environment: dict[str, str], records: Engine
) -> None:
    with open_instance(settings) as instance:
        for run_id in (FIRST_RUN, SECOND_RUN):
            assert run_range(instance, run_id, "2024-01-01", "2024-01-05")
    with records.begin() as connection:
        connection.execute(text("UPDATE event_logs SET timestamp = timestamp - interval '40 days'"))
        before = connection.execute(text(COUNTS)).one()
    with killed_while_it_waits_for(records, "asset_event_tags", environment, "db", "prune"), records.connect() as now:
        assert now.execute(text(COUNTS)).one() == before
    done = run_forked(("db", "prune"), environment, CHECKOUT, SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("deleted 30 events"), "3 assets on 5 days, planned and done"
    with records.connect() as now:
        assert now.scalar(text(LOST)) == 0
