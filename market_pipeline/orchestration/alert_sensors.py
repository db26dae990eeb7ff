"""The sensors that have people told: of runs that failed, and of symbols that have fallen behind.

Each channel has its own place in a sensor's cursor, which moves on once it has taken the alert: one that is down misses
nothing, and has the others tell nothing twice. How alerts are sent, core/notifications.py says. Concept:
https://docs.dagster.io/guides/automate/sensors
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, EventLogRecord, RunStatusChangeRecordsFilter
from sqlalchemy.exc import SQLAlchemyError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.notifications import NO_CHANNEL, Alert, AlertError, Channel, alert_channels
from market_pipeline.core.run_planning import trigger_of
from market_pipeline.core.settings import Settings
from market_pipeline.core.wording import are, counted
from market_pipeline.dagster_storage.internals import WILL_RETRY_TAG
from market_pipeline.orchestration.failure_causes import cause_of
from market_pipeline.orchestration.freshness import Stale, freshness_changed_at, stale_symbols
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.load_history import run_history

FAILED_RUNS, STALE_SYMBOLS = "alert_of_failed_runs", "alert_of_stale_symbols"
RUNS_EVERY, STALENESS_EVERY = 30, 300
RUNS_AT_ONCE = 20
LONGEST_TICK = 16.0
"""Seconds, shared by the channels, after which the rest is left to the next tick. Dagster gives one a minute, forgets
what a longer one has told, and each channel may take its time over one more alert."""

TOO_OLD = timedelta(days=1)
"""Nobody needs to hear of an older failure, where a channel was down all the time or the daemon was."""

MOST_LINES = 10

Told = dict[str, Any]
"""What each channel was told last, by its name."""

Send = Callable[[Channel], str | None]
"""Sends what a channel has not been told, and says what that was; None where there was nothing."""


def build_alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Both sensors. They are there and on without a channel too, so that the UI says which settings make one."""
    return [_failed_runs_sensor(settings), _stale_symbols_sensor(settings)]


def _failed_runs_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name=FAILED_RUNS,
        minimum_interval_seconds=RUNS_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends an alert for each run that failed, by webhook and e-mail as far as they are set.",
    )
    def alert_of_failed_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not (found := alert_channels(settings)):
            return dg.SkipReason(f"Where runs fail, {NO_CHANNEL}.")
        before = _before(context)
        newest = _newest_failure(context.instance)
        told = {channel.name: before.get(channel.name, newest) for channel in found}
        alerts = list(_failures(context.instance, settings, min(told.values())))

        def send(channel: Channel) -> str | None:
            return _send_failures(channel, told, alerts, LONGEST_TICK / len(found))

        return _tell(context, found, told, send, nothing="No run has failed.")

    return alert_of_failed_runs


