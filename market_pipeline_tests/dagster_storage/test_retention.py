"""Retention: records that newer ones have replaced are deleted, and the UI shows the same as before."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import DagsterInstance
from sqlalchemy import Engine, create_engine, text

from market_pipeline.dagster_storage import retention
from market_pipeline.dagster_storage.retention import Deleted, OtherStorageError, TooSoonError, delete_replaced
from market_pipeline_tests.dagster_storage.event_log_cases import (
    FIRST_RUN,
    SECOND_RUN,
    THIRD_RUN,
    bulk_storage,
    open_instance,
    query_ui,
    run_range,
)

DAYS = 30
COUNTS = "SELECT dagster_event_type, count(*) FROM event_logs WHERE dagster_event_type LIKE 'ASSET%' GROUP BY 1"
LOST = "SELECT count(*) FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)"


@pytest.fixture
def instance(url: str, tmp_path: Path) -> Iterator[DagsterInstance]:
    """Yield an instance with ten days of three assets, five of them made again, and one failed since."""
    with open_instance(tmp_path, bulk_storage(url)) as opened:
        assert run_range(opened, FIRST_RUN, "2024-01-01", "2024-01-10")
        assert run_range(opened, SECOND_RUN, "2024-01-06", "2024-01-10")
        assert not run_range(opened, THIRD_RUN, "2024-01-10", "2024-01-10", fails="MSFT")
        yield opened


@pytest.fixture
def records(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    yield engine
    engine.dispose()


def later() -> datetime:
    """Return an instant at which all present records are old enough."""
    return datetime.now(UTC) + timedelta(days=DAYS, minutes=1)


def counted(records: Engine) -> dict[str, int]:
    with records.connect() as connection:
        assert connection.scalar(text(LOST)) == 0
        return dict(connection.execute(text(COUNTS)).all())


def shown_by_ui(instance: DagsterInstance) -> dict[str, Any]:
    """Return the UI's state of each asset; of its materializations, the newest."""
    shown = query_ui(instance)
    return {name: {**node, "assetMaterializations": node["assetMaterializations"][:1]} for name, node in shown.items()}


def test_replaced_events_are_deleted_and_the_ui_shows_the_same(
    instance: DagsterInstance, records: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 7)
    before, shown = counted(records), shown_by_ui(instance)
    deleted = delete_replaced(instance, DAYS, later())
    after = counted(records)
    assert shown_by_ui(instance) == shown
    assert after["ASSET_MATERIALIZATION"] == after["ASSET_MATERIALIZATION_PLANNED"] == 3 * 10
    assert deleted.events == sum(before.values()) - sum(after.values())
    assert deleted.results == 3 + 2, "of the first run all, of the second those that were evaluated again"
    assert {run.run_id for run in instance.get_runs()} == {FIRST_RUN, SECOND_RUN, THIRD_RUN}
    assert delete_replaced(instance, DAYS, later()) == Deleted(0, 0)


def test_younger_records_stay(instance: DagsterInstance, records: Engine) -> None:
    before = counted(records)
    assert delete_replaced(instance, DAYS, datetime.now(UTC)) == Deleted(0, 0)
    assert counted(records) == before


def test_days_in_which_runs_may_go_on_and_other_storages_are_rejected(instance: DagsterInstance) -> None:
    with pytest.raises(TooSoonError, match="give 2 days or more"):
        delete_replaced(instance, 1, later())
    elsewhere: Any = SimpleNamespace(event_log_storage=object())  # Dagster's own are all in SQL
    with pytest.raises(OtherStorageError, match="in object"):
        delete_replaced(elsewhere, DAYS, later())
