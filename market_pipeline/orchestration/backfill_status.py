"""Status of backfills, from the load records that their runs leave in the warehouse.

Dagster fails a backfill for a missing bar that no run could load, and notices its end half a minute late; the load
records avoid both. Only backfills of symbols have a status here. backfill_launch.py starts and cancels them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from sqlalchemy import Engine, Row

from market_pipeline.core.wording import name_some
from market_pipeline.dagster_storage.internals import (
    BACKFILL_ID_TAG,
    BulkActionStatus,
    PartitionBackfill,
    TimeWindowPartitionsSubset,
)
from market_pipeline.orchestration.failure_causes import describe_failure, describe_root_cause
from market_pipeline.orchestration.rejected_backfills import awaits_reload
from market_pipeline.orchestration.scheduler_status import NOT_RUNNING, is_backfill_daemon_alive
from market_pipeline.warehouse.corporate_action_refresh import NEXT_STEP
from market_pipeline.warehouse.load_history import COUNTERS, LoadCounters, read_run_history

Status = Literal["requested", "running", "succeeded", "failed", "cancelling", "cancelled"]
LoadRecord = Row
NOT_ALL_THERE = (
    "Dagster shows it as failed, because bars are missing: `market-pipeline gaps` lists them with the reasons"
)
ENDED: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class BackfillProgress(LoadCounters):
    """Counters of a backfill. A session is done once a load record covers it, loaded well or not.

    `sessions_*` are symbols times sessions. The others sum columns of `backfill_history` over the load records:
    bars, and `missing`, sessions without a bar after the load.
    """

    sessions_total: int
    sessions_done: int
    symbols_total: int
    symbols_succeeded: int
    symbols_failed: int
    missing: int


@dataclass(frozen=True)
class BackfillJob:
    """A backfill and its status. Times are in UTC; `start` and `end` are its first and last session.

    `errors` holds the reason of each failed symbol, `error` that of the backfill itself, `note` a remark for the user.
    """

    id: str
    status: Status
    symbols: Sequence[str]
    start: date
    end: date
    created_at: datetime
    ended_at: datetime | None
    run_ids: Sequence[str]
    progress: BackfillProgress
    errors: Mapping[str, str]
    error: str | None
    note: str | None


def describe_backfills(
    instance: DagsterInstance, warehouse: Engine, backfills: Iterable[PartitionBackfill]
) -> list[BackfillJob]:
    """Return the status of these backfills, in their order, without those that cover no symbol."""
    found = [(backfill, targets) for backfill in backfills if (targets := _read_targets(backfill))]
    if not found:
        return []
    runs = _read_runs(instance, [backfill.backfill_id for backfill, _ in found])
    records = _read_load_records(warehouse, [run for several in runs.values() for run in several])
    alive = is_backfill_daemon_alive(instance, datetime.now(UTC))
    facts = [
        _BackfillFacts(backfill, targets, runs[backfill.backfill_id], records[backfill.backfill_id])
        for backfill, targets in found
    ]
    return [_build_job(instance, each, alive=alive) for each in facts]


@dataclass(frozen=True)
class _BackfillFacts:
    """The stored facts of a backfill: the sessions it covers by symbol, its runs and their newest load records."""

    backfill: PartitionBackfill
    targets: Mapping[str, TimeWindowPartitionsSubset]
    runs: Sequence[RunRecord]
    records: Sequence[LoadRecord]

    @cached_property
    def done(self) -> Mapping[str, int]:
        """Number of sessions that are done, by symbol."""
        by_symbol = defaultdict(list)
        for record in self.records:
            by_symbol[record.symbol].append(record)
        return {name: _count_done(target, by_symbol[name]) for name, target in self.targets.items()}

    @cached_property
    def failures(self) -> Mapping[str, str]:
        """Error of each symbol whose load failed."""
        return {record.symbol: record.error_details for record in self.records if not record.success}

    @property
    def unreached(self) -> list[str]:
        """Symbols with sessions that are not done."""
        return [name for name, target in self.targets.items() if self.done[name] < len(target)]

    @property
    def all_done(self) -> bool:
        """True if every session is done and every run has ended."""
        return not self.unreached and all(run.dagster_run.is_finished for run in self.runs)

    @property
    def status(self) -> Status:
        """Status of the backfill. The load records decide first, then Dagster's own status."""
        if self.all_done and not self.failures:
            return "succeeded"
        if self.backfill.status is BulkActionStatus.CANCELING:
            return "cancelling"
        if self.backfill.status is BulkActionStatus.CANCELED:
            return "cancelled"
        if self.all_done:
            return "failed"
        if self.backfill.status is BulkActionStatus.REQUESTED or awaits_reload(self.backfill):
            return "running" if self.runs else "requested"
        return "failed"


