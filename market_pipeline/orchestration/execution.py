"""Execution of a step of the assets: load its symbols, record materializations, and run their checks.

`market_pipeline.ingest` does the loading; this module connects it with Dagster.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.run_planning import SCHEDULE, find_trigger
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import format_count, prefix_symbol
from market_pipeline.corporate_action_requests import RunActions
from market_pipeline.dagster_storage.recording import (
    NO_ROW,
    ONE_ROW,
    Materialized,
    MaterializedAsset,
    record_check_results,
    record_materializations,
)
from market_pipeline.ingest import Run, Vendor, ingest
from market_pipeline.orchestration.checks import build_check_results
from market_pipeline.orchestration.corporate_action_execution import report_actions
from market_pipeline.orchestration.partitions import PartitionError, check_partitions_chosen
from market_pipeline.orchestration.resources import Pipeline
from market_pipeline.series_vendor import SeriesVendor
from market_pipeline.warehouse.load_history import BAR_COUNTERS, LoadResult
from market_pipeline.warehouse.tracked_symbols import NotTrackedError, list_active_symbols, read_delistings


@dataclass(frozen=True)
class _TrackedVendor:
    """A vendor that gets no request for a symbol removed since the run was requested.

    Bars are returned once the run's splits are stored, as long as these are not late.
    """

    vendor: Vendor
    tracked: frozenset[Symbol]
    actions: RunActions

    @property
    def source(self) -> Source:
        return self.vendor.source

    def fetch_bars(self, symbol: Symbol, last: date) -> FetchedBars:
        if symbol not in self.tracked:
            raise NotTrackedError(
                f"{symbol.name} is no longer tracked: `market-pipeline symbols add {symbol.name}` tracks it again"
            )
        fetched = self.vendor.fetch_bars(symbol, last)
        self.actions.wait_for_splits()
        return fetched


def load_symbols(
    context: dg.AssetExecutionContext, symbols: Sequence[Symbol], find_in_run: Callable[[], Sequence[Symbol]]
) -> None:
    """Load the run's sessions of a step's symbols, and record one materialization per settled session.

    A session is settled if its bar is stored, or if the vendor has confirmed that there is none. Requests are planned
    by the first step for all symbols of the run that share a process (`find_in_run`), with their splits and dividends
    beside the bars.

    Raises:
        dagster.Failure: no partition was chosen, or symbols failed. The others are loaded and stay materialized.
    """
    sessions = read_sessions(context)
    pipeline: Pipeline = context.resources.pipeline
    run = Run(context.run.run_id, find_trigger(context.run.tags))
    series, actions = pipeline.open_run(find_in_run, sessions, run.run_id, scheduled=run.trigger == SCHEDULE)
    results = ingest_recorded(context, symbols, sessions, series, actions)
    report_actions(context, symbols, actions)
    check_symbols(context, symbols)
    failures = [prefix_symbol(result.symbol, result.error) for result in results if result.error is not None]
    if failures:
        # No retry of the step: the client has retried the requests already.
        raise dg.Failure(
            f"{len(failures)} of {format_count(len(symbols), 'symbol')} failed. " + " ".join(failures),
            allow_retries=False,
        )


def read_sessions(context: dg.AssetExecutionContext) -> list[date]:
    """Return the run's sessions, oldest first.

    Raises:
        dagster.Failure: no partition was chosen.
    """
    try:
        check_partitions_chosen(context.run.tags)
    except PartitionError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    return [date.fromisoformat(key) for key in context.partition_keys]


def ingest_recorded(
    context: dg.AssetExecutionContext,
    symbols: Sequence[Symbol],
    sessions: Sequence[date],
    series: SeriesVendor,
    actions: RunActions,
) -> list[LoadResult]:
    """Load symbols of one calendar for these sessions, record their materializations, and return the results."""
    pipeline: Pipeline = context.resources.pipeline
    tracked = frozenset(list_active_symbols(pipeline.warehouse, [symbol.name for symbol in symbols]))
    results = []
    for loaded in ingest(
        symbols,
        sessions,
        vendor=_TrackedVendor(series, tracked, actions),
        fetch_reference=series.lookups.fetch_reference,
        delisted=read_delistings(pipeline.warehouse),  # with those that the look-ups have found
        warehouse=pipeline.warehouse,
        run=Run(context.run.run_id, find_trigger(context.run.tags)),
        at_once=pipeline.at_once,
        fetch_list_date=series.lookups.fetch_list_date,
    ):
        results.extend(loaded)
        for result in loaded:
            pipeline.on_loaded(result)  # first: the bars are stored, even if Dagster's database fails now
        _record(context, loaded)
    return results


def check_symbols(context: dg.AssetExecutionContext, symbols: Sequence[Symbol]) -> None:
    """Run the checks of these symbols, which are of one calendar."""
    pipeline: Pipeline = context.resources.pipeline
    record_check_results(context, list(build_check_results(pipeline.warehouse, symbols)))


def _record(context: dg.AssetExecutionContext, results: Iterable[LoadResult]) -> None:
    """Record sessions with a bar as materialized with one row, and empty sessions with none.

    Dagster's own result would cover all sessions of the run. The newest session's event, which the UI shows first,
    holds the counters of the whole load.
    """
    settled = [
        MaterializedAsset(dg.AssetKey(["market_data", result.symbol]), groups, _summarize(result))
        for result in results
        if (groups := group_settled({**dict.fromkeys(result.present), **result.empty, **result.ended}))
    ]
    if settled:
        record_materializations(context, settled)


def group_settled(reasons: Mapping[date, str | None]) -> list[Materialized]:
    """Return the materializations of a symbol's settled sessions, given why each has no bar; None if it has one."""
    by_reason: dict[str | None, list[str]] = {}
    for day, reason in sorted(reasons.items()):
        by_reason.setdefault(reason, []).append(str(day))
    groups = [
        Materialized(days, ONE_ROW if reason is None else {**NO_ROW, "reason": reason})
        for reason, days in by_reason.items()
    ]
    return sorted(groups, key=lambda group: group.partitions[-1])


def _summarize(result: LoadResult) -> dict[str, int | float | str]:
    waited = {"waited_seconds": round(result.waited_seconds, 3)} if result.waited_seconds else {}
    return {
        "first_session": result.first_session.isoformat(),
        "last_session": result.last_session.isoformat(),
        "sessions": result.sessions,
        "sessions_answered": result.answered,
        "sessions_refused": result.refused,
        "sessions_empty": len(result.empty),
        "sessions_missing": result.missing - len(result.empty),
        "requests": result.requests,
        **{name: getattr(result, name) for name in BAR_COUNTERS},
        **waited,
    }
