"""Range runs on the bulk storage and on the shipped one: the same rows, and the same in the UI."""

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from market_pipeline_tests.dagster_storage.event_log_cases import (
    FIRST_RUN,
    KILLED,
    SECOND_RUN,
    THIRD_RUN,
    WITHOUT_TIMES_AND_IDS,
    bulk_storage,
    open_instance,
    query_ui,
    rows,
    run_and_die,
    run_range,
)


@dataclass(frozen=True)
class Recorded:
    """Records of three range runs: one that succeeded, one that failed an asset, one that was killed midway."""

    rows: dict[str, list[tuple[Any, ...]]]
    before_the_report: dict[str, Any]
    after_the_report: dict[str, Any]


@pytest.fixture(scope="module")
def ours(new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    with pytest.MonkeyPatch.context() as environment:
        url = new_database()
        environment.setenv("DAGSTER_EVENT_BATCH_SIZE", "3")  # so that plans and assets end in the middle of one
        return record(tmp_path_factory.mktemp("ours"), bulk_storage(url), url)


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
        during = query_ui(instance)
        killed = instance.get_run_by_id(THIRD_RUN)
        assert killed is not None
        instance.report_run_failed(killed)
        return Recorded(
            {name: rows(url, query) for name, query in WITHOUT_TIMES_AND_IDS.items()}, during, query_ui(instance)
        )


def test_a_run_a_failed_run_and_a_killed_run_leave_the_rows_that_the_shipped_log_has(
    ours: Recorded, shipped: Recorded
) -> None:
    for table in WITHOUT_TIMES_AND_IDS:
        assert shipped.rows[table], table
        assert ours.rows[table] == shipped.rows[table]


def test_the_ui_shows_the_same_of_every_partition_even_after_a_crash(ours: Recorded, shipped: Recorded) -> None:
    assert ours.before_the_report == shipped.before_the_report
    assert ours.after_the_report == shipped.after_the_report


def test_partitions_are_seen_to_be_in_progress_then_failed_where_the_run_died(ours: Recorded) -> None:
    def stats(pages: dict[str, Any]) -> dict[str, list[int]]:
        return {name: list(node["partitionStats"].values()) for name, node in pages.items()}

    # materialized, failed, in progress, existing
    assert stats(ours.before_the_report) == {"AAPL": [9, 0, 0, 31], "MSFT": [3, 4, 2, 31], "TSLA": [7, 0, 2, 31]}
    assert stats(ours.after_the_report) == {"AAPL": [9, 0, 0, 31], "MSFT": [3, 6, 0, 31], "TSLA": [7, 2, 0, 31]}
