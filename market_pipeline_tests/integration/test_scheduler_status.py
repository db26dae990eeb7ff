"""Status of the scheduler, read from Dagster's database."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance
from sqlalchemy import Engine

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import BackfillDaemon, DaemonHeartbeat, SchedulerDaemon
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.scheduler_status import is_backfill_daemon_alive, read_scheduler_state
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dagster_internals import RemoteSchedule, launch_scheduled_runs
from market_pipeline_tests.integration.code_location import loaded_location

NOW = datetime(2024, 10, 23, 1, 30, tzinfo=UTC)
SCHEDULER, BACKFILLS = SchedulerDaemon.daemon_type(), BackfillDaemon.daemon_type()
NAMES = ["nightly_corporate_actions", "nightly_crypto", "nightly_equities"]


@pytest.fixture
def schedules(instance: DagsterInstance, warehouse: Engine, tmp_path: Path) -> Iterator[dict[str, RemoteSchedule]]:
    """The project's schedules by name, as Dagster's daemon stores them."""
    add_symbols(warehouse, [Symbol.of("AAPL", "stock"), Symbol.of("BTC", "crypto")])
    with loaded_location(instance, tmp_path) as workspace:
        list(launch_scheduled_runs(workspace, logging.getLogger(__name__), NOW, {}))
        [location] = workspace.create_request_context().code_locations
        [repository] = location.get_repositories().values()
        yield {schedule.name: schedule for schedule in repository.get_schedules()}


def beat(instance: DagsterInstance, part: str, at: datetime) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), part, "daemon", []))


def test_a_changed_time_is_reported_once_the_definitions_are_loaded(
    instance: DagsterInstance, schedules: dict[str, RemoteSchedule], settings: Settings
) -> None:
    beat(instance, SCHEDULER, NOW)
    moved = build_loading(settings.model_copy(update={"backfill_schedule_hour": 3, "backfill_schedule_minute": 5}))
    sensor = moved.get_repository_def().get_sensor_def("tracked_symbols_changed")
    for _ in range(2):  # the second has nothing to change
        sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
        state = read_scheduler_state(instance, NOW)
        assert state.time_of_day == "03:05"
        assert {(schedule.name, schedule.cron, schedule.next_run) for schedule in state.schedules} == {
            (name, "5 3 * * *", datetime(2024, 10, 23, 3, 5, tzinfo=UTC)) for name in NAMES
        }


def test_without_a_daemon_ever_nothing_will_run(instance: DagsterInstance) -> None:
    state = read_scheduler_state(instance, NOW)
    assert (state.running, state.last_heartbeat, state.next_run, state.schedules) == (False, None, None, [])
    assert state.reason == "Dagster's daemon is not running and never has: start it with `market-pipeline up`"
    assert not is_backfill_daemon_alive(instance, NOW)


def test_a_daemon_without_schedules_is_not_running_them(instance: DagsterInstance) -> None:
    beat(instance, SCHEDULER, NOW)
    state = read_scheduler_state(instance, NOW)
    assert (state.running, state.last_heartbeat) == (False, NOW)
    assert state.reason is not None
    assert "no nightly schedule" in state.reason


@pytest.mark.parametrize(
    ("own", "other", "alive"),
    [
        (timedelta(seconds=0), None, True),
        (timedelta(seconds=170), None, True),
        # One part may be busy for long, as long as another shows that their process lives.
        (timedelta(minutes=29), timedelta(seconds=5), True),
        (timedelta(minutes=31), timedelta(seconds=5), False),
        (timedelta(minutes=4), timedelta(minutes=5), False),
        (None, timedelta(seconds=5), False),
    ],
)
def test_a_part_of_the_daemon_is_alive_by_its_last_heartbeat(
    instance: DagsterInstance, own: timedelta | None, other: timedelta | None, alive: bool
) -> None:
    for part, age in ((BACKFILLS, own), ("SENSOR", other)):
        if age is not None:
            beat(instance, part, NOW - age)
    assert is_backfill_daemon_alive(instance, NOW) is alive


def test_the_state_follows_the_daemon_and_the_schedules(
    instance: DagsterInstance, schedules: dict[str, RemoteSchedule]
) -> None:
    unseen = read_scheduler_state(instance, NOW)
    assert [(schedule.name, schedule.on, schedule.next_run) for schedule in unseen.schedules] == [
        (name, True, None) for name in NAMES
    ]
    assert not unseen.running

    beat(instance, SCHEDULER, NOW)
    fresh = read_scheduler_state(instance, NOW)
    assert (fresh.running, fresh.reason, fresh.last_heartbeat) == (True, None, NOW)
    assert {(schedule.cron, schedule.next_run) for schedule in fresh.schedules} == {
        ("0 2 * * *", datetime(2024, 10, 23, 2, tzinfo=UTC))
    }
    assert fresh.next_run == datetime(2024, 10, 23, 2, tzinfo=UTC)

    gone = read_scheduler_state(instance, NOW + timedelta(hours=1))
    assert (gone.running, gone.last_heartbeat, gone.next_run) == (False, NOW, None)
    assert gone.reason == (
        "Dagster's daemon is not running, last alive at 2024-10-23 01:30 UTC: start it with `market-pipeline up`"
    )
    beat(instance, BACKFILLS, NOW + timedelta(hours=1))
    hanging = read_scheduler_state(instance, NOW + timedelta(hours=1))
    assert not hanging.running
    assert "has not responded since 2024-10-23 01:30 UTC" in str(hanging.reason)

    equities = schedules["nightly_equities"]
    instance.stop_schedule(equities.get_remote_origin_id(), equities.selector_id, equities)
    stopped = read_scheduler_state(instance, NOW)
    assert not stopped.running
    assert stopped.reason == "nightly_equities stopped: start it on the Automation page of the Dagster UI"
    assert [(schedule.on, schedule.next_run is None) for schedule in stopped.schedules] == [
        (True, False), (True, False), (False, True),
    ]  # fmt: skip

    instance.start_schedule(equities)
    again = read_scheduler_state(instance, NOW)
    assert again.running
    assert all(schedule.on for schedule in again.schedules)
