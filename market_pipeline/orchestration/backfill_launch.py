"""Backfills that Dagster's daemon executes: starting one over a range of sessions, finding it again, cancelling it.

They are backfills like those started in the Dagster UI, which are found here too. How one goes, backfill_jobs.py says.
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
from market_pipeline.core.wording import counted
from market_pipeline.dagster_storage.internals import (
    AssetGraphSubset,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
    PartitionsSubset,
    make_new_backfill_id,
)
from market_pipeline.orchestration.assets import asset_key
from market_pipeline.orchestration.backfill_status import ENDED, BackfillJob, jobs_of
from market_pipeline.orchestration.code_location import WebserverUnreachableError, ensure_loaded
from market_pipeline.orchestration.partitions import session_partitions
from market_pipeline.orchestration.rejected_backfills import MAX_WAIT, REFUSED, awaits_reload


class NothingToBackfillError(UsageError):
    """A backfill of no symbol was asked for."""


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
    """Hand Dagster's daemon a backfill of these symbols: one run a calendar. Returns at once, or after a reload.

    A symbol that Dagster's webserver doesn't know yet is loaded first, which takes seconds.

    Args:
        settings: where the webserver is.
        instance: Dagster's.
        warehouse: the database that the runs account to.
        symbols: tracked ones; of any calendars.
        start: the first day.
        end: the last day; sessions that are not over at `now` are left out.
        trigger: what `backfill_history` says started the runs. Not `cli`, whose runs are closed when no command runs.
        now: the time, with a time zone.

    Raises:
        NothingToBackfillError: there are no symbols.
        NoSessionError: `start` is after `end`, or a calendar has no session that is over between them.
        ReloadError: Dagster can't load the symbols; nothing is started then.
    """
    symbols = sorted(set(symbols))
    if not symbols:
        raise NothingToBackfillError("there is no symbol to backfill: name at least one")
    runs = plan_range_runs(symbols, start, end, now)
    unsure = _made_known(settings, symbols)
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=make_new_backfill_id(),
        backfill_timestamp=now.timestamp(),
        tags={TRIGGER_TAG: trigger},
        dynamic_partitions_store=instance,
        asset_graph_subset=_target(runs, now),
        title=_title(symbols, start, end),
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    [job] = jobs_of(instance, warehouse, [backfill])
    return replace(job, note=" ".join(note for note in (job.note, unsure) if note) or None)


def backfill_job(instance: DagsterInstance, warehouse: Engine, backfill_id: str) -> BackfillJob | None:
    """The backfill of that id; None where there is none of any symbol."""
    found = instance.get_backfill(backfill_id)
    return next(iter(jobs_of(instance, warehouse, [found] if found else [])), None)


def backfill_jobs(instance: DagsterInstance, warehouse: Engine, limit: int) -> list[BackfillJob]:
    """The backfills of symbols among the newest `limit` of Dagster's, newest first."""
    return jobs_of(instance, warehouse, instance.get_backfills(limit=limit))


def unfinished_backfills(instance: DagsterInstance, warehouse: Engine) -> list[BackfillJob]:
    """The backfills of symbols that have not ended, whoever started them."""
    filters = (
        BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]),
        BulkActionsFilter(statuses=REFUSED, created_after=datetime.now(UTC) - MAX_WAIT),
    )
    found = [backfill for each in filters for backfill in instance.get_backfills(filters=each)]
    return [job for job in jobs_of(instance, warehouse, found) if job.status not in ENDED]


def same_backfill(
    jobs: Sequence[BackfillJob], symbols: Sequence[Symbol], start: date, end: date, now: datetime
) -> BackfillJob | None:
    """The one of these that covers what `start_backfill` would, and that nobody has cancelled; None if none does.

    Raises:
        NoSessionError: there is nothing to cover.
    """
    runs = plan_range_runs(sorted(set(symbols)), start, end, now)
    names = sorted({symbol.name for symbol in symbols})
    first, last = min(run.sessions[0] for run in runs), max(run.sessions[-1] for run in runs)
    alike = (job for job in jobs if (job.symbols, job.start, job.end) == (names, first, last))
    return next((job for job in alike if job.status != "cancelling"), None)


def cancel_backfill(instance: DagsterInstance, warehouse: Engine, backfill_id: str) -> BackfillJob | None:
    """Have Dagster's daemon cancel a backfill and its runs, unless it has ended; None where there is none.

    What was loaded stays.
    """
    job = backfill_job(instance, warehouse, backfill_id)
    backfill = instance.get_backfill(backfill_id)
    if job is None or backfill is None:
        return None
    if backfill.status is BulkActionStatus.REQUESTED:
        instance.update_backfill(backfill._replace(status=BulkActionStatus.CANCELING))
    elif backfill.status is BulkActionStatus.FAILED and awaits_reload(backfill):
        instance.update_backfill(backfill._replace(status=BulkActionStatus.CANCELED))
    return backfill_job(instance, warehouse, backfill_id)


def _made_known(settings: Settings, symbols: Sequence[Symbol]) -> str | None:
    """See to it that Dagster knows the symbols; a note where it can't be asked."""
    try:
        ensure_loaded(settings, symbols)
    except WebserverUnreachableError as error:
        return f"Whether Dagster has loaded these symbols could not be asked: {error}. It waits for those that are new."
    return None


def _target(runs: Sequence[RangeRun], now: datetime) -> AssetGraphSubset:
    """What the runs cover, as Dagster writes it down."""
    covered: dict[AssetKey, PartitionsSubset] = {}
    for run in runs:
        partitions = session_partitions(run.calendar, now.date())
        span = PartitionKeyRange(run.sessions[0].isoformat(), run.sessions[-1].isoformat())
        sessions = partitions.empty_subset().with_partition_key_range(partitions, span)
        covered |= {asset_key(symbol): sessions for symbol in run.symbols}
    return AssetGraphSubset(partitions_subsets_by_asset_key=covered)  # type: ignore[call-arg]


def _title(symbols: Sequence[Symbol], start: date, end: date) -> str:
    named = ", ".join(symbol.name for symbol in symbols) if len(symbols) <= 4 else counted(len(symbols), "symbol")
    return f"{named}, {start} to {end}"
