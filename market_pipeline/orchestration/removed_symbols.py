"""Removed symbols that keep an asset because a run or backfill under way covers them.

A run loads the definitions anew, and Dagster fails the whole run if one of its assets is not among them. So the asset
stays until the runs and backfills that cover it have ended; their load records name the symbol as removed.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from dagster import RunsFilter

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import NOT_FINISHED_STATUSES, BulkActionsFilter, BulkActionStatus
from market_pipeline.orchestration.assets import asset_key


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
        runs = storage.run_storage.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))
        requested = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
        backfills = storage.run_storage.get_backfills(filters=requested)
        selections = [*(run.asset_selection for run in runs), *(each.asset_selection for each in backfills)]
    covered = {key for selection in selections for key in selection or ()}
    return [symbol for symbol in removed if asset_key(symbol) in covered]
