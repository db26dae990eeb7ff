"""Plan of a backfill: its runs and its requests, those for splits and dividends included, as text or as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import typer
from sqlalchemy import Engine

from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory, spans_of
from market_pipeline.core.wording import counted
from market_pipeline.polygon.request_planning import batches, plan_requests, waiting_seconds
from market_pipeline.warehouse.corporate_action_refresh import (
    TABLES,
    RefreshPlan,
    find_actions_behind,
    plan_refresh,
    plan_run_refresh,
)
from market_pipeline.warehouse.securities import read_securities
from market_pipeline.warehouse.tracked_symbols import active_symbols


@dataclass(frozen=True)
class BackfillPlan:
    """The runs of a backfill, the requests of each for splits and dividends, and those of a refresh after them.

    `histories` are the known ticker histories; look-ups of symbols that are loaded for the first time are not planned.
    """

    runs: Sequence[RangeRun]
    histories: Mapping[Symbol, TickerHistory]
    action_requests: Sequence[int]
    refresh_requests: int = 0


def plan_backfill(
    warehouse: Engine, runs: Sequence[RangeRun], symbols: Iterable[Symbol], now: datetime, *, missing: bool
) -> BackfillPlan:
    """Plan the requests of a backfill of `symbols`; with `missing`, those for all splits and dividends behind too."""
    of_runs = [
        sum(_count(plan_run_refresh(warehouse, actions, run.symbols, now, scheduled=False)) for actions in TABLES)
        for run in runs
    ]
    in_runs = {symbol.name for run in runs for symbol in run.symbols}
    refreshed = missing and find_symbols_behind(warehouse, symbols, now).difference(in_runs)
    tracked = active_symbols(warehouse) if refreshed else []
    refresh = sum(_count(plan_refresh(warehouse, actions, tracked, now)) for actions in TABLES)
    records = read_securities(warehouse, {symbol for run in runs for symbol in run.symbols})
    histories = {symbol: record.history for symbol, record in records.items()}
    return BackfillPlan(runs, histories, of_runs, refresh)


def find_symbols_behind(warehouse: Engine, symbols: Iterable[Symbol], now: datetime) -> set[str]:
    """Return those of `symbols` with bars whose splits or dividends are not known or behind."""
    return {behind.symbol for behind in find_actions_behind(warehouse, now)}.intersection(
        symbol.name for symbol in symbols
    )


def _count(plan: RefreshPlan) -> int:
    """Return the number of requests of a plan, if each response fits a page and nothing is retried."""
    return len(batches(plan.in_full)) + bool(plan.recent)


def print_plan(plan: BackfillPlan, requests_per_minute: int, *, as_json: bool) -> None:
    """Print the plan of a backfill: symbols, sessions, requests, and their seconds of waiting for the rate limit."""
    listed = [_plan(run, plan.histories, actions) for run, actions in zip(plan.runs, plan.action_requests, strict=True)]
    requests = sum(run["requests"] for run in listed) + plan.refresh_requests
    wait = round(waiting_seconds(requests, requests_per_minute))
    if as_json:
        totals = {"requests": requests, "requests_per_minute": requests_per_minute, "estimated_seconds": wait}
        refresh = {"corporate_action_requests": sum(plan.action_requests) + plan.refresh_requests}
        typer.echo(json.dumps({"runs": listed, **refresh, **totals}, indent=2))
        return
    for run in listed:
        actions = run["corporate_action_requests"]
        for_actions = f" ({actions} of them for splits and dividends)" if actions else ""
        typer.echo(
            f"{run['calendar']}: {counted(run['sessions'], 'session')}, {run['first_session']} to "
            f"{run['last_session']}, in {counted(run['requests'], 'request')}{for_actions}, "
            f"of {', '.join(run['symbols'])}"
        )
    if plan.refresh_requests:
        typer.echo(
            f"Splits and dividends of symbols without a missing session: {counted(plan.refresh_requests, 'request')}"
        )
    typer.echo(
        f"{counted(requests, 'request')} in all. At {requests_per_minute:,} a minute the rate limit makes "
        f"{'it' if requests == 1 else 'them'} wait {wait:,} s. Nothing was requested or changed."
    )


def _plan(run: RangeRun, histories: Mapping[Symbol, TickerHistory], action_requests: int) -> dict[str, Any]:
    bars = plan_requests(spans_of({symbol: histories[symbol] for symbol in run.symbols}, run.sessions)).requests
    return {
        "calendar": run.calendar,
        "symbols": [symbol.name for symbol in run.symbols],
        "first_session": run.sessions[0].isoformat(),
        "last_session": run.sessions[-1].isoformat(),
        "sessions": len(run.sessions),
        "requests": len(bars) + action_requests,
        "corporate_action_requests": action_requests,
    }
