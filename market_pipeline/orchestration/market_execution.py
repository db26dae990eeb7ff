"""Execution of a market's asset: load its sessions, record them and the tracked symbols' partitions.

`market_pipeline.market_ingest` does the loading; this module connects it with Dagster.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from market_pipeline.core.markets import Market
from market_pipeline.core.run_planning import SCOPE_TAG, MarketScope, find_trigger
from market_pipeline.core.wording import format_count, name_some, prefix_symbol
from market_pipeline.dagster_storage.recording import (
    Materialized,
    MaterializedAsset,
    record_materializations,
)
from market_pipeline.ingest import Run
from market_pipeline.market_blocks import is_outside_plan
from market_pipeline.market_ingest import ingest_market
from market_pipeline.orchestration.execution import check_symbols, group_settled, read_sessions
from market_pipeline.orchestration.market_assets import ACCEPT_SMALL_TAG, build_market_key
from market_pipeline.orchestration.market_night import choose_sessions, finish_night
from market_pipeline.orchestration.resources import Pipeline
from market_pipeline.warehouse.coverage import SettledSession, list_settled_sessions
from market_pipeline.warehouse.market_records import SESSION_COUNTERS, MarketLoadResult
from market_pipeline.warehouse.tracked_markets import MarketSessionState, read_market_sessions
from market_pipeline.warehouse.tracked_symbols import list_active_symbols

Loaded = Mapping[date, Mapping[str, Any]]
"""Sessions that are stored whole, each with the metadata of its materialization."""


def load_market(context: dg.AssetExecutionContext, market: Market) -> None:
    """Load the run's sessions of a market, and record one materialization per session that was loaded.

    Raises:
        dagster.Failure: no partition was chosen, or sessions failed. The others are loaded and stay materialized.
    """
    requested = read_sessions(context)
    pipeline: Pipeline = context.resources.pipeline
    scope = MarketScope(context.run.tags.get(SCOPE_TAG, MarketScope.ALL))
    stored = [state for state in read_market_sessions(pipeline.warehouse, market) if state.is_loaded]
    _record_unrecorded(context, market, stored)
    results = []
    with pipeline.open_market(market) as vendor:
        chosen = choose_sessions(scope, requested, stored, vendor, pipeline.settings)
        for block in ingest_market(
            market,
            chosen.sessions,
            vendor=vendor,
            warehouse=pipeline.warehouse,
            run=Run(context.run.run_id, find_trigger(context.run.tags)),
            changed_files=chosen.changed_files,
            accept_small=context.run.tags.get(ACCEPT_SMALL_TAG) == "true",
        ):
            results.extend(block)
            for result in block:
                pipeline.on_session_loaded(result)  # first: the bars are stored, even if Dagster's database fails now
            _record(context, market, {result.session: _summarize(result) for result in block if result.error is None})
    symbols = [symbol for symbol in list_active_symbols(pipeline.warehouse) if symbol.calendar == market.calendar]
    rest = finish_night(context, market, symbols, results) if scope is MarketScope.NIGHT else []
    if symbols:
        check_symbols(context, symbols)
    failed = [f"{each.session}: {each.error}" for each in results if each.error and not is_outside_plan(each)]
    failed_symbols = [prefix_symbol(each.symbol, each.error) for each in rest if each.error]
    problems = [
        f"{len(lines)} of {format_count(total, noun)} failed. {name_some(lines)}"
        for lines, total, noun in ((failed, len(results), "session"), (failed_symbols, len(symbols), "tracked symbol"))
        if lines
    ]
    if problems:
        # No retry of the step: the client has retried the requests already.
        raise dg.Failure(" ".join(problems), allow_retries=False)


def _record_unrecorded(context: dg.AssetExecutionContext, market: Market, stored: Sequence[MarketSessionState]) -> None:
    """Record the sessions that an earlier run stored, and was killed before it could record them."""
    recorded = context.instance.get_materialized_partitions(build_market_key(market))
    unrecorded = [state for state in stored if str(state.date) not in recorded]
    if unrecorded:
        context.log.info("Recording %s of an earlier run", format_count(len(unrecorded), "session"))
        _record(context, market, {state.date: {"dagster/partition_row_count": state.tickers} for state in unrecorded})


def _record(context: dg.AssetExecutionContext, market: Market, loaded: Loaded) -> None:
    """Record sessions of a market as materialized, after those of the tracked symbols that they settle.

    In this order, so that `_record_unrecorded` finds all that a killed run has left.
    """
    if not loaded:
        return
    pipeline: Pipeline = context.resources.pipeline
    settled = list_settled_sessions(pipeline.warehouse, market.calendar, sorted(loaded))
    sessions = [Materialized([str(session)], metadata) for session, metadata in sorted(loaded.items())]
    record_materializations(context, [*_group(settled), MaterializedAsset(build_market_key(market), sessions, {})])


def _group(settled: Sequence[SettledSession]) -> list[MaterializedAsset]:
    """Return the materializations of tracked symbols, given their settled sessions in order."""
    reasons: defaultdict[str, dict[date, str | None]] = defaultdict(dict)
    for each in settled:
        reasons[each.symbol][each.date] = each.reason
    return [
        MaterializedAsset(dg.AssetKey(["market_data", symbol]), group_settled(of_symbol), {})
        for symbol, of_symbol in reasons.items()
    ]


def _summarize(result: MarketLoadResult) -> dict[str, Any]:
    waited = {"waited_seconds": round(result.waited_seconds, 3)} if result.waited_seconds else {}
    return {
        "dagster/partition_row_count": result.tickers,
        "origin": str(result.origin),
        **{name: getattr(result, name) for name in SESSION_COUNTERS},
        **waited,
    }
