"""Whether the nightly runs will happen: is Dagster's daemon alive, are the schedules on, when are they due.

Told by a few rows of Dagster's database, without definitions. What the schedules do, schedules.py says.
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
"""What the names of the nightly schedules begin with."""

TOLERATED_SECONDS = DEFAULT_DAEMON_HEARTBEAT_TOLERANCE_SECONDS + DEFAULT_HEARTBEAT_INTERVAL_SECONDS
"""How long Dagster waits for a part of its daemon: half an hour, because one part may be busy that long."""

SILENT_SECONDS = 6 * DEFAULT_HEARTBEAT_INTERVAL_SECONDS
"""How long all parts of the daemon may be silent at once. They are threads of one process: it is gone then."""

NOT_RUNNING = "Dagster's daemon is not running"


@dataclass(frozen=True)
class ScheduleState:
    """One nightly schedule: its cron expression (UTC), whether it is on, and when it next starts a run (UTC).

    `next_run` is None where it won't: the schedule is off, or there is no daemon to start it.
    """

    name: str
    cron: str
    on: bool
    next_run: datetime | None


@dataclass(frozen=True)
class SchedulerState:
    """Whether the nightly runs will happen; if not, `reason` says in one line why and what to do."""

    running: bool
    reason: str | None
    last_heartbeat: datetime | None
    schedules: Sequence[ScheduleState]

    @property
    def next_run(self) -> datetime | None:
        """When the next nightly run starts (UTC), None where none will."""
        return min((schedule.next_run for schedule in self.schedules if schedule.next_run), default=None)

    @property
    def time_of_day(self) -> str | None:
        """When the nightly runs begin (UTC), as HH:MM; None where Dagster knows of none."""
        if not self.schedules:
            return None
        minute, hour = self.schedules[0].cron.split()[:2]
        return f"{int(hour):02}:{int(minute):02}"


def scheduler_state(instance: DagsterInstance, now: datetime) -> SchedulerState:
    """The state of the nightly schedules at `now`, which has a time zone."""
    heartbeats = instance.get_daemon_heartbeats()
    alive = _alive(heartbeats, SchedulerDaemon.daemon_type(), now)
    stored = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    nightly = sorted((state for state in stored if state.name.startswith(NIGHTLY)), key=lambda state: state.name)
    schedules = [_schedule(state, now, alive=alive) for state in nightly]
    own = heartbeats.get(SchedulerDaemon.daemon_type())
    last = _instant(own) if own else None
    reason = _why_dead(last, _newest(heartbeats), now) if not alive else _why_idle(schedules)
    return SchedulerState(reason is None, reason, last, schedules)


def keep_due_times(instance: DagsterInstance, cron: str) -> None:
    """Have Dagster's database say that the nightly schedules are due by `cron` (UTC).

    By itself Dagster goes by a schedule's new expression, but goes on storing the one that it first had.
    """
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        data = cast("ScheduleInstigatorData", state.instigator_data)
        if state.name.startswith(NIGHTLY) and data.cron_schedule != cron:
            changed = ScheduleInstigatorData(cron, data.start_timestamp, data.last_iteration_timestamp)
            instance.update_instigator_state(state.with_data(changed))


def backfill_daemon_alive(instance: DagsterInstance, now: datetime) -> bool:
    """Whether the part of Dagster's daemon that executes backfills is alive at `now`, which has a time zone."""
    return _alive(instance.get_daemon_heartbeats(), BackfillDaemon.daemon_type(), now)


def _alive(heartbeats: Mapping[str, DaemonHeartbeat], part: str, now: datetime) -> bool:
    own, newest = heartbeats.get(part), _newest(heartbeats)
    if own is None or newest is None or _silent(newest, now):
        return False
    return (now - _instant(own)).total_seconds() <= TOLERATED_SECONDS


def _silent(newest: datetime, now: datetime) -> bool:
    return (now - newest).total_seconds() > SILENT_SECONDS


def _newest(heartbeats: Mapping[str, DaemonHeartbeat]) -> datetime | None:
    return max((_instant(heartbeat) for heartbeat in heartbeats.values()), default=None)


def _instant(heartbeat: DaemonHeartbeat) -> datetime:
    return datetime.fromtimestamp(heartbeat.timestamp, UTC)


def _schedule(state: InstigatorState, now: datetime, *, alive: bool) -> ScheduleState:
    data = cast("ScheduleInstigatorData", state.instigator_data)
    on = bool(state.is_running)
    due = next(schedule_execution_time_iterator(now.timestamp(), data.cron_schedule, "UTC")) if on and alive else None
    cron = data.cron_schedule if isinstance(data.cron_schedule, str) else " or ".join(data.cron_schedule)
    return ScheduleState(state.name, cron, on, due and due.astimezone(UTC))


def _why_dead(last: datetime | None, newest: datetime | None, now: datetime) -> str:
    if newest is not None and not _silent(newest, now):
        seen = f"since {last:%Y-%m-%d %H:%M} UTC" if last else "yet"
        return f"Dagster's daemon runs, but its scheduler has not answered {seen}: restart `market-pipeline up`"
    if newest is None:
        return f"{NOT_RUNNING} and never has: start it with `market-pipeline up`"
    return f"{NOT_RUNNING}, last heard of at {newest:%Y-%m-%d %H:%M} UTC: start it with `market-pipeline up`"


def _why_idle(schedules: Sequence[ScheduleState]) -> str | None:
    off = [schedule.name for schedule in schedules if not schedule.on]
    if off:
        return f"{', '.join(off)} stopped: start it on the Automation page of the Dagster UI"
    if not schedules:
        return (
            "Dagster knows no nightly schedule: track symbols with `market-pipeline symbols init`, or see on the "
            "Deployment page of the Dagster UI why the project was not loaded"
        )
    return None
