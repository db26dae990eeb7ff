"""What the sensor of the tracked symbols does: where other symbols are tracked than are loaded, ask for a reload.

It also hands over once more what waited for a reload, and keeps what Dagster's database says of the schedules at what
these definitions say.
"""

from collections.abc import Sequence, Set
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import dagster as dg
from dagster import RunsFilter

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import are, counted
from market_pipeline.dagster_storage.internals import NOT_FINISHED_STATUSES, BulkActionsFilter, BulkActionStatus
from market_pipeline.orchestration.assets import asset_key
from market_pipeline.orchestration.code_location import ReloadError, WebserverUnreachableError, request_reload
from market_pipeline.orchestration.rejected_backfills import resume_refused
from market_pipeline.orchestration.scheduler_status import keep_due_times
from market_pipeline.orchestration.schedules import every_night
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_symbols import active_symbols

ASK_AGAIN = timedelta(minutes=10)
"""How long a reload that was asked for is given before the same one is asked for again."""


def request_reload_for_changes(
    context: dg.SensorEvaluationContext, settings: Settings, loaded: Sequence[Symbol]
) -> dg.SkipReason:
    """Compare the symbols tracked with those that the definitions hold, and do what that takes; what was done."""
    keep_due_times(context.instance, every_night(settings))
    with warehouse_of(settings) as warehouse:
        tracked = active_symbols(warehouse)
    if set(tracked) == set(loaded):
        all_loaded = f"All {counted(len(loaded), 'active symbol')} {are(len(loaded))} loaded."
        return dg.SkipReason(f"{all_loaded}{_resumed(context.instance, loaded)}")
    if busy := _covering(context.instance, set(loaded) - set(tracked)):
        return dg.SkipReason(
            f"{_changes(tracked, loaded)}. A reload now would end the {busy[0]}, which covers that: it "
            "is asked for afterwards."
        )
    return dg.SkipReason(f"{_changes(tracked, loaded)}{_asked(context, settings, tracked)}")


def _resumed(instance: dg.DagsterInstance, loaded: Sequence[Symbol]) -> str:
    resumed = resume_refused(instance, loaded)
    return f" Backfills that waited for one of them begin: {', '.join(resumed)}." if resumed else ""


def _covering(instance: dg.DagsterInstance, removed: Set[Symbol]) -> list[str]:
    """The backfills and runs under way that cover removed symbols: Dagster would give them up with all their others."""
    if not removed:
        return []
    gone = {asset_key(symbol) for symbol in removed}
    under_way = instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]))
    unfinished = instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))
    return [
        *(f"backfill {each.backfill_id}" for each in under_way if not gone.isdisjoint(each.asset_selection or [])),
        *(f"run {each.run_id}" for each in unfinished if not gone.isdisjoint(each.asset_selection or [])),
    ]


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