def _build_job(instance: DagsterInstance, facts: _BackfillFacts, *, alive: bool) -> BackfillJob:
    backfill, status = facts.backfill, facts.status
    unreached = facts.unreached if status == "failed" else []
    error = _find_error(instance, facts) if unreached else None
    missed = dict.fromkeys(unreached, f"its run ended before it was reached: {error}")
    ended = max((run.end_time for run in facts.runs if run.end_time), default=backfill.backfill_end_timestamp)
    spans = [_find_span(target) for target in facts.targets.values()]
    return BackfillJob(
        id=backfill.backfill_id,
        status=status,
        symbols=sorted(facts.targets),
        start=min(first for first, _ in spans),
        end=max(last for _, last in spans),
        created_at=_to_utc(backfill.backfill_timestamp),
        ended_at=_to_utc(ended) if ended and status in ENDED else None,
        run_ids=[run.dagster_run.run_id for run in facts.runs],
        progress=_sum_progress(facts, failed=len({*facts.failures, *missed})),
        errors={**missed, **facts.failures},
        error=error,
        note=_build_note(facts, status, alive=alive),
    )


def _sum_progress(facts: _BackfillFacts, *, failed: int) -> BackfillProgress:
    succeeded = set(facts.targets) - set(facts.unreached) - set(facts.failures)
    return BackfillProgress(
        sessions_total=sum(len(target) for target in facts.targets.values()),
        sessions_done=sum(facts.done.values()),
        symbols_total=len(facts.targets),
        symbols_succeeded=len(succeeded),
        symbols_failed=failed,
        **{name: sum(getattr(record, name) for record in facts.records) for name in (*COUNTERS, "missing")},
    )


def _build_note(facts: _BackfillFacts, status: Status, *, alive: bool) -> str | None:
    if status in ENDED:
        # Only once Dagster has noticed the end, and only if it then shows another status.
        differs = status == "succeeded" and facts.backfill.status is BulkActionStatus.COMPLETED_FAILED
        return " ".join([NOT_ALL_THERE] * differs + _find_action_failures(facts)) or None
    if not alive:
        verb = "is cancelled" if status == "cancelling" else "goes on" if facts.runs else "begins"
        return f"{NOT_RUNNING}: start it with `market-pipeline up`; the backfill {verb} when it does"
    if awaits_reload(facts.backfill):
        return "Dagster's daemon has not loaded all of its symbols yet; it begins when they are, in a minute or two"
    return None


def _find_action_failures(facts: _BackfillFacts) -> list[str]:
    names = [record.symbol for record in facts.records if NEXT_STEP in (record.notes or "")]
    if not names:
        return []
    return [
        f"The splits or dividends of {name_some(names)} could not be fetched, as backfill_history says; {NEXT_STEP}"
    ]


def _find_error(instance: DagsterInstance, facts: _BackfillFacts) -> str:
    """Return the reason, in one line, for which a backfill ended before all its sessions were done."""
    if facts.backfill.error is not None:
        return describe_root_cause(facts.backfill.error)
    causes = [cause for run in facts.runs if (cause := _find_run_error(instance, run))]
    return causes[0] if causes else "see its page in the Dagster UI"


def _find_run_error(instance: DagsterInstance, run: RunRecord) -> str | None:
    if run.dagster_run.status is DagsterRunStatus.CANCELED:
        return f"the run {run.dagster_run.run_id} was cancelled"
    ended = instance.get_records_for_run(run.dagster_run.run_id, of_type=DagsterEventType.RUN_FAILURE, limit=1).records
    if not ended:
        return None
    return describe_failure(ended[0].event_log_entry.get_dagster_event())


def _read_targets(backfill: PartitionBackfill) -> dict[str, TimeWindowPartitionsSubset]:
    data = backfill.asset_backfill_data
    covered = data.target_subset.partitions_subsets_by_asset_key.items() if data else ()
    return {
        key.path[-1]: subset
        for key, subset in covered
        if key.path[:-1] == ["market_data"] and isinstance(subset, TimeWindowPartitionsSubset)
    }


def _read_runs(instance: DagsterInstance, backfill_ids: Sequence[str]) -> Mapping[str, Sequence[RunRecord]]:
    """Return the runs of each backfill, oldest first."""
    runs = defaultdict(list)
    for run in instance.get_run_records(RunsFilter(tags={BACKFILL_ID_TAG: list(backfill_ids)}), ascending=True):
        runs[run.dagster_run.tags[BACKFILL_ID_TAG]].append(run)
    return runs


def _read_load_records(warehouse: Engine, runs: Sequence[RunRecord]) -> Mapping[str, Sequence[LoadRecord]]:
    """Return the load records of each backfill; of retries of the same symbol and sessions, the newest."""
    backfill_of_run = {run.dagster_run.run_id: run.dagster_run.tags[BACKFILL_ID_TAG] for run in runs}
    newest = {
        (backfill_of_run[row.run_id], row.symbol, row.start_date, row.end_date): row
        for row in read_run_history(warehouse, list(backfill_of_run))
    }
    records = defaultdict(list)
    for (backfill_id, *_), row in newest.items():
        records[backfill_id].append(row)
    return records


def _count_done(target: TimeWindowPartitionsSubset, records: Sequence[LoadRecord]) -> int:
    """Count the done sessions of one symbol. A load record leaves out sessions after a delisting."""
    first, last = _find_span(target)
    if any(record.start_date <= first and record.end_date >= last for record in records):
        return len(target)
    return min(len(target), sum(int(record.sessions) for record in records))


def _find_span(target: TimeWindowPartitionsSubset) -> tuple[date, date]:
    """Return the first and the last day."""
    return target.first_start.date(), (target.included_time_windows[-1].end - timedelta(days=1)).date()


def _to_utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
