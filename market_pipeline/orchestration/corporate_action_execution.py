"""Execution of the assets `splits` and `dividends`: fetch what is due from the vendor, and store it.

Each run reads the tracked symbols at its start, so that a new one needs no reload.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime

import dagster as dg

from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.resources import Pipeline
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.reference import Dividend, Split
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.corporate_action_refresh import (
    DIVIDENDS,
    FIRST_DAY,
    LAST_DAY,
    SPLITS,
    Action,
    ActionTable,
    RefreshPlan,
    plan_refresh,
)
from market_pipeline.warehouse.corporate_actions import RefreshResult, refresh
from market_pipeline.warehouse.tracked_symbols import active_symbols

FetchActions = Callable[[date, date, Symbol | None], Iterable[Split | Dividend]]

FETCHED_BY: Mapping[str, Callable[[PolygonClient], FetchActions]] = {
    SPLITS.name: lambda client: client.fetch_splits,
    DIVIDENDS.name: lambda client: client.fetch_dividends,
}
"""The method of the vendor's client that fetches each table's rows."""


def refresh_asset(context: dg.AssetExecutionContext, actions: ActionTable) -> dg.MaterializeResult[None]:
    """Refresh one table, and return the counters as metadata."""
    pipeline: Pipeline = context.resources.pipeline
    fetch = FETCHED_BY[actions.name](pipeline.client)
    plan, result = refresh_actions(pipeline, actions, fetch, run_id=context.run.run_id, now=datetime.now(UTC))
    if result.rejected or result.removed:
        context.log.warning(
            "%d %s rejected and %d removed: see the table rejected_corporate_actions",
            result.rejected,
            actions.name,
            result.removed,
        )
    return dg.MaterializeResult(metadata=_summarize(plan, result))


def refresh_actions(
    pipeline: Pipeline, actions: ActionTable, fetch: FetchActions, *, run_id: str, now: datetime
) -> tuple[RefreshPlan, RefreshResult]:
    """Refresh one table from the vendor's lists; return the plan of the requests, and the counters.

    Raises:
        PolygonError: a request failed; nothing is changed then.
        MarketPipelineError: the database can't store a row; nothing is changed then.
    """
    symbols = {symbol.name: symbol for symbol in active_symbols(pipeline.warehouse)}
    plan = plan_refresh(pipeline.warehouse, actions, symbols.values(), now)
    listed = list(_fetch_listed(plan, symbols, fetch))
    source = pipeline.client.source
    result = refresh(pipeline.warehouse, actions, plan, listed, source=source, run_id=run_id, find_flags=find_flags)
    return plan, result


def _fetch_listed(plan: RefreshPlan, symbols: Mapping[str, Symbol], fetch: FetchActions) -> Iterable[Action]:
    """Fetch the events of the plan's symbols, and name them as the tables do."""
    for name in plan.in_full:
        events = _fetch(FIRST_DAY, symbols[name], fetch, retry=name in plan.holding)
        yield from _select([symbols[name]], events)
    if plan.recent:
        events = _fetch(plan.since, None, fetch, retry=not plan.recent.isdisjoint(plan.holding))
        yield from _select([symbols[name] for name in plan.recent], events)


def _fetch(start: date, symbol: Symbol | None, fetch: FetchActions, *, retry: bool) -> Iterable[Split | Dividend]:
    """Fetch events, twice if the first response is empty though rows are stored: under load the vendor sends that."""
    events = fetch(start, LAST_DAY, symbol)
    return fetch(start, LAST_DAY, symbol) if retry and not events else events


def _select(symbols: Iterable[Symbol], events: Iterable[Split | Dividend]) -> Iterable[Action]:
    names = {symbol.vendor_ticker: symbol.name for symbol in symbols}
    for event in events:
        if event.ticker in names:
            values = asdict(event)
            yield {"symbol": names[values.pop("ticker")], **values}


def _summarize(plan: RefreshPlan, result: RefreshResult) -> dict[str, int]:
    counts = asdict(result)
    return {
        "dagster/row_count": counts.pop("held"),
        "symbols_asked_in_full": len(plan.in_full),
        "symbols_asked_for_recent": len(plan.recent),
        "listed": result.total,
        **counts,
    }
