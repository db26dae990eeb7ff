"""Removed symbols that keep an asset because a run or backfill under way covers them.

A run loads the definitions anew, and Dagster fails the whole run if one of its assets is not among them. So the asset
stays until the runs and backfills that cover it have ended; their load records name the symbol as removed.
"""

from collections.abc import Mapping, Sequence, Set
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dagster import AssetKey, RunsFilter

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import NOT_FINISHED_STATUSES, BulkActionsFilter, BulkActionStatus
from market_pipeline.orchestration.assets import build_asset_key

if TYPE_CHECKING:
    from market_pipeline.dagster_storage.internals import RunStorage


def find_symbols_under_way(settings: Settings, removed: Sequence[Symbol]) -> list[Symbol]:
    """Return the removed symbols that a run or backfill under way covers.

    Raises:
        DagsterDatabaseError: Dagster's database can't be used.
    """
    if not removed:
        return []
    from market_pipeline.orchestration.instance_storage import open_storage  # otherwise not needed here

    storage = open_storage(settings)
    with ExitStack() as stack:
        for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
            stack.callback(part.dispose)
        covered = set[AssetKey]().union(*list_selections_under_way(storage.run_storage).values())
    return [symbol for symbol in removed if build_asset_key(symbol) in covered]


def list_selections_under_way(runs: "RunStorage") -> Mapping[str, Set[AssetKey]]:
    """Return the assets of each backfill and run under way, by its description: `backfill <id>` or `run <id>`."""
    backfills = runs.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]))
    unfinished = runs.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))
    return {
        **{f"backfill {each.backfill_id}": set(each.asset_selection or ()) for each in backfills},
        **{f"run {each.run_id}": set(each.asset_selection or ()) for each in unfinished},
    }
