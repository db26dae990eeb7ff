"""What a run of the assets `splits` and `dividends` does: ask the vendor for what is due, and store the answers.

Which symbols are tracked is read at the start of each run, so that a new one needs no reload.
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

Ask = Callable[[date, date, Symbol | None], Iterable[Split | Dividend]]

ASKED_BY: Mapping[str, Callable[[PolygonClient], Ask]] = {
    SPLITS.name: lambda client: client.splits,
    DIVIDENDS.name: lambda client: client.dividends,
}
"""What of the vendor's client asks for each table."""


def refreshed(context: dg.AssetExecutionContext, actions: ActionTable) -> dg.MaterializeResult[None]:
    """Refresh one table, and say what came of it."""
    pipeline: Pipeline = context.resources.pipeline
    ask = ASKED_BY[actions.name](pipeline.client)
    inquiry, outcome = refresh_actions(pipeline, actions, ask, run_id=context.run.run_id, now=datetime.now(UTC))
    if outcome.rejected or outcome.removed:
        context.log.warning(
            "%d %s refused and %d taken out: see the table rejected_corporate_actions",
            outcome.rejected,
            actions.name,
            outcome.removed,
        )
    return dg.MaterializeResult(metadata=_summary(inquiry, outcome))


def refresh_actions(
    pipeline: Pipeline, actions: ActionTable, ask: Ask, *, run_id: str, now: datetime
) -> tuple[RefreshPlan, RefreshResult]:
    """Bring one table to what the vendor lists; what was asked for, and what came of it.

    Raises:
        PolygonError: an answer can't be had; nothing is changed then.
        MarketPipelineError: the database can't take what was answered; nothing is changed then.
    """
    symbols = {symbol.name: symbol for symbol in active_symbols(pipeline.warehouse)}
    inquiry = plan_refresh(pipeline.warehouse, actions, symbols.values(), now)
    listed = list(_listed(inquiry, symbols, ask))
    source = pipeline.client.source
    outcome = refresh(pipeline.warehouse, actions, inquiry, listed, source=source, run_id=run_id, find_flags=find_flags)
    return inquiry, outcome


def _listed(inquiry: RefreshPlan, symbols: Mapping[str, Symbol], ask: Ask) -> Iterable[Action]:
    """What the vendor lists of the symbols asked for, under the tables' names."""
    for name in inquiry.in_full:
        yield from _of([symbols[name]], _asked(FIRST_DAY, symbols[name], ask, again=name in inquiry.holding))
    if inquiry.recent:
        held = not inquiry.recent.isdisjoint(inquiry.holding)
        yield from _of([symbols[name] for name in inquiry.recent], _asked(inquiry.since, None, ask, again=held))


def _asked(start: date, symbol: Symbol | None, ask: Ask, *, again: bool) -> Iterable[Split | Dividend]:
    """An answer; a second one where the first lists nothing of what there was: under load the vendor does that."""
    answer = ask(start, LAST_DAY, symbol)
    return ask(start, LAST_DAY, symbol) if again and not answer else answer


def _of(symbols: Iterable[Symbol], answer: Iterable[Split | Dividend]) -> Iterable[Action]:
    names = {symbol.vendor_ticker: symbol.name for symbol in symbols}
    for event in answer:
        if event.ticker in names:
            values = asdict(event)
            yield {"symbol": names[values.pop("ticker")], **values}


def _summary(inquiry: RefreshPlan, outcome: RefreshResult) -> dict[str, int]:
    counts = asdict(outcome)
    return {
        "dagster/row_count": counts.pop("held"),
        "symbols_asked_in_full": len(inquiry.in_full),
        "symbols_asked_for_recent": len(inquiry.recent),
        "listed": outcome.total,
        **counts,
    }