def _stale_symbols_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name=STALE_SYMBOLS,
        minimum_interval_seconds=STALENESS_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends an alert when symbols fall behind, and one when all are up to date again.",
    )
    def alert_of_stale_symbols(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not (found := alert_channels(settings)):
            return dg.SkipReason(f"Where symbols are stale, {NO_CHANNEL}.")
        before = _before(context)
        told = {channel.name: before.get(channel.name, []) for channel in found}
        now = datetime.now(UTC)
        with warehouse_of(settings) as warehouse:
            stale = stale_symbols(warehouse, settings, now)
            at = freshness_changed_at(warehouse, settings, now)

        def send(channel: Channel) -> str | None:
            known = set(told[channel.name])
            alert = _staleness(known, stale, settings, at)
            if alert is not None:
                channel.send(alert)
            told[channel.name] = sorted(stale)
            return f"that {alert.title}" if alert is not None else None

        return _tell(
            context, found, told, send, nothing=f"{counted(len(stale), 'symbol')} {are(len(stale))} stale, as was told."
        )

    return alert_of_stale_symbols


def _before(context: dg.SensorEvaluationContext) -> Told:
    told: Told = json.loads(context.cursor or "{}")
    return told


def _tell(
    context: dg.SensorEvaluationContext, found: Sequence[Channel], told: Told, send: Send, *, nothing: str
) -> dg.SkipReason:
    """Have each channel told what it doesn't know, and keep what it knows then.

    Raises:
        AlertError: one could not be told, and nothing else has come of this tick that had to be kept.
    """
    before = dict(told)
    sent, problems = [], []
    for channel in found:
        try:
            words = send(channel)
        except AlertError as error:
            problems.append(str(error))
        else:
            sent += [f"Told by {channel.name} {words}."] if words else []
    if problems and told == before and told.keys() <= _before(context).keys():
        raise AlertError("; ".join(problems))
    # A tick that fails keeps no cursor, and those that were told would be told again. The next one fails, if still due.
    context.update_cursor(json.dumps(told, sort_keys=True))
    return dg.SkipReason(" ".join([*sent, *(f"Not told: {problem}." for problem in problems)]) or nothing)


def _newest_failure(instance: DagsterInstance) -> int:
    newest = instance.fetch_run_status_changes(DagsterEventType.RUN_FAILURE, limit=1).records
    return newest[0].storage_id if newest else 0


def _failures(instance: DagsterInstance, settings: Settings, after: int) -> Iterator[tuple[int, Alert | None]]:
    """What to say of the runs that failed since, oldest first, by the number of the event; None where nothing."""
    since = RunStatusChangeRecordsFilter(event_type=DagsterEventType.RUN_FAILURE, after_storage_id=after)
    for record in instance.fetch_run_status_changes(since, limit=RUNS_AT_ONCE, ascending=True).records:
        run = instance.get_run_by_id(record.run_id)
        wanted = run is not None and _concerns_people(run, record)
        yield record.storage_id, _of_run(run, record, settings) if run is not None and wanted else None


def _concerns_people(run: DagsterRun, record: EventLogRecord) -> bool:
    """Whether nobody knows yet: the command line tells whoever typed it, and a run that is retried isn't lost."""
    age = datetime.now(UTC) - datetime.fromtimestamp(record.timestamp, UTC)
    return age < TOO_OLD and trigger_of(run.tags) != "cli" and run.tags.get(WILL_RETRY_TAG) != "true"


def _send_failures(
    channel: Channel, told: Told, alerts: Sequence[tuple[int, Alert | None]], seconds: float
) -> str | None:
    sent, end = 0, time.monotonic() + seconds
    for number, alert in alerts:
        if number <= told[channel.name]:
            continue
        if time.monotonic() > end:
            break
        if alert is not None:
            channel.send(alert)
            sent += 1
        told[channel.name] = number
    return f"of {counted(sent, 'failed run')}" if sent else None


def _of_run(run: DagsterRun, record: EventLogRecord, settings: Settings) -> Alert:
    accounts = _accounts(settings, run.run_id)
    failed = {name: error for name, error in accounts.items() if error is not None}
    job = "chosen assets" if run.job_name.startswith("__") else run.job_name
    facts = {"job": run.job_name, "run": run.run_id, "trigger": trigger_of(run.tags)}
    if accounts:
        facts["symbols failed"] = f"{len(failed)} of {len(accounts)}"
    told = [f"{name}: {error}" for name, error in failed.items()]
    return Alert(
        kind="run_failure",
        title=f"Market Pipeline: run {run.run_id[:8]} of {job} failed",
        text=_lines(told) or cause_of(record.event_log_entry.get_dagster_event()),
        at=datetime.fromtimestamp(record.timestamp, UTC),
        facts=facts,
        link=f"{_ui(settings)}/runs/{run.run_id}",
    )


def _accounts(settings: Settings, run_id: str) -> Mapping[str, str | None]:
    """Of each symbol that the run accounted for, why it failed; empty where it got to none, or nobody can say."""
    try:
        with warehouse_of(settings) as warehouse:
            return {row.symbol: row.error_details for row in run_history(warehouse, [run_id])}
    except (MarketPipelineError, SQLAlchemyError):
        return {}


def _staleness(known: set[str], stale: Mapping[str, Stale], settings: Settings, at: datetime) -> Alert | None:
    """What to say to whoever knows these symbols to be stale; None where that is nothing.

    `at` stays the same from tick to tick: an alert that is sent again is the same, and so is its Idempotency-Key.
    """
    new = [name for name in stale if name not in known]
    if new:
        return Alert(
            kind="stale",
            title=f"Market Pipeline: {new[0] if len(new) == 1 else f'{len(new):,} symbols'} {are(len(new))} stale",
            text=_lines([stale[name].told for name in new]),
            at=at,
            facts={"symbols": ", ".join(new), "stale in all": str(len(stale))},
            link=_ui(settings),
        )
    if known and not stale:
        return Alert(
            "fresh", "Market Pipeline: all symbols are up to date again", "None is stale.", at, link=_ui(settings)
        )
    return None


def _lines(told: Sequence[str]) -> str:
    more = [f"And {len(told) - MOST_LINES} more."] if len(told) > MOST_LINES else []
    return "\n".join([*told[:MOST_LINES], *more])


def _ui(settings: Settings) -> str:
    return settings.dagster_ui_url or settings.dagster_webserver_url
