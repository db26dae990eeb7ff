"""The sensors: one has the analysts' tables built once the loads are over, one has newly tracked symbols loaded.

However many symbols and runs a night has, the tables are built once after them. Concept:
https://docs.dagster.io/guides/automate/sensors
"""

from collections.abc import Sequence, Set
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from market_pipeline.orchestration.assets import asset_key
from market_pipeline.orchestration.refusals import resume_refused
from market_pipeline.orchestration.reloading import SENSOR, ReloadError, WebserverUnreachableError, request_reload
from market_pipeline.orchestration.scheduler import keep_due_times
from market_pipeline.orchestration.schedules import every_night
from market_pipeline.settings import Settings
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.reading import newest_load
from market_pipeline.warehouse.tracked_symbols import active_symbols

UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
SECONDS = 30
ASK_AGAIN = timedelta(minutes=10)
"""How long a reload that was asked for is given before the same one is asked for again."""


def build_sensors(settings: Settings, marts_job: UnresolvedAssetJobDefinition) -> list[dg.SensorDefinition]:
    """The sensor that requests runs of `marts_job`."""

    @dg.sensor(
        name="marts_after_loads",
        job=marts_job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds the analysts' tables once after the runs that loaded something.",
    )
    def marts_after_loads(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with warehouse_of(settings) as warehouse:
            newest = newest_load(warehouse)
        if newest is None or newest == context.cursor:
            return dg.SkipReason("Nothing was loaded since the tables were last built.")
        runs = context.instance.get_runs(RunsFilter(statuses=UNDER_WAY))
        loading = [run for run in runs if run.job_name != marts_job.name]
        if loading:
            return dg.SkipReason(f"{len(loading)} runs are still under way.")
        context.update_cursor(newest)
        return dg.RunRequest(run_key=newest)

    return [marts_after_loads]


def build_symbols_sensor(settings: Settings, loaded: Sequence[Symbol]) -> dg.SensorDefinition:
    """The sensor that has the definitions, which hold the symbols `loaded`, loaded again once others are tracked.

    It also keeps what Dagster's database says of the schedules at what these definitions say.
    """

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the project loaded again when a symbol was added to tracked_symbols or removed from it.",
    )
    def tracked_symbols_changed(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        keep_due_times(context.instance, every_night(settings))
        with warehouse_of(settings) as warehouse:
            tracked = active_symbols(warehouse)
        if set(tracked) == set(loaded):
            return dg.SkipReason(f"All {len(loaded)} active symbols are loaded.{_resumed(context.instance, loaded)}")
        if busy := _covering(context.instance, set(loaded) - set(tracked)):
            return dg.SkipReason(
                f"{_changes(tracked, loaded)}. A reload now would end the backfill {busy[0]}, which covers that: it "
                "is asked for afterwards."
            )
        return dg.SkipReason(f"{_changes(tracked, loaded)}{_asked(context, settings, tracked)}")

    return tracked_symbols_changed


def _resumed(instance: dg.DagsterInstance, loaded: Sequence[Symbol]) -> str:
    resumed = resume_refused(instance, loaded)
    return f" Backfills that waited for one of them begin: {', '.join(resumed)}." if resumed else ""


def _covering(instance: dg.DagsterInstance, removed: Set[Symbol]) -> list[str]:
    """The backfills under way that cover removed symbols: Dagster would give them up with all their other symbols."""
    if not removed:
        return []
    gone = {asset_key(symbol) for symbol in removed}
    under_way = instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]))
    return [backfill.backfill_id for backfill in under_way if not gone.isdisjoint(backfill.asset_selection or [])]


def _asked(context: dg.SensorEvaluationContext, settings: Settings, tracked: Sequence[Symbol]) -> str:
    """Ask for a reload, unless that was done for the very same symbols a little while ago; what came of it.

    The reload ends the process that this runs in, so it isn't waited for.
    """
    wanted, now = _fingerprint(tracked), datetime.now(UTC)
    before, _, at = (context.cursor or "").partition(" ")
    if before == wanted and now < datetime.fromisoformat(at) + ASK_AGAIN:
        return (
            f": a reload was asked for at {at} and has not come about. If it doesn't, the Deployment page of the "
            "Dagster UI says why."
        )
    try:
        request_reload(settings.dagster_webserver_url)
    except WebserverUnreachableError as error:
        return f", but {error}. Without one, restart Dagster's daemon."
    except ReloadError as error:
        refused = f", but {error}."
    else:
        refused = ""
    context.update_cursor(f"{wanted} {now.isoformat(timespec='seconds')}")
    return refused or ": a reload was asked for."


def _changes(tracked: Sequence[Symbol], loaded: Sequence[Symbol]) -> str:
    added = sorted(symbol.name for symbol in set(tracked) - set(loaded))
    removed = sorted(symbol.name for symbol in set(loaded) - set(tracked))
    kinds = (("new", added), ("no longer tracked", removed))
    return "; ".join(f"{len(names)} {kind} ({', '.join(names[:10])})" for kind, names in kinds if names)


def _fingerprint(symbols: Sequence[Symbol]) -> str:
    """What tells one set of symbols from another, short enough for a cursor."""
    listed = sorted(f"{symbol.asset_class}/{symbol.name}" for symbol in symbols)
    return sha256(" ".join(listed).encode()).hexdigest()
