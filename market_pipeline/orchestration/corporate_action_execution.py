"""Execution of the assets `splits` and `dividends`, and the events of the requests that runs of bars make for them.

`market_pipeline.corporate_action_requests` does the work. Each run reads the tracked symbols at its start, so that a
new one needs no reload.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import dagster as dg

from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import name_some
from market_pipeline.corporate_action_requests import ActionsResult, RunActions, refresh_in_parts
from market_pipeline.orchestration.corporate_action_assets import KNOWN_EFFECTS
from market_pipeline.orchestration.resources import Pipeline
from market_pipeline.warehouse.adjustment import UnknownAdjustment, find_unknown_adjustments
from market_pipeline.warehouse.corporate_action_refresh import SPLITS, ActionTable, plan_refresh
from market_pipeline.warehouse.corporate_actions import RefreshResult
from market_pipeline.warehouse.load_history import add_note
from market_pipeline.warehouse.tracked_symbols import list_active_symbols


def refresh_asset(context: dg.AssetExecutionContext, actions: ActionTable) -> dg.MaterializeResult[None]:
    """Refresh one table for all tracked symbols, and return the counters as metadata.

    Raises:
        dagster.Failure: a request failed, or a response can't be stored; nothing is changed for its symbols then.
    """
    pipeline: Pipeline = context.resources.pipeline
    symbols = list_active_symbols(pipeline.warehouse)
    plan = plan_refresh(pipeline.warehouse, actions, symbols, datetime.now(UTC))
    results = refresh_in_parts(pipeline.client, pipeline.warehouse, actions, plan, symbols, run_id=context.run.run_id)
    for result in results:
        pipeline.on_refreshed(result)
        _warn_of_rejected(context, result)
    if results[-1].failure:
        raise dg.Failure(results[-1].failure)
    check = _check_effects(actions, find_unknown_adjustments(pipeline.warehouse))
    return dg.MaterializeResult(metadata=_summarize(results[-1]), check_results=[check])


def _check_effects(actions: ActionTable, unknown: Sequence[UnknownAdjustment]) -> dg.AssetCheckResult:
    """Return the check that the adjustment of all stored bars for these actions is known."""
    concerned = [each for each in unknown if not (each.splits_known if actions is SPLITS else each.dividends_known)]
    return dg.AssetCheckResult(
        passed=not concerned,
        check_name=KNOWN_EFFECTS,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Not known: {name_some(list(map(str, concerned)))}." if concerned else "All are known.",
        metadata={"symbols": len(concerned)},
    )


def report_actions(context: dg.AssetExecutionContext, symbols: Sequence[Symbol], actions: RunActions) -> None:
    """Wait for a run's splits and dividends, and record them: the run's as events, a failure in the load records.

    The first step of the run to come here records the events, each step the notes of its symbols.

    Raises:
        MarketPipelineError: the database can't be used.
    """
    pipeline: Pipeline = context.resources.pipeline
    for result in actions.collect():
        if result.error is None:
            context.log_event(dg.AssetMaterialization(dg.AssetKey([result.kind]), metadata=_summarize(result)))
            _warn_of_rejected(context, result)
        else:
            context.log.error("%s", result.failure)
        pipeline.on_refreshed(result)
    for result in actions.results():
        concerned = [symbol.name for symbol in symbols if symbol.name in result.plan.symbols]
        if result.note and concerned:
            add_note(pipeline.warehouse, context.run.run_id, concerned, result.note)


def _warn_of_rejected(context: dg.AssetExecutionContext, result: ActionsResult) -> None:
    stored = result.stored
    if stored is not None and (stored.rejected or stored.removed):
        context.log.warning(
            "%d %s rejected and %d removed: see the table rejected_corporate_actions",
            stored.rejected,
            result.kind,
            stored.removed,
        )


def _summarize(result: ActionsResult) -> dict[str, int]:
    assert result.stored is not None  # noqa: S101 - for mypy
    return {
        "symbols_asked_in_full": len(result.plan.in_full),
        "symbols_asked_for_recent": len(result.plan.recent),
        "requests": result.requests,
        "listed": result.stored.total,
        **_count_actions(result.stored),
    }


def _count_actions(stored: RefreshResult) -> dict[str, int]:
    counts = asdict(stored)
    return {"dagster/row_count": counts.pop("held"), **counts}
