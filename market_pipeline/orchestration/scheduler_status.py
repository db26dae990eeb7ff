"""Status of the scheduler: is Dagster's daemon alive, are the nightly schedules on, and when are they due?

It is read from a few rows of Dagster's database, without definitions. schedules.py defines the schedules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from dagster import DagsterInstance

from market_pipeline.dagster_storage.internals import (
    DEFAULT_DAEMON_HEARTBEAT_TOLERANCE_SECONDS,
    DEFAULT_HEARTBEAT_INTERVAL_SECONDS,
    BackfillDaemon,
    DaemonHeartbeat,
    InstigatorState,
    InstigatorType,
    ScheduleInstigatorData,
    SchedulerDaemon,
    schedule_execution_time_iterator,
)

NIGHTLY = "nightly_"
"""Prefix of the nightly schedules' names."""

TOLERATED_SECONDS = DEFAULT_DAEMON_HEARTBEAT_TOLERANCE_SECONDS + DEFAULT_HEARTBEAT_INTERVAL_SECONDS
"""Age of a heartbeat that Dagster tolerates: half an hour, as a daemon thread may be busy that long."""

SILENT_SECONDS = 6 * DEFAULT_HEARTBEAT_INTERVAL_SECONDS
"""Age of the newest heartbeat at which the daemon counts as dead: its threads share one process."""

NOT_RUNNING = "Dagster's daemon is not running"


@dataclass(frozen=True)
class ScheduleState:
    """One nightly schedule: its cron expression (UTC), whether it is on, and when it next starts a run (UTC).

    `next_run` is None if the schedule is off, or if no daemon is alive.
    """

    name: str
    cron: str
    on: bool
    next_run: datetime | None


@dataclass(frozen=True)
class SchedulerState:
    """State of the scheduler. If `running` is False, `reason` names the cause and the next step in one line."""

    running: bool
    reason: str | None
    last_heartbeat: datetime | None
    schedules: Sequence[ScheduleState]

    @property
    def next_run(self) -> datetime | None:
        """Start of the next nightly run (UTC); None if there is none."""
        return min((schedule.next_run for schedule in self.schedules if schedule.next_run), default=None)

    @property
    def time_of_day(self) -> str | None:
        """Time of day of the nightly runs (UTC), as HH:MM; None if Dagster has no nightly schedule."""
        if not self.schedules:
            return None
        minute, hour = self.schedules[0].cron.split()[:2]
        return f"{int(hour):02}:{int(minute):02}"


def read_scheduler_state(instance: DagsterInstance, now: datetime) -> SchedulerState:
    """Return the state of the nightly schedules at `now`, which has a time zone."""
    heartbeats = instance.get_daemon_heartbeats()
    alive = _is_alive(heartbeats, SchedulerDaemon.daemon_type(), now)
    stored = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    nightly = sorted((state for state in stored if state.name.startswith(NIGHTLY)), key=lambda state: state.name)
    schedules = [_read_schedule(state, now, alive=alive) for state in nightly]
    own = heartbeats.get(SchedulerDaemon.daemon_type())
    last = _to_instant(own) if own else None
    reason = _explain_idle(schedules) if alive else _explain_dead(last, _find_newest(heartbeats), now)
    return SchedulerState(reason is None, reason, last, schedules)


def update_stored_crons(instance: DagsterInstance, cron: str) -> None:
    """Store `cron` (UTC) as the expression of the nightly schedules in Dagster's database.

    Dagster follows a schedule's new expression, but keeps the first one stored.
    """
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        data = cast("ScheduleInstigatorData", state.instigator_data)
        if state.name.startswith(NIGHTLY) and data.cron_schedule != cron:
            changed = ScheduleInstigatorData(cron, data.start_timestamp, data.last_iteration_timestamp)
            instance.update_instigator_state(state.with_data(changed))


def is_backfill_daemon_alive(instance: DagsterInstance, now: datetime) -> bool:
    """Return True if the daemon thread that executes backfills is alive at `now`, which has a time zone."""
    return _is_alive(instance.get_daemon_heartbeats(), BackfillDaemon.daemon_type(), now)


def _is_alive(heartbeats: Mapping[str, DaemonHeartbeat], daemon_type: str, now: datetime) -> bool:
    own, newest = heartbeats.get(daemon_type), _find_newest(heartbeats)
    if own is None or newest is None or _is_silent(newest, now):
        return False
    return (now - _to_instant(own)).total_seconds() <= TOLERATED_SECONDS


def _is_silent(newest: datetime, now: datetime) -> bool:
    return (now - newest).total_seconds() > SILENT_SECONDS


def _find_newest(heartbeats: Mapping[str, DaemonHeartbeat]) -> datetime | None:
    return max((_to_instant(heartbeat) for heartbeat in heartbeats.values()), default=None)


def _to_instant(heartbeat: DaemonHeartbeat) -> datetime:
    return datetime.fromtimestamp(heartbeat.timestamp, UTC)


def _read_schedule(state: InstigatorState, now: datetime, *, alive: bool) -> ScheduleState:
    data = cast("ScheduleInstigatorData", state.instigator_data)
    on = bool(state.is_running)
    due = next(schedule_execution_time_iterator(now.timestamp(), data.cron_schedule, "UTC")) if on and alive else None
    cron = data.cron_schedule if isinstance(data.cron_schedule, str) else " or ".join(data.cron_schedule)
    return ScheduleState(state.name, cron, on, due and due.astimezone(UTC))


def _explain_dead(last: datetime | None, newest: datetime | None, now: datetime) -> str:
    if newest is not None and not _is_silent(newest, now):
        seen = f"since {last:%Y-%m-%d %H:%M} UTC" if last else "yet"
        return f"Dagster's daemon runs, but its scheduler has not responded {seen}: restart `market-pipeline up`"
    if newest is None:
        return f"{NOT_RUNNING} and never has: start it with `market-pipeline up`"
    return f"{NOT_RUNNING}, last alive at {newest:%Y-%m-%d %H:%M} UTC: start it with `market-pipeline up`"


def _explain_idle(schedules: Sequence[ScheduleState]) -> str | None:
    off = [schedule.name for schedule in schedules if not schedule.on]
    if off:
        return f"{', '.join(off)} stopped: start it on the Automation page of the Dagster UI"
    if not schedules:
        return (
            "Dagster has no nightly schedule: track symbols with `market-pipeline symbols init`, or see the "
            "Deployment page of the Dagster UI for the error that kept the project from loading"
        )
    return None
