"""How a backfill of Dagster's goes, told by the accounts that its runs leave in the warehouse.

Dagster fails a backfill for a missing bar that no run could load, and is half a minute late to say that one has ended;
the accounts do neither. Knows backfills of symbols only. Starting and cancelling them is backfills.py's business.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Literal

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from sqlalchemy import Engine, Row

from market_pipeline.dagster_storage.internals import (
    BACKFILL_ID_TAG,
    BulkActionStatus,
    PartitionBackfill,
    TimeWindowPartitionsSubset,
)
from market_pipeline.orchestration.failure_causes import cause_of, innermost
from market_pipeline.orchestration.rejected_backfills import awaits_reload
from market_pipeline.orchestration.scheduler_status import NOT_RUNNING, backfill_daemon_alive
from market_pipeline.warehouse.load_history import COUNTERS, LoadCounters, run_history

Status = Literal["requested", "running", "succeeded", "failed", "cancelling", "cancelled"]
Account = Row
NOT_ALL_THERE = "Dagster shows it as failed, because bars are missing: `market-pipeline gaps` says which and why"
ENDED: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Progress(LoadCounters):
    """How far a backfill has come: a session is done once its symbol is accounted for, whether well or not.

    `sessions_*` are symbols times sessions. The last five are bars, and sessions without one after the load, of what
    is done: the columns of `backfill_history`.
    """

    sessions_total: int
    sessions_done: int
    symbols_total: int
    symbols_succeeded: int
    symbols_failed: int
    missing: int


@dataclass(frozen=True)
class BackfillJob:
    """A backfill and how it goes. Instants are in UTC; `start` and `end` are its first and last session.

    `errors` says of each failed symbol why it failed, `error` why the backfill itself did, `note` what else to know.
    """

    id: str
    status: Status
    symbols: Sequence[str]
    start: date
    end: date
    created_at: datetime
    ended_at: datetime | None
    run_ids: Sequence[str]
    progress: Progress
    errors: Mapping[str, str]
    error: str | None
    note: str | None


def jobs_of(instance: DagsterInstance, warehouse: Engine, backfills: Iterable[PartitionBackfill]) -> list[BackfillJob]:
    """How these backfills go, in their order, but for those of no symbol."""
    found = [(backfill, targets) for backfill in backfills if (targets := _targets(backfill))]
    if not found:
        return []
    runs = _runs(instance, [backfill.backfill_id for backfill, _ in found])
    accounts = _accounts(warehouse, [run for several in runs.values() for run in several])
    alive = backfill_daemon_alive(instance, datetime.now(UTC))
    known = [
        _Known(backfill, targets, runs[backfill.backfill_id], accounts[backfill.backfill_id])
        for backfill, targets in found
    ]
    return [_job(instance, facts, alive=alive) for facts in known]


@dataclass(frozen=True)
class _Known:
    """What is known of a backfill: which sessions of which symbol it covers, its runs, and their newest accounts."""

    backfill: PartitionBackfill
    targets: Mapping[str, TimeWindowPartitionsSubset]
    runs: Sequence[RunRecord]
    accounts: Sequence[Account]

    @cached_property
    def done(self) -> Mapping[str, int]:
        """How many sessions of each symbol are accounted for."""
        of_symbol = defaultdict(list)
        for account in self.accounts:
            of_symbol[account.symbol].append(account)
        return {name: _done(target, of_symbol[name]) for name, target in self.targets.items()}

    @cached_property
    def failures(self) -> Mapping[str, str]:
        """Why symbols failed that were accounted for."""
        return {account.symbol: account.error_details for account in self.accounts if not account.success}

    @property
    def unreached(self) -> list[str]:
        """The symbols that are not wholly accounted for."""
        return [name for name, target in self.targets.items() if self.done[name] < len(target)]

    @property
    def all_done(self) -> bool:
        """Whether nothing is left to do, however it went."""
        return not self.unreached and all(run.dagster_run.is_finished for run in self.runs)

    @property
    def status(self) -> Status:
        """In one word."""
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


def _job(instance: DagsterInstance, known: _Known, *, alive: bool) -> BackfillJob:
    backfill, status = known.backfill, known.status
    unreached = known.unreached if status == "failed" else []
    error = _error(instance, known) if unreached else None
    missed = dict.fromkeys(unreached, f"its run ended before it was reached: {error}")
    ended = max((run.end_time for run in known.runs if run.end_time), default=backfill.backfill_end_timestamp)
    spans = [_span(target) for target in known.targets.values()]
    return BackfillJob(
        id=backfill.backfill_id,
        status=status,
        symbols=sorted(known.targets),
        start=min(first for first, _ in spans),
        end=max(last for _, last in spans),
        created_at=_instant(backfill.backfill_timestamp),
        ended_at=_instant(ended) if ended and status in ENDED else None,
        run_ids=[run.dagster_run.run_id for run in known.runs],
        progress=_progress(known, failed=len({*known.failures, *missed})),
        errors={**missed, **known.failures},
        error=error,
        note=_note(known, status, alive=alive),
    )


def _progress(known: _Known, *, failed: int) -> Progress:
    succeeded = set(known.targets) - set(known.unreached) - set(known.failures)
    return Progress(
        sessions_total=sum(len(target) for target in known.targets.values()),
        sessions_done=sum(known.done.values()),
        symbols_total=len(known.targets),
        symbols_succeeded=len(succeeded),
        symbols_failed=failed,
        **{name: sum(getattr(account, name) for account in known.accounts) for name in (*COUNTERS, "missing")},
    )


def _note(known: _Known, status: Status, *, alive: bool) -> str | None:
    if status in ENDED:
        # Not before Dagster has noticed that it has ended, and only of what it then says.
        differs = status == "succeeded" and known.backfill.status is BulkActionStatus.COMPLETED_FAILED
        return NOT_ALL_THERE if differs else None
    if not alive:
        verb = "is cancelled" if status == "cancelling" else "goes on" if known.runs else "begins"
        return f"{NOT_RUNNING}: start it with `market-pipeline up`; the backfill {verb} when it does"
    if awaits_reload(known.backfill):
        return "Dagster's daemon has not loaded all of its symbols yet; it begins when they are, in a minute or two"
    return None


def _error(instance: DagsterInstance, known: _Known) -> str:
    """Why a backfill ended that did not come to the end of its work, in one line."""
    if known.backfill.error is not None:
        return innermost(known.backfill.error)
    causes = [cause for run in known.runs if (cause := _run_error(instance, run))]
    return causes[0] if causes else "its page in the Dagster UI says why"


def _run_error(instance: DagsterInstance, run: RunRecord) -> str | None:
    if run.dagster_run.status is DagsterRunStatus.CANCELED:
        return f"the run {run.dagster_run.run_id} was cancelled"
    ended = instance.get_records_for_run(run.dagster_run.run_id, of_type=DagsterEventType.RUN_FAILURE, limit=1).records
    if not ended:
        return None
    return cause_of(ended[0].event_log_entry.get_dagster_event())


def _targets(backfill: PartitionBackfill) -> dict[str, TimeWindowPartitionsSubset]:
    data = backfill.asset_backfill_data
    covered = data.target_subset.partitions_subsets_by_asset_key.items() if data else ()
    return {
        key.path[-1]: subset
        for key, subset in covered
        if key.path[:-1] == ["market_data"] and isinstance(subset, TimeWindowPartitionsSubset)
    }


def _runs(instance: DagsterInstance, backfill_ids: Sequence[str]) -> Mapping[str, Sequence[RunRecord]]:
    """The runs of each backfill, oldest first."""
    runs = defaultdict(list)
    for run in instance.get_run_records(RunsFilter(tags={BACKFILL_ID_TAG: list(backfill_ids)}), ascending=True):
        runs[run.dagster_run.tags[BACKFILL_ID_TAG]].append(run)
    return runs


def _accounts(warehouse: Engine, runs: Sequence[RunRecord]) -> Mapping[str, Sequence[Account]]:
    """The accounts of each backfill; of a symbol and sessions that were tried again, the newest."""
    of_run = {run.dagster_run.run_id: run.dagster_run.tags[BACKFILL_ID_TAG] for run in runs}
    newest = {
        (of_run[row.run_id], row.symbol, row.start_date, row.end_date): row
        for row in run_history(warehouse, list(of_run))
    }
    accounts = defaultdict(list)
    for (backfill_id, *_), row in newest.items():
        accounts[backfill_id].append(row)
    return accounts


def _done(target: TimeWindowPartitionsSubset, accounts: Sequence[Account]) -> int:
    """How many sessions of one symbol are accounted for. An account leaves out those after a delisting."""
    first, last = _span(target)
    if any(account.start_date <= first and account.end_date >= last for account in accounts):
        return len(target)
    return min(len(target), sum(int(account.sessions) for account in accounts))


def _span(target: TimeWindowPartitionsSubset) -> tuple[date, date]:
    """The first and the last day."""
    return target.first_start.date(), (target.included_time_windows[-1].end - timedelta(days=1)).date()


def _instant(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
