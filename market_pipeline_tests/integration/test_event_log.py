"""The bulk event log records what the shipped one records, as a whole or not at all, and outlives its connections."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.partition_events import of_partition
from market_pipeline.warehouse import embedded
from market_pipeline_tests.integration.event_log_cases import (
    FIRST_RUN,
    KILLED,
    REFUSE_BATCHES,
    SECOND_RUN,
    THIRD_RUN,
    WHOLE_TABLES,
    WITHOUT_TIMES_AND_IDS,
    ask_the_ui,
    materialized,
    observed,
    open_instance,
    planned,
    planned_check,
    planned_for,
    rows,
    run_and_die,
    run_range,
    with_metadata,
)


@pytest.fixture(scope="module")
def new_database(server: embedded.Server) -> Iterator[Any]:
    """Makes an empty database and returns its address for Dagster."""
    made: list[str] = []
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:

        def make() -> str:
            made.append(f"dagster_{uuid4().hex}")
            connection.execute(f"CREATE DATABASE {made[-1]}")
            return server.url(made[-1]).get_secret_value().replace("postgresql://", "postgresql+psycopg2://")

        yield make
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def url(new_database: Any) -> str:
    return str(new_database())


@pytest.fixture
def storage(url: str) -> Iterator[BulkPostgresEventLogStorage]:
    opened = BulkPostgresEventLogStorage(url)
    yield opened
    opened.dispose()


@dataclass(frozen=True)
class Recorded:
    """What three range runs left behind: one that succeeded, one that failed an asset, one that was killed midway."""

    rows: dict[str, list[tuple[Any, ...]]]
    while_it_seems_to_run: dict[str, Any]
    once_it_is_given_up: dict[str, Any]


@pytest.fixture(scope="module")
def ours(new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    custom = {
        "module": "market_pipeline.orchestration.instance_storage",
        "class": "MarketPipelineStorage",
        "config": {},
    }
    with pytest.MonkeyPatch.context() as environment:
        url = new_database()
        environment.setenv("DAGSTER_DATABASE_URL", url)
        environment.setenv("DAGSTER_EVENT_BATCH_SIZE", "3")  # so that plans and assets end in the middle of one
        return record(tmp_path_factory.mktemp("ours"), {"custom": custom}, url)


@pytest.fixture(scope="module")
def shipped(new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_EVENT_BATCH_SIZE", "0")
        url = new_database()
        return record(tmp_path_factory.mktemp("shipped"), {"postgres": {"postgres_url": url}}, url)


def record(home: Path, storage: dict[str, Any], url: str) -> Recorded:
    with open_instance(home, storage) as instance:
        assert run_range(instance, FIRST_RUN, "2024-01-01", "2024-01-04")
        assert not run_range(instance, SECOND_RUN, "2024-01-04", "2024-01-07", fails="MSFT")
        span = ("2024-01-08", "2024-01-09")
        process = multiprocessing.get_context("spawn").Process(
            target=run_and_die, args=(home, storage, THIRD_RUN, *span)
        )
        process.start()
        process.join()
        assert process.exitcode == KILLED
        during = ask_the_ui(instance)
        killed = instance.get_run_by_id(THIRD_RUN)
        assert killed is not None
        instance.report_run_failed(killed)
        return Recorded(
            {name: rows(url, query) for name, query in WITHOUT_TIMES_AND_IDS.items()}, during, ask_the_ui(instance)
        )


def test_a_run_a_failed_run_and_a_killed_run_leave_the_rows_that_the_shipped_log_has(
    ours: Recorded, shipped: Recorded
) -> None:
    for table in ("events", "assets", "tags"):
        assert shipped.rows[table], table
        assert ours.rows[table] == shipped.rows[table]


def test_a_check_has_one_row_a_run_where_the_shipped_log_has_one_more_for_every_partition(
    ours: Recorded, shipped: Recorded
) -> None:
    def with_result(checks: list[Any]) -> list[Any]:
        return [check for check in checks if check[4] != "PLANNED"]

    assert with_result(ours.rows["checks"])
    assert with_result(ours.rows["checks"]) == with_result(shipped.rows["checks"])
    assert all(partition is None for _, _, partition, *_ in ours.rows["checks"])
    assert len(ours.rows["checks"]) == 3 * 3 < len(shipped.rows["checks"])


def test_the_ui_says_the_same_of_every_partition_even_after_a_crash(ours: Recorded, shipped: Recorded) -> None:
    assert ours.while_it_seems_to_run == shipped.while_it_seems_to_run
    assert ours.once_it_is_given_up == shipped.once_it_is_given_up


def test_partitions_are_seen_to_be_in_progress_then_failed_where_the_run_died(ours: Recorded) -> None:
    def stats(answers: dict[str, Any]) -> dict[str, list[int]]:
        return {name: list(node["partitionStats"].values()) for name, node in answers.items()}

    # materialized, failed, in progress, existing
    assert stats(ours.while_it_seems_to_run) == {"AAPL": [9, 0, 0, 31], "MSFT": [3, 4, 2, 31], "TSLA": [7, 0, 2, 31]}
    assert stats(ours.once_it_is_given_up) == {"AAPL": [9, 0, 0, 31], "MSFT": [3, 6, 0, 31], "TSLA": [7, 2, 0, 31]}


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


def test_what_is_written_for_each_partition_at_once_is_stored_as_if_written_one_by_one(new_database: Any) -> None:
    ours, shipped = BulkPostgresEventLogStorage(new_database()), PostgresEventLogStorage(new_database())
    days = ["2024-01-01", "2024-01-02", "2024-01-04"]
    plans = [planned_for(asset, days) for asset in ("A", 'B "quoted" \\')]
    bars = materialized('B "quoted" \\', "2024-01-04")
    last = with_metadata(bars, {"rows": 3})

    check = planned_check("A")
    ours.store_event_batch([plans[0], check, plans[1]])
    ours.store_materializations([(bars, days[:-1])], last)

    of_each = [of_partition(plan, day) for plan in plans for day in days]
    for event in [
        *of_each[:3],
        check,
        *of_each[3:],
        *(of_partition(bars, day) for day in days[:-1]),
        last,
    ]:
        shipped.store_event(event)
    check_same_rows(ours, shipped)
    ours.dispose()


def test_an_asset_that_is_planned_for_no_partition_leaves_nothing(
    storage: BulkPostgresEventLogStorage, url: str
) -> None:
    storage.store_event_batch([planned_for("A", [])])
    for query in WHOLE_TABLES:
        assert rows(url, query) == []


def test_a_batch_that_fails_halfway_leaves_nothing(storage: BulkPostgresEventLogStorage, url: str) -> None:
    with storage.index_connection() as connection:
        connection.execute(text(REFUSE_BATCHES))
    with pytest.raises(DBAPIError, match="not more than one at a time"):
        storage.store_event_batch([materialized("A", "2024-01-01"), materialized("B", "2024-01-01")])
    for query in WHOLE_TABLES:
        assert rows(url, query) == []


def test_after_a_failed_batch_dagsters_one_by_one_writing_doubles_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_DATABASE_URL", url)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    custom = {
        "module": "market_pipeline.orchestration.instance_storage",
        "class": "MarketPipelineStorage",
        "config": {},
    }
    with open_instance(tmp_path, {"custom": custom}) as instance:
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            connection.execute(text(REFUSE_BATCHES))
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


def test_an_event_of_another_kind_is_refused_in_a_batch(storage: BulkPostgresEventLogStorage) -> None:
    event = materialized("A", "2024-01-01")
    other = event._replace(dagster_event=event.get_dagster_event()._replace(event_type_value="STEP_START"))
    with pytest.raises(ValueError, match="STEP_START"):
        storage.store_event_batch([event, other])


def check_same_rows(ours: PostgresEventLogStorage, shipped: PostgresEventLogStorage) -> None:
    for query in WHOLE_TABLES:
        found = rows(ours.postgres_url, query)
        assert found
        assert found == rows(shipped.postgres_url, query)


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it becomes true: a server takes a moment to notice that a connection was closed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True
