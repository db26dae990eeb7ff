"""Lines of a run's log are stored in their order among the events, soon, and not one by one."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from dagster import EventLogEntry
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import Engine, event

from market_pipeline.dagster_storage import log_lines
from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline_tests.dagster_storage.event_log_cases import materialized, rows

NEVER = 3600.0
LINES = "SELECT event FROM event_logs ORDER BY id"


@pytest.fixture
def without_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have lines wait for an event, a read or an error alone."""
    monkeypatch.setattr(log_lines, "WAIT_SECONDS", NEVER)


def test_lines_and_events_have_the_rows_and_the_order_of_the_shipped_storage(
    new_database: Callable[[], str], without_timer: None
) -> None:
    ours, shipped = BulkPostgresEventLogStorage(new_database()), PostgresEventLogStorage(new_database())
    events = [line("one"), line('"two" \\ \x00 é'), materialized("A", "2024-01-01", "run"), line("three")]
    for storage in (ours, shipped):
        for each in events:
            storage.store_event(each)
    query = "SELECT id, run_id, event, dagster_event_type, timestamp, step_key, asset_key FROM event_logs ORDER BY id"
    ours.dispose()  # writes the last
    assert rows(ours.postgres_url, query) == rows(shipped.postgres_url, query)
    shipped.dispose()


def test_lines_are_read_back_as_soon_as_they_were_logged(
    storage: BulkPostgresEventLogStorage, without_timer: None
) -> None:
    for number in range(3):
        storage.store_event(line(f"{number}"))
        assert len(list(storage.get_logs_for_run("run"))) == number + 1


def test_many_lines_are_written_by_one_statement_and_an_error_at_once_with_them(
    storage: BulkPostgresEventLogStorage, url: str, without_timer: None
) -> None:
    with counted_inserts() as inserts:
        for number in range(100):
            storage.store_event(line(f"{number}"))
        assert (inserts, rows(url, LINES)) == ([], [])
        storage.store_event(line("failed", logging.ERROR))
    assert len(inserts) == 1
    assert messages(url) == [*map(str, range(100)), "failed"]


def test_lines_that_no_event_follows_are_written_soon(storage: BulkPostgresEventLogStorage, url: str) -> None:
    for expected in (["one"], ["one", "two"]):
        storage.store_event(line(expected[-1]))
        deadline = time.monotonic() + 60
        while messages(url) != expected:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_lines_of_many_threads_are_all_written_once_each_threads_in_order(
    storage: BulkPostgresEventLogStorage, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "MOST_WAITING", 7)

    def log(thread: int) -> None:
        for number in range(50):
            storage.store_event(line(f"{thread} {number}"))
            if number % 10 == 9:
                storage.store_event(materialized("A", f"2024-01-0{thread + 1}", "run"))
                assert f"{thread} {number}" in messages(url)  # no event before a line that it follows

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(log, range(4)))
    storage.dispose()
    found = messages(url)
    assert len(found) == 200
    for thread in range(4):
        own = [message for message in found if message.startswith(f"{thread} ")]
        assert own == [f"{thread} {number}" for number in range(50)]


def test_lines_outlive_a_lost_connection(storage: BulkPostgresEventLogStorage, url: str, without_timer: None) -> None:
    storage.store_event(line("before", logging.ERROR))
    storage.store_event(line("during"))
    rows(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
              "AND pid <> pg_backend_pid()")  # fmt: skip
    storage.store_event(line("after", logging.ERROR))
    assert messages(url) == ["before", "during", "after"]


@contextmanager
def counted_inserts() -> Iterator[list[str]]:
    """Yield the list of the INSERT statements that are executed in the block."""
    inserts: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        if "INSERT" in statement:
            inserts.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield inserts
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def line(message: str, level: int = logging.INFO) -> EventLogEntry:
    """Return a line of the log of the run `run`."""
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None, level=level, user_message=message, run_id="run", timestamp=1_700_000_000.5, step_key="step"
    )


def messages(url: str) -> list[Any]:
    """Return the messages of the stored lines, in their order."""
    return list(_messages(url))


def _messages(url: str) -> Iterator[Any]:
    for (stored,) in rows(url, LINES):
        entry = json.loads(stored)
        if entry["dagster_event"] is None:
            yield entry["user_message"]
