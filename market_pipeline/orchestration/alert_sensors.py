"""Alert sensors: they notify people of failed runs and of stale symbols.

A sensor's cursor holds a position of its own for each channel, moved on once the channel has taken an alert. A channel
that is down misses nothing, and the others send nothing twice. core/notifications.py sends. Concept:
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
from market_pipeline.core.notifications import NO_CHANNEL, Alert, AlertError, Channel, list_alert_channels
from market_pipeline.core.run_planning import find_trigger
from market_pipeline.core.settings import Settings
from market_pipeline.core.wording import choose_verb, format_count, prefix_symbol
from market_pipeline.dagster_storage.internals import WILL_RETRY_TAG
from market_pipeline.orchestration.failure_causes import describe_failure
from market_pipeline.orchestration.freshness import (
    StaleSymbol,
    find_freshness_change,
    find_stale_markets,
    find_stale_symbols,
)
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.load_history import read_run_history

FAILED_RUNS, STALE_SYMBOLS = "alert_of_failed_runs", "alert_of_stale_symbols"
RUNS_EVERY, STALENESS_EVERY = 30, 300
RUNS_AT_ONCE = 20
LONGEST_TICK = 16.0
"""Seconds of a tick that the channels share; the next tick sends the rest.

Dagster ends a tick after a minute and then drops its cursor, and each channel may need its timeout for one more alert.
"""

MAX_AGE = timedelta(days=1)
"""Older failures send no alert: a channel or the daemon was down all the time."""

MOST_LINES = 10

Cursor = dict[str, Any]
"""By channel name, the position that its alerts have reached: an event's number, or the names of stale symbols."""

Send = Callable[[Channel], str | None]
"""Sends a channel its new alerts and returns a description of them; None if there are none."""


def build_alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Build both sensors. They run without a channel too: their ticks then name the settings that make one."""
    return [
        _build_sensor(
            settings,
            name=FAILED_RUNS,
            seconds=RUNS_EVERY,
            description="Sends an alert for each failed run, by webhook and by e-mail, whichever is set.",
            subject="runs fail",
            alert=_alert_of_failed_runs,
        ),
        _build_sensor(
            settings,
            name=STALE_SYMBOLS,
            seconds=STALENESS_EVERY,
            description="Sends an alert when symbols become stale, and one when all are up to date again.",
            subject="symbols are stale",
            alert=_alert_of_stale_symbols,
        ),
    ]


def _build_sensor(
    settings: Settings,
    *,
    name: str,
    seconds: int,
    description: str,
    subject: str,
    alert: Callable[[dg.SensorEvaluationContext, Settings, Sequence[Channel]], dg.SkipReason],
) -> dg.SensorDefinition:
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not (channels := list_alert_channels(settings)):
            return dg.SkipReason(f"Where {subject}, {NO_CHANNEL}.")
        return alert(context, settings, channels)

    return dg.SensorDefinition(
        name=name,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
        evaluation_fn=evaluate,
    )


def _alert_of_failed_runs(
    context: dg.SensorEvaluationContext, settings: Settings, channels: Sequence[Channel]
) -> dg.SkipReason:
    before = _read_cursor(context)
    newest = _find_newest_failure(context.instance)
    cursor = {channel.name: before.get(channel.name, newest) for channel in channels}
    alerts = list(_list_failure_alerts(context.instance, settings, min(cursor.values())))

    def send(channel: Channel) -> str | None:
        return _send_failures(channel, cursor, alerts, LONGEST_TICK / len(channels))

    return _send_to_all(context, channels, cursor, send, nothing="No run has failed.")


def _alert_of_stale_symbols(
    context: dg.SensorEvaluationContext, settings: Settings, channels: Sequence[Channel]
) -> dg.SkipReason:
    before = _read_cursor(context)
    cursor = {channel.name: before.get(channel.name, []) for channel in channels}
    now = datetime.now(UTC)
    with warehouse_of(settings) as warehouse:
        stale = {**find_stale_markets(warehouse, settings, now), **find_stale_symbols(warehouse, settings, now)}
        at = find_freshness_change(warehouse, settings, now)

    def send(channel: Channel) -> str | None:
        alert = _build_staleness_alert(set(cursor[channel.name]), stale, settings, at)
        if alert is not None:
            channel.send(alert)
        cursor[channel.name] = sorted(stale)
        return alert.title if alert is not None else None

    count = len(stale)
    nothing = f"{format_count(count, 'symbol')} {choose_verb(count)} stale: nothing new."
    return _send_to_all(context, channels, cursor, send, nothing=nothing)


def _read_cursor(context: dg.SensorEvaluationContext) -> Cursor:
    cursor: Cursor = json.loads(context.cursor or "{}")
    return cursor


def _send_to_all(
    context: dg.SensorEvaluationContext, channels: Sequence[Channel], cursor: Cursor, send: Send, *, nothing: str
) -> dg.SkipReason:
    """Send each channel its new alerts and store the cursor, which `send` moves on.

    Raises:
        AlertError: a channel failed, and the cursor has not changed.
    """
    before = dict(cursor)
    sent, problems = [], []
    for channel in channels:
        try:
            description = send(channel)
        except AlertError as error:
            problems.append(str(error))
        else:
            sent += [f"Sent by {channel.name}: {description}."] if description else []
    if problems and cursor == before and cursor.keys() <= _read_cursor(context).keys():
        raise AlertError("; ".join(problems))
    # A failed tick stores no cursor, and would send again. So this one succeeds; the next fails if it must still send.
    context.update_cursor(json.dumps(cursor, sort_keys=True))
    return dg.SkipReason(" ".join([*sent, *(f"Not sent: {problem}." for problem in problems)]) or nothing)


def _find_newest_failure(instance: DagsterInstance) -> int:
    newest = instance.fetch_run_status_changes(DagsterEventType.RUN_FAILURE, limit=1).records
    return newest[0].storage_id if newest else 0


def _list_failure_alerts(
    instance: DagsterInstance, settings: Settings, after: int
) -> Iterator[tuple[int, Alert | None]]:
    """Yield the number of each failure's event, oldest first, and its alert; None if it needs none."""
    since = RunStatusChangeRecordsFilter(event_type=DagsterEventType.RUN_FAILURE, after_storage_id=after)
    for record in instance.fetch_run_status_changes(since, limit=RUNS_AT_ONCE, ascending=True).records:
        run = instance.get_run_by_id(record.run_id)
        needed = run is not None and _needs_alert(run, record)
        yield record.storage_id, _build_failure_alert(run, record, settings) if run is not None and needed else None


