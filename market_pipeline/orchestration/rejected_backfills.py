"""Backfills that Dagster's daemon refused because it had not loaded a new symbol yet, and handing them over once more.

The daemon fails such a backfill for good, before any run, though it learns of the symbol within a minute.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance

from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import (
    BulkActionsFilter,
    BulkActionStatus,
    DagsterAssetBackfillDataLoadError,
    PartitionBackfill,
)
from market_pipeline.orchestration.assets import asset_key

MAX_REFUSALS = 5
MAX_WAIT = timedelta(hours=1)
"""How often, and for how long, a backfill may be refused until it counts as failed."""

REFUSED = (BulkActionStatus.FAILING, BulkActionStatus.FAILED)
"""Statuses of a backfill that the daemon rejects."""


def awaits_reload(backfill: PartitionBackfill) -> bool:
    """Whether the daemon refused a backfill that it will be handed once more when it knows the symbols."""
    data, error = backfill.asset_backfill_data, backfill.error
    return (
        backfill.status in REFUSED
        and error is not None
        and error.cls_name == DagsterAssetBackfillDataLoadError.__name__
        and data is not None
        and data.requested_subset.is_empty
        and backfill.failure_count <= MAX_REFUSALS
        and datetime.now(UTC) - datetime.fromtimestamp(backfill.backfill_timestamp, UTC) < MAX_WAIT
    )


def resume_refused(instance: DagsterInstance, loaded: Sequence[Symbol]) -> list[str]:
    """Hand the daemon once more what it refused, where its symbols are loaded now; the backfills' ids."""
    known = {asset_key(symbol) for symbol in loaded}
    recent = BulkActionsFilter(statuses=[BulkActionStatus.FAILED], created_after=datetime.now(UTC) - MAX_WAIT)
    refused = [found for found in instance.get_backfills(recent) if awaits_reload(found)]
    resumed = [found for found in refused if known.issuperset(found.asset_selection or [])]
    for backfill in resumed:
        instance.update_backfill(
            backfill._replace(status=BulkActionStatus.REQUESTED, error=None, backfill_end_timestamp=None)
        )
    return [backfill.backfill_id for backfill in resumed]
