"""A market's night: its sessions to load, then what tracked symbols still lack, and the vendor's list.

So nothing is requested twice, and a symbol whose ticker changed yesterday is found in the same night.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import dagster as dg

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.markets import Market
from market_pipeline.core.run_planning import MarketScope, RangeRun, plan_market_night, plan_missing_runs
from market_pipeline.core.sessions import list_last_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.market_blocks import is_outside_plan
from market_pipeline.market_list import is_list_old, refresh_list
from market_pipeline.orchestration.corporate_action_execution import report_actions
from market_pipeline.orchestration.execution import ingest_recorded
from market_pipeline.orchestration.resources import Pipeline
from market_pipeline.polygon.market_fetcher import MarketFetcher
from market_pipeline.series_vendor import SeriesVendor
from market_pipeline.warehouse.coverage import NIGHTLY, find_missing_spans, find_reassigned_spans, list_settled_sessions
from market_pipeline.warehouse.load_history import LoadResult
from market_pipeline.warehouse.market_records import MarketLoadResult
from market_pipeline.warehouse.tracked_markets import MarketSessionState

log = logging.getLogger(__name__)

MOST_ALONE = 50
"""The most symbols that take a request each at night: ten minutes of the smallest plan's rate limit."""


@dataclass(frozen=True)
class ChosenSessions:
    """The sessions that a run loads, oldest first, and those of them whose flat file the vendor has replaced."""

    sessions: Sequence[date]
    changed_files: Sequence[date] = ()


def choose_sessions(
    scope: MarketScope,
    sessions: Sequence[date],
    stored: Sequence[MarketSessionState],
    vendor: MarketFetcher,
    settings: Settings,
) -> ChosenSessions:
    """Return the sessions of a run that are to be loaded.

    Args:
        scope: of the run.
        sessions: of the run's range, oldest first.
        stored: the market's sessions that are stored whole, oldest first.
        vendor: knows the flat files that have been replaced.
        settings: how far a night looks and reaches back.
    """
    present = {state.date for state in stored}
    match scope:
        case MarketScope.ALL:
            return ChosenSessions(sessions)
        case MarketScope.MISSING:
            return ChosenSessions([session for session in sessions if session not in present])
        case MarketScope.NIGHT:
            night = plan_market_night(sessions, present, look_back=settings.backfill_look_back_sessions)
            changed = _find_changed(stored[-settings.backfill_reach_back_sessions :], vendor)
            return ChosenSessions(sorted({*night, *changed}), changed)


def _find_changed(stored: Sequence[MarketSessionState], vendor: MarketFetcher) -> list[date]:
    """Return the sessions whose flat file was replaced since its load; none if the vendor does not respond."""
    try:
        return vendor.find_changed_files({each.date: each.version for each in stored if each.version is not None})
    except MarketPipelineError as error:
        log.warning("Replaced flat files can't be found: %s", error)
        return []


def finish_night(
    context: dg.AssetExecutionContext, market: Market, symbols: Sequence[Symbol], results: Sequence[MarketLoadResult]
) -> list[LoadResult]:
    """Load what tracked symbols still lack after the market's sessions, refresh the list, and return the results.

    Ticker histories are looked up first: those whose turn it is, and those of symbols without their newest bar.

    Args:
        context: of the market's step.
        market: the market.
        symbols: the tracked ones of its calendar.
        results: of the night's sessions.
    """
    pipeline: Pipeline = context.resources.pipeline
    _refresh_old_list(pipeline, market)
    sessions = [result.session for result in results if not is_outside_plan(result)]
    if not symbols or not sessions:
        return []
    recent = list_last_sessions(market.calendar, max(sessions), pipeline.settings.backfill_reach_back_sessions)
    series, actions = pipeline.open_run(lambda: symbols, recent[-1:], context.run.run_id, scheduled=True)
    _look_up_doubtful(pipeline, series, symbols, recent[-1])
    rest = []
    for run in _plan_rest(pipeline, symbols, recent):
        vendor = pipeline.open_vendor(run.symbols, run.sessions, context.run.run_id, nightly=False)
        rest += ingest_recorded(context, run.symbols, run.sessions, vendor, actions)
    report_actions(context, symbols, actions)
    return rest


def _refresh_old_list(pipeline: Pipeline, market: Market) -> None:
    """Refresh the vendor's list of tickers once a week. Without it names and types are older, and nothing else."""
    if not is_list_old(pipeline.warehouse, market):
        return
    try:
        refresh_list(pipeline.client, pipeline.warehouse, market)
    except MarketPipelineError as error:
        log.warning("The list of tickers could not be refreshed: %s", error)


def _look_up_doubtful(pipeline: Pipeline, series: SeriesVendor, symbols: Sequence[Symbol], newest: date) -> None:
    """Look the symbols up that have no bar of the newest session: their tickers may have changed."""
    settled = list_settled_sessions(pipeline.warehouse, symbols[0].calendar, [newest])
    with_bar = {each.symbol for each in settled if each.present}
    for symbol in symbols:
        if symbol.name not in with_bar:
            series.lookups.find_new_history(symbol)


def _plan_rest(pipeline: Pipeline, symbols: Sequence[Symbol], recent: Sequence[date]) -> Iterator[RangeRun]:
    """Yield the runs for the sessions that these symbols still lack.

    A few symbols are each requested alone, since a request for the whole market has just failed to bring them.
    """
    missing = find_missing_spans(pipeline.warehouse, symbols, NIGHTLY, recent[0], recent[-1])
    reassigned = find_reassigned_spans(pipeline.warehouse, symbols, recent[0] - timedelta(days=1))
    for run in (*plan_missing_runs(missing), *plan_missing_runs(reassigned)):
        if len(run.symbols) > MOST_ALONE:
            yield run
        else:
            yield from (replace(run, symbols=[symbol]) for symbol in run.symbols)
