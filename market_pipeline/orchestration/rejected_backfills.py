"""Rejected backfills: Dagster's daemon fails them for a symbol that it has not loaded yet; they are started again.

The daemon fails such a backfill permanently, before any run, though it loads the symbol within a minute.
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
from market_pipeline.orchestration.assets import build_asset_key

MAX_REJECTIONS = 5
MAX_WAIT = timedelta(hours=1)
"""The most rejections, and the longest time, until a rejected backfill counts as failed."""

REJECTED = (BulkActionStatus.FAILING, BulkActionStatus.FAILED)
"""Statuses of a backfill that the daemon rejects."""


def awaits_reload(backfill: PartitionBackfill) -> bool:
    """Return True if the daemon rejected this backfill and it starts again once its symbols are loaded."""
    data, error = backfill.asset_backfill_data, backfill.error
    return (
        backfill.status in REJECTED
        and error is not None
        and error.cls_name == DagsterAssetBackfillDataLoadError.__name__
        and data is not None
        and data.requested_subset.is_empty
        and backfill.failure_count <= MAX_REJECTIONS
        and datetime.now(UTC) - datetime.fromtimestamp(backfill.backfill_timestamp, UTC) < MAX_WAIT
    )


def resume_rejected(instance: DagsterInstance, loaded: Sequence[Symbol]) -> list[str]:
    """Start the rejected backfills again whose symbols are all `loaded` now, and return their ids."""
    known = {build_asset_key(symbol) for symbol in loaded}
    recent = BulkActionsFilter(statuses=[BulkActionStatus.FAILED], created_after=datetime.now(UTC) - MAX_WAIT)
    rejected = [backfill for backfill in instance.get_backfills(recent) if awaits_reload(backfill)]
    resumed = [backfill for backfill in rejected if known.issuperset(backfill.asset_selection or [])]
    for backfill in resumed:
        instance.update_backfill(
            backfill._replace(status=BulkActionStatus.REQUESTED, error=None, backfill_end_timestamp=None)
        )
    return [backfill.backfill_id for backfill in resumed]
