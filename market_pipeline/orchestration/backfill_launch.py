"""Backfills executed by Dagster's daemon: start one over a range of sessions, find it, cancel it.

They equal backfills started in the Dagster UI, which are found here too. backfill_status.py reads their status.
Concept: https://docs.dagster.io/guides/build/partitions-and-backfills/backfilling-data
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from dagster import AssetKey, DagsterInstance, PartitionKeyRange
from sqlalchemy import Engine

from market_pipeline.core.errors import UsageError
from market_pipeline.core.run_planning import TRIGGER_TAG, RangeRun, plan_range_runs
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import format_count
from market_pipeline.dagster_storage.internals import (
    AssetGraphSubset,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
    PartitionsSubset,
    make_new_backfill_id,
)
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.backfill_status import ENDED, BackfillJob, describe_backfills
from market_pipeline.orchestration.code_location import WebserverUnreachableError, ensure_loaded
from market_pipeline.orchestration.partitions import build_session_partitions
from market_pipeline.orchestration.rejected_backfills import MAX_WAIT, REJECTED, awaits_reload


class NothingToBackfillError(UsageError):
    """A backfill was requested without a symbol."""


def start_backfill(
    settings: Settings,
    instance: DagsterInstance,
    warehouse: Engine,
    symbols: Sequence[Symbol],
    start: date,
    end: date,
    *,
    trigger: str = "api",
    now: datetime,
) -> BackfillJob:
    """Start a backfill of these symbols, one run per calendar, in Dagster's daemon; return before it begins.

    If Dagster's webserver has not loaded a symbol yet, it reloads the definitions first, which takes seconds.

    Args:
        settings: hold the webserver's URL.
        instance: Dagster's instance.
        warehouse: the database in which the runs store their load records.
        symbols: tracked symbols, of any calendars.
        start: the first day.
        end: the last day; sessions that are not over at `now` are left out.
        trigger: the `trigger` of the load records. Not `cli`, whose runs are closed when no command runs.
        now: the current time, with a time zone.

    Raises:
        NothingToBackfillError: `symbols` is empty.
        NoSessionError: `start` is after `end`, or a calendar has no session that is over between them.
        ReloadError: Dagster can't load the symbols; nothing is started then.
    """
    symbols = sorted(set(symbols))
    if not symbols:
        raise NothingToBackfillError("there is no symbol to backfill: name at least one")
    runs = plan_range_runs(symbols, start, end, now)
    warning = _ensure_loaded(settings, symbols)
    # Dagster's own mutation, launchPartitionBackfill, writes this same record. For 15 symbols over 5 years it takes
    # 1.1 s of CPU time, this function 0.11 s. The mutation needs a loaded code location as well, the record none.
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=make_new_backfill_id(),
        backfill_timestamp=now.timestamp(),
        tags={TRIGGER_TAG: trigger},
        dynamic_partitions_store=instance,
        asset_graph_subset=_build_target(runs, now),
        title=_build_title(symbols, start, end),
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    [job] = describe_backfills(instance, warehouse, [backfill])
    return replace(job, note=" ".join(note for note in (job.note, warning) if note) or None)


def find_backfill(instance: DagsterInstance, warehouse: Engine, backfill_id: str) -> BackfillJob | None:
    """Return the backfill with that id; None if there is none that covers a symbol."""
    found = instance.get_backfill(backfill_id)
    return next(iter(describe_backfills(instance, warehouse, [found] if found else [])), None)


def list_backfills(instance: DagsterInstance, warehouse: Engine, limit: int) -> list[BackfillJob]:
    """Return the backfills of symbols among Dagster's newest `limit`, newest first."""
    return describe_backfills(instance, warehouse, instance.get_backfills(limit=limit))


def list_unfinished_backfills(instance: DagsterInstance, warehouse: Engine) -> list[BackfillJob]:
    """Return the backfills of symbols that have not ended, including those started in the UI."""
    filters = (
        BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]),
        BulkActionsFilter(statuses=REJECTED, created_after=datetime.now(UTC) - MAX_WAIT),
    )
    found = [backfill for each in filters for backfill in instance.get_backfills(filters=each)]
    return [job for job in describe_backfills(instance, warehouse, found) if job.status not in ENDED]


def find_same_backfill(
    jobs: Sequence[BackfillJob], symbols: Sequence[Symbol], start: date, end: date, now: datetime
) -> BackfillJob | None:
    """Return the job that covers the same symbols and sessions and is not being cancelled; None if none does.

    Raises:
        NoSessionError: `start` is after `end`, or a calendar has no session that is over between them.
    """
    runs = plan_range_runs(sorted(set(symbols)), start, end, now)
    names = sorted({symbol.name for symbol in symbols})
    first, last = min(run.sessions[0] for run in runs), max(run.sessions[-1] for run in runs)
    same = (job for job in jobs if (job.symbols, job.start, job.end) == (names, first, last))
    return next((job for job in same if job.status != "cancelling"), None)


def cancel_backfill(instance: DagsterInstance, warehouse: Engine, backfill_id: str) -> BackfillJob | None:
    """Cancel a backfill and its runs, unless it has ended, and return it; None if there is none.

    Dagster's daemon cancels them. Loaded bars stay.
    """
    job = find_backfill(instance, warehouse, backfill_id)
    backfill = instance.get_backfill(backfill_id)
    if job is None or backfill is None:
        return None
    if backfill.status is BulkActionStatus.REQUESTED:
        instance.update_backfill(backfill._replace(status=BulkActionStatus.CANCELING))
    elif backfill.status is BulkActionStatus.FAILED and awaits_reload(backfill):
        instance.update_backfill(backfill._replace(status=BulkActionStatus.CANCELED))
    return find_backfill(instance, warehouse, backfill_id)


def _ensure_loaded(settings: Settings, symbols: Sequence[Symbol]) -> str | None:
    """Load the symbols in Dagster if needed; return a note for the user if its webserver can't be reached."""
    try:
        ensure_loaded(settings, symbols)
    except WebserverUnreachableError as error:
        return f"Dagster may not have loaded these symbols: {error}. The backfill waits for those that are new."
    return None


def _build_target(runs: Sequence[RangeRun], now: datetime) -> AssetGraphSubset:
    """Return the symbols and sessions of the runs as Dagster stores them."""
    covered: dict[AssetKey, PartitionsSubset] = {}
    for run in runs:
        partitions = build_session_partitions(run.calendar, now.date())
        span = PartitionKeyRange(run.sessions[0].isoformat(), run.sessions[-1].isoformat())
        sessions = partitions.empty_subset().with_partition_key_range(partitions, span)
        covered |= {build_asset_key(symbol): sessions for symbol in run.symbols}
    return AssetGraphSubset(partitions_subsets_by_asset_key=covered)  # type: ignore[call-arg]


def _build_title(symbols: Sequence[Symbol], start: date, end: date) -> str:
    named = ", ".join(symbol.name for symbol in symbols) if len(symbols) <= 4 else format_count(len(symbols), "symbol")
    return f"{named}, {start} to {end}"