def _needs_alert(run: DagsterRun, record: EventLogRecord) -> bool:
    """Return False for an old failure, a run that is retried, and a run whose command reports the failure itself."""
    age = datetime.now(UTC) - datetime.fromtimestamp(record.timestamp, UTC)
    return age < MAX_AGE and find_trigger(run.tags) != "cli" and run.tags.get(WILL_RETRY_TAG) != "true"


def _send_failures(
    channel: Channel, cursor: Cursor, alerts: Sequence[tuple[int, Alert | None]], seconds: float
) -> str | None:
    sent, end = 0, time.monotonic() + seconds
    for number, alert in alerts:
        if number <= cursor[channel.name]:
            continue
        if time.monotonic() > end:
            break
        if alert is not None:
            channel.send(alert)
            sent += 1
        cursor[channel.name] = number
    return format_count(sent, "failed run") if sent else None


def _build_failure_alert(run: DagsterRun, record: EventLogRecord, settings: Settings) -> Alert:
    errors = _read_errors(settings, run.run_id)
    failed = [prefix_symbol(name, error) for name, error in errors.items() if error is not None]
    job = "chosen assets" if run.job_name.startswith("__") else run.job_name
    facts = {"job": run.job_name, "run": run.run_id, "trigger": find_trigger(run.tags)}
    if failed:
        facts["symbols failed"] = f"{len(failed)} of {len(errors)}"
    return Alert(
        kind="run_failure",
        title=f"Market Pipeline: run {run.run_id[:8]} of {job} failed",
        text=_join_lines(failed) or describe_failure(record.event_log_entry.get_dagster_event()),
        at=datetime.fromtimestamp(record.timestamp, UTC),
        facts=facts,
        link=f"{_choose_ui_url(settings)}/runs/{run.run_id}",
    )


def _read_errors(settings: Settings, run_id: str) -> Mapping[str, str | None]:
    """Return the error of each symbol with a load record of the run, None for one loaded well.

    Empty if the run has no load record, or the warehouse can't be read.
    """
    try:
        with warehouse_of(settings) as warehouse:
            return {row.symbol: row.error_details for row in read_run_history(warehouse, [run_id])}
    except (MarketPipelineError, SQLAlchemyError):
        return {}


def _build_staleness_alert(
    known: set[str], stale: Mapping[str, StaleSymbol], settings: Settings, at: datetime
) -> Alert | None:
    """Return the alert for a channel that knows these symbols as stale; None if nothing is new to it.

    `at` stays the same from tick to tick: an alert that is sent again keeps its Idempotency-Key.
    """
    new = [name for name in stale if name not in known]
    if new:
        subject = new[0] if len(new) == 1 else format_count(len(new), "symbol")
        return Alert(
            kind="stale",
            title=f"Market Pipeline: {subject} {choose_verb(len(new))} stale",
            text=_join_lines([stale[name].description for name in new]),
            at=at,
            facts={"symbols": ", ".join(new), "stale in all": str(len(stale))},
            link=_choose_ui_url(settings),
        )
    if known and not stale:
        return Alert(
            "fresh",
            "Market Pipeline: all symbols are up to date again",
            "None is stale.",
            at,
            link=_choose_ui_url(settings),
        )
    return None


def _join_lines(lines: Sequence[str]) -> str:
    more = [f"And {len(lines) - MOST_LINES} more."] if len(lines) > MOST_LINES else []
    return "\n".join([*lines[:MOST_LINES], *more])


def _choose_ui_url(settings: Settings) -> str:
    return settings.dagster_ui_url or settings.dagster_webserver_url
