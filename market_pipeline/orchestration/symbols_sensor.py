"""Evaluation of the sensor `tracked_symbols_changed`: request a reload if other symbols or markets are tracked.

It also starts the backfills again that waited for a reload, and updates the schedules' due times in Dagster's database.
"""

from collections.abc import Sequence, Set
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import dagster as dg

from market_pipeline.core.markets import Market
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import choose_verb, format_count
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.code_location import ReloadError, WebserverUnreachableError, request_reload
from market_pipeline.orchestration.market_assets import build_market_key
from market_pipeline.orchestration.rejected_backfills import resume_rejected
from market_pipeline.orchestration.removed_symbols import list_selections_under_way
from market_pipeline.orchestration.scheduler_status import update_stored_crons
from market_pipeline.orchestration.schedules import build_nightly_cron
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_markets import list_tracked_markets
from market_pipeline.warehouse.tracked_symbols import list_active_symbols

RETRY_AFTER = timedelta(minutes=10)
"""Time that a requested reload is given before the same one is requested again."""


Tracked = Symbol | Market


def request_reload_for_changes(
    context: dg.SensorEvaluationContext, settings: Settings, loaded: Sequence[Symbol], markets: Sequence[Market]
) -> dg.SkipReason:
    """Request a reload if other symbols or markets are tracked than loaded; the skip reason reports the result."""
    update_stored_crons(context.instance, build_nightly_cron(settings))
    with warehouse_of(settings) as warehouse:
        tracked: set[Tracked] = {*list_active_symbols(warehouse), *list_tracked_markets(warehouse)}
    before: set[Tracked] = {*loaded, *markets}
    if tracked == before:
        resumed = resume_rejected(context.instance, loaded)
        started = f" Backfills that waited for one of them begin: {', '.join(resumed)}." if resumed else ""
        return dg.SkipReason(
            f"All {format_count(len(loaded), 'active symbol')} {choose_verb(len(loaded))} loaded.{started}"
        )
    changes = _describe_changes(tracked - before, before - tracked)
    if covering := _find_covering(context.instance, before - tracked):
        return dg.SkipReason(
            f"{changes}. A reload now would end the {covering[0]}, which covers that: it is requested afterwards."
        )
    return dg.SkipReason(f"{changes}{_request(context, settings, tracked)}")


def _find_covering(instance: dg.DagsterInstance, removed: Set[Tracked]) -> list[str]:
    """Return the backfills and runs under way that cover removed symbols or markets.

    A reload without those assets makes Dagster give them up, with all their other symbols.
    """
    if not removed:
        return []
    keys = {build_market_key(each) if isinstance(each, Market) else build_asset_key(each) for each in removed}
    selections = list_selections_under_way(instance.run_storage)
    return [description for description, selection in selections.items() if not keys.isdisjoint(selection)]


def _request(context: dg.SensorEvaluationContext, settings: Settings, tracked: Set[Tracked]) -> str:
    """Request a reload, unless that was done for the same ones less than RETRY_AFTER ago; return the result.

    The reload ends the process that this runs in, so there is no waiting for it.
    """
    fingerprint, now = _compute_fingerprint(tracked), datetime.now(UTC)
    before, _, at = (context.cursor or "").partition(" ")
    if before == fingerprint and now < datetime.fromisoformat(at) + RETRY_AFTER:
        return (
            f": a reload was requested at {at} and has not happened yet. If it doesn't, see the Deployment page of the "
            "Dagster UI for the reason."
        )
    try:
        request_reload(settings.dagster_webserver_url)
    except WebserverUnreachableError as error:
        return f", but {error}. Without one, restart Dagster's daemon."
    except ReloadError as error:
        result = f", but {error}."
    else:
        result = ": a reload was requested."
    context.update_cursor(f"{fingerprint} {now.isoformat(timespec='seconds')}")
    return result


def _describe_changes(added: Set[Tracked], removed: Set[Tracked]) -> str:
    kinds = ((added, "new"), (removed, "no longer tracked"))
    names = ((sorted(map(_name, changed)), kind) for changed, kind in kinds)
    return "; ".join(f"{len(some)} {kind} ({', '.join(some[:10])})" for some, kind in names if some)


def _name(tracked: Tracked) -> str:
    return f"market {tracked.option}" if isinstance(tracked, Market) else tracked.name


def _compute_fingerprint(tracked: Set[Tracked]) -> str:
    """Return a hash of what is tracked, short enough for a cursor."""
    listed = sorted(_name(each) if isinstance(each, Market) else f"{each.asset_class}/{each.name}" for each in tracked)
    return sha256(" ".join(listed).encode()).hexdigest()
