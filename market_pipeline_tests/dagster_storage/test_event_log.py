"""The bulk event log records what the shipped one records, entirely or not at all, over lost connections too."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInvariantViolationError
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from market_pipeline.dagster_storage import event_log
from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.partition_events import limit_to_partition
from market_pipeline_tests.dagster_storage.event_log_cases import (
    FIRST_RUN,
    REJECT_BATCHES,
    WHOLE_TABLES,
    bulk_storage,
    check_result,
    materialized,
    observed,
    open_instance,
    planned,
    planned_check,
    planned_for,
    rows,
    run_range,
    with_metadata,
)


def test_a_batch_of_all_kinds_and_assets_is_stored_as_if_written_one_by_one(new_database: Any) -> None:
    ours, shipped = BulkPostgresEventLogStorage(new_database()), PostgresEventLogStorage(new_database())
    for run_id in ("first", "second"):
        events = [
            planned("B", "2024-01-01", run_id),
            planned("A", "2024-01-01", run_id),
            planned_check("A", run_id),
            planned_check("B", run_id),
            materialized("A", "2024-01-01", run_id),
            observed("C", "2024-01-01", run_id),
            materialized("A", "2024-01-02", "another"),
            planned("A", "2024-01-03", "a third"),
            materialized("B", "2024-01-01", run_id),
            observed("B", "2024-01-01", run_id),
        ]
        ours.store_event_batch(events)
        for event in events:
            shipped.store_event(event)
    check_same_rows(ours, shipped)
    ours.dispose()


@pytest.mark.parametrize("few", [2, 20], ids=["rows made by PostgreSQL", "rows made here"])
def test_events_written_for_all_partitions_at_once_equal_those_written_one_by_one(
    new_database: Any, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "FEW_PARTITIONS", few)
    ours, shipped = BulkPostgresEventLogStorage(new_database()), PostgresEventLogStorage(new_database())
    days = ["2024-01-01", "2024-01-02", "2024-01-04"]
    plans = [planned_for(asset, days) for asset in ("A", 'B "quoted" \\')]
    bars = materialized('B "quoted" \\', "2024-01-04")
    last = with_metadata(bars, {"rows": 3})

    check = planned_check("A")
    ours.store_event_batch([plans[0], check, plans[1]])
    ours.store_materializations([([(bars, days[:-1])], last)])

    of_each = [limit_to_partition(plan, day) for plan in plans for day in days]
    for event in [
        *of_each[:3],
        check,
        *of_each[3:],
        *(limit_to_partition(bars, day) for day in days[:-1]),
        last,
    ]:
        shipped.store_event(event)
    check_same_rows(ours, shipped)
    ours.dispose()


def test_checks_of_partitions_are_stored_as_if_written_one_by_one(new_database: Any) -> None:
    ours, shipped = BulkPostgresEventLogStorage(new_database()), PostgresEventLogStorage(new_database())
    days = ["2024-01-01", "2024-01-02", "2024-01-04"]
    events = [
        planned_check("A", partitions=days),
        planned_check("B"),
        check_result("A", partition=days[2], passed=False, of_event=7),
        check_result("A", partition=days[0]),
        check_result("A", partition="2024-01-31"),  # of a partition that was not planned
        check_result("A"),  # of the whole asset, planned by partition
        check_result("B", passed=False),
        check_result("B"),  # evaluated again
        check_result("C", run_id=""),  # outside of any run, twice
        check_result("C", run_id=""),
    ]
    ours.store_event_batch(events)
    for event in events:
        shipped.store_event(event)
    checks = "SELECT * FROM asset_check_executions"
    assert len(rows(ours.postgres_url, checks)) == 8
    check_same_rows(ours, shipped)
    ours.dispose()


def test_a_check_that_is_declared_for_the_whole_asset_has_one_row_a_run(url: str) -> None:
    class Whole(BulkPostgresEventLogStorage):
        def checks_whole_asset(self, check_name: str) -> bool:
            return check_name == "sane"

    storage = Whole(url)
    storage.store_event_batch([planned_check("A", partitions=["2024-01-01", "2024-01-02"]), planned_check("B")])
    storage.store_event_batch([check_result("A")])
    found = rows(url, "SELECT asset_key, partition, execution_status FROM asset_check_executions ORDER BY asset_key")
    assert found == [('["A"]', None, "SUCCEEDED"), ('["B"]', None, "PLANNED")]
    storage.dispose()


def test_partitions_planned_and_not_materialized_since_are_listed(
    storage: BulkPostgresEventLogStorage,
) -> None:
    for run_id in ("run", "another"):
        storage.store_event_batch([planned_for("A", ["2024-01-01", "2024-01-02", "2024-01-04"], run_id)])
    first = (materialized("A", "2024-01-01", "another"), ["2024-01-01"])
    storage.store_materializations([([first], materialized("A", "2024-01-04", "another"))])
    attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(AssetKey("A"))
    assert {partition: run_id for partition, (run_id, _) in attempts.items()} == {"2024-01-02": "another"}


def test_a_check_that_was_planned_twice_takes_no_result(storage: BulkPostgresEventLogStorage, url: str) -> None:
    storage.store_event_batch([planned_check("A"), planned_check("A")])
    with pytest.raises(DagsterInvariantViolationError, match="Updated 2 rows for asset check evaluation"):
        storage.store_event(check_result("A"))
    assert rows(url, "SELECT DISTINCT execution_status FROM asset_check_executions") == [("PLANNED",)]


def test_an_asset_that_is_planned_for_no_partition_leaves_nothing(
    storage: BulkPostgresEventLogStorage, url: str
) -> None:
    storage.store_event_batch([planned_for("A", [])])
    for query in WHOLE_TABLES:
        assert rows(url, query) == []


def test_a_batch_that_fails_halfway_leaves_nothing(storage: BulkPostgresEventLogStorage, url: str) -> None:
    with storage.index_connection() as connection:
        connection.execute(text(REJECT_BATCHES))
    with pytest.raises(DBAPIError, match="not more than one at a time"):
        storage.store_event_batch([materialized("A", "2024-01-01"), materialized("B", "2024-01-01")])
    for query in WHOLE_TABLES:
        assert rows(url, query) == []


def test_after_a_failed_batch_dagsters_one_by_one_writing_doubles_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with open_instance(tmp_path, bulk_storage(url)) as instance:
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            connection.execute(text(REJECT_BATCHES))
        assert run_range(instance, FIRST_RUN, "2024-01-01", "2024-01-04")
    assert "Falling back to storing" in capfd.readouterr().err
    counts = """SELECT dagster_event_type, asset_key, partition, count(*) FROM event_logs WHERE partition IS NOT NULL
    GROUP BY 1, 2, 3"""
    assert [count for *_, count in rows(url, counts)] == [1] * (2 * 3 * 4)


def test_batches_over_the_same_assets_in_opposite_order_do_not_lock_each_other_out(url: str) -> None:
    assets = ["A", "B", "C", "D", "E"]
    storages = {run_id: BulkPostgresEventLogStorage(url) for run_id in ("up", "down")}
    storages["up"].store_event_batch([planned(asset, "2024-01-01", "before") for asset in assets])

    def write(run_id: str) -> None:
        order = assets if run_id == "up" else assets[::-1]
        storages[run_id].store_event_batch([planned(asset, "2024-01-02", run_id) for asset in order])

    # Both come as far as the asset in the middle, and hold on to what they have locked so far.
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with storages["up"].index_transaction() as connection, ThreadPoolExecutor() as pool:
        connection.execute(text("""SELECT * FROM asset_keys WHERE asset_key = '["C"]' FOR UPDATE"""))
        writing = [pool.submit(write, run_id) for run_id in storages]
        assert wait_for(lambda: rows(url, waiting) == [(2,)])
        connection.rollback()
        for done in writing:
            done.result()
    written = "SELECT run_id, count(*) FROM event_logs GROUP BY 1 ORDER BY 1"
    assert rows(url, written) == [("before", 5), ("down", 5), ("up", 5)]
    for storage in storages.values():
        storage.dispose()


@pytest.mark.parametrize("webserver", [False, True])
def test_a_connection_lost_between_batches_is_replaced(
    storage: BulkPostgresEventLogStorage, url: str, webserver: bool
) -> None:
    if webserver:
        storage.optimize_for_webserver(statement_timeout=12_345, pool_recycle=60, max_overflow=3)
    storage.store_event_batch([planned("A", "2024-01-01"), planned("B", "2024-01-01")])
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert all(ended for (ended,) in rows(url, f"SELECT pg_terminate_backend(pid, 10000) {others}"))
    assert rows(url, f"SELECT count(*) {others}") == [(0,)]
    storage.store_event_batch([planned("A", "2024-01-02"), planned("B", "2024-01-02")])
    assert rows(url, "SELECT count(*) FROM event_logs") == [(4,)]
    with storage.index_connection() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == ("12345ms" if webserver else "0")


def test_two_connections_are_kept_at_most_however_much_is_written_and_none_after_dispose(
    storage: BulkPostgresEventLogStorage, url: str
) -> None:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(storage.store_event, [materialized("A", f"2024-01-{day:02}") for day in range(1, 31)]))
    assert wait_for(lambda: rows(url, others) == [(2,)])
    storage.dispose()
    assert wait_for(lambda: rows(url, others) == [(0,)])


def test_an_event_of_another_kind_is_rejected_in_a_batch(storage: BulkPostgresEventLogStorage) -> None:
    event = materialized("A", "2024-01-01")
    other = event._replace(dagster_event=event.get_dagster_event()._replace(event_type_value="STEP_START"))
    with pytest.raises(ValueError, match="STEP_START"):
        storage.store_event_batch([event, other])


def check_same_rows(ours: PostgresEventLogStorage, shipped: PostgresEventLogStorage) -> None:
    for query in WHOLE_TABLES:
        assert rows(ours.postgres_url, query) == rows(shipped.postgres_url, query)
    assert rows(ours.postgres_url, WHOLE_TABLES[0])


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Return True once the condition holds: a server takes a moment to notice that a connection was closed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True
