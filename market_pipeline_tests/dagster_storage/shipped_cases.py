"""Dagster's own storage tests, on the bulk storage: `compatibility` runs them.

They are in the package dagster_tests of Dagster's source distribution, which has to be importable. It imports a helper
package, dagster_test, that is not published.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun

from market_pipeline.dagster_storage.storage import BulkPostgresStorage
from market_pipeline_tests.dagster_storage.event_log_cases import bulk_storage, open_instance

ONE_EVENT_A_RANGE = "expects one planned event for a range of partitions, of which there is one for each partition"
DIFFERENCES = {
    "test_single_run_backfill_with_unpartitioned_and_partitioned_mix": ONE_EVENT_A_RANGE,
    "test_subset_on_asset_materialization_planned_event_for_single_run_backfill_allowed": ONE_EVENT_A_RANGE,
    # It expects as well that partitions planned by a range are not listed as planned and never materialized.
    "test_partitions_methods_on_materialization_planned_event_with_partitions_subset": ONE_EVENT_A_RANGE,
}
"""Tests that are expected to fail, by name, with the difference that makes them fail."""


def make_run(**values: Any) -> DagsterRun:
    """Return a run, as dagster_test does: with a job's name unless one is given."""
    return DagsterRun(**{"job_name": "some_job", **values})


def stand_in_for_dagster_test() -> None:
    """Make the two modules of dagster_test importable, with the one function that the storage tests take from it."""
    factory = ModuleType("dagster_test.utils.data_factory")
    factory.dagster_run = make_run  # type: ignore[attr-defined]
    for module in (ModuleType("dagster_test"), ModuleType("dagster_test.utils"), factory):
        sys.modules.setdefault(module.__name__, module)


stand_in_for_dagster_test()

from dagster._utils.test.schedule_storage import TestScheduleStorage  # noqa: E402
from dagster_tests.storage_tests.utils.daemon_cursor_storage import TestDaemonCursorStorage  # noqa: E402
from dagster_tests.storage_tests.utils.event_log_storage import TestEventLogStorage  # noqa: E402
from dagster_tests.storage_tests.utils.run_storage import TestRunStorage  # noqa: E402


@pytest.fixture(scope="module")
def template(new_database: Callable[..., str]) -> str:
    """The name of a database that has Dagster's tables."""
    url = new_database()
    BulkPostgresStorage.from_config_value(None, {"postgres_url": url, "event_batch_size": 1000}).dispose()
    return url.rpartition("/")[2]


class _OnBulkStorage:
    __test__ = True

    @pytest.fixture
    def instance(self, new_database: Callable[..., str], template: str, tmp_path: Path) -> Iterator[DagsterInstance]:
        with open_instance(tmp_path, bulk_storage(new_database(template))) as opened:
            yield opened


class TestBulkEventLog(_OnBulkStorage, TestEventLogStorage):  # type: ignore[misc]
    """The event log that writes in bulk."""

    @pytest.fixture(name="storage")
    def event_log_storage(self, instance: DagsterInstance) -> Any:
        return instance.event_log_storage

    def can_wipe_asset_partitions(self) -> bool:
        return False

    for _name, _reason in DIFFERENCES.items():
        locals()[_name] = pytest.mark.xfail(reason=_reason, strict=True)(getattr(TestEventLogStorage, _name))


class TestPooledRuns(_OnBulkStorage, TestRunStorage):  # type: ignore[misc]
    """The run storage on kept connections."""

    @pytest.fixture(name="storage")
    def run_storage(self, instance: DagsterInstance) -> Any:
        return instance.run_storage

    def supports_backfill_tags_filtering_queries(self) -> bool:
        return True

    def supports_backfill_job_name_filtering_queries(self) -> bool:
        return True

    def supports_backfill_id_filtering_queries(self) -> bool:
        return True

    def supports_backfills_count(self) -> bool:
        return True


class TestPooledCursors(_OnBulkStorage, TestDaemonCursorStorage):  # type: ignore[misc]
    """The cursors of daemons, kept by the run storage."""

    @pytest.fixture(name="storage")
    def cursor_storage(self, instance: DagsterInstance) -> Any:
        return instance.run_storage


class TestPooledSchedules(_OnBulkStorage, TestScheduleStorage):
    """The schedule storage on kept connections."""

    @pytest.fixture(name="storage")
    def schedule_storage(self, instance: DagsterInstance) -> Any:
        return instance.schedule_storage
