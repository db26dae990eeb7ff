"""Plan of a backfill: its runs and its requests, those beside the bars included, as text or as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import typer
from sqlalchemy import Engine

from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_corrections import TickerCorrections
from market_pipeline.core.ticker_history import list_spans
from market_pipeline.core.wording import format_count
from market_pipeline.lookup_planning import choose_histories, plan_lookups
from market_pipeline.polygon.request_planning import estimate_wait, plan_requests, split_into_batches
from market_pipeline.warehouse.corporate_action_refresh import (
    TABLES,
    RefreshPlan,
    find_actions_behind,
    plan_refresh,
    plan_run_refresh,
)
from market_pipeline.warehouse.securities import read_securities
from market_pipeline.warehouse.tracked_symbols import list_active_symbols


@dataclass(frozen=True)
class RunPlan:
    """A run, and its requests for bars, for splits and dividends, and for look-ups of ticker histories."""

    run: RangeRun
    bars: int
    actions: int
    lookups: int

    @property
    def requests(self) -> int:
        """All requests, if each response fits a page, each look-up takes one, and nothing is retried."""
        return self.bars + self.actions + self.lookups


@dataclass(frozen=True)
class BackfillPlan:
    """The runs of a backfill with their requests, and those of a refresh of splits and dividends after them."""

    runs: Sequence[RunPlan]
    refresh_requests: int = 0


def plan_backfill(
    warehouse: Engine,
    runs: Sequence[RangeRun],
    symbols: Iterable[Symbol],
    corrections: TickerCorrections,
    now: datetime,
    *,
    missing: bool,
) -> BackfillPlan:
    """Plan the requests of a backfill of `symbols`; with `missing`, those for all splits and dividends behind too."""
    in_runs = {symbol.name for run in runs for symbol in run.symbols}
    refreshed = missing and find_symbols_behind(warehouse, symbols, now).difference(in_runs)
    tracked = list_active_symbols(warehouse) if refreshed else []
    refresh = sum(_count(plan_refresh(warehouse, actions, tracked, now)) for actions in TABLES)
    return BackfillPlan([_plan_run(warehouse, run, corrections, now) for run in runs], refresh)


def _plan_run(warehouse: Engine, run: RangeRun, corrections: TickerCorrections, now: datetime) -> RunPlan:
    records = read_securities(warehouse, run.symbols)
    bars = plan_requests(list_spans(choose_histories(records, corrections), run.sessions)).requests
    refreshes = [plan_run_refresh(warehouse, actions, run.symbols, now, scheduled=False) for actions in TABLES]
    lookups = plan_lookups(records, corrections, run.sessions)
    return RunPlan(run, len(bars), sum(map(_count, refreshes)), len(lookups))


def find_symbols_behind(warehouse: Engine, symbols: Iterable[Symbol], now: datetime) -> set[str]:
    """Return those of `symbols` with bars whose splits or dividends are not known or behind."""
    return {behind.symbol for behind in find_actions_behind(warehouse, now)}.intersection(
        symbol.name for symbol in symbols
    )


def _count(plan: RefreshPlan) -> int:
    """Return the number of requests of a plan, if each response fits a page and nothing is retried."""
    return len(split_into_batches(plan.in_full)) + bool(plan.recent)


def print_plan(plan: BackfillPlan, requests_per_minute: int, *, as_json: bool) -> None:
    """Print the plan of a backfill: symbols, sessions, requests, and their seconds of waiting for the rate limit."""
    requests = sum(run.requests for run in plan.runs) + plan.refresh_requests
    wait = round(estimate_wait(requests, requests_per_minute))
    if as_json:
        totals = {"requests": requests, "requests_per_minute": requests_per_minute, "estimated_seconds": wait}
        refresh = {"corporate_action_requests": sum(run.actions for run in plan.runs) + plan.refresh_requests}
        typer.echo(json.dumps({"runs": list(map(_describe, plan.runs)), **refresh, **totals}, indent=2))
        return
    for each in plan.runs:
        sessions = each.run.sessions
        typer.echo(
            f"{each.run.calendar}: {format_count(len(sessions), 'session')}, {sessions[0]} to {sessions[-1]}, "
            f"in {format_count(each.requests, 'request')}{_describe_others(each)}, "
            f"of {', '.join(symbol.name for symbol in each.run.symbols)}"
        )
    if plan.refresh_requests:
        typer.echo(
            "Splits and dividends of symbols without a missing session: "
            f"{format_count(plan.refresh_requests, 'request')}"
        )
    typer.echo(
        f"{format_count(requests, 'request')} in all. At {requests_per_minute:,} a minute the rate limit makes "
        f"{'it' if requests == 1 else 'them'} wait {wait:,} s. Nothing was requested or changed."
    )


def _describe_others(plan: RunPlan) -> str:
    """Return the requests for something else than bars in parentheses; nothing if there is none."""
    others = [
        f"{number} {purpose}"
        for number, purpose in (
            (plan.actions, "for splits and dividends"),
            (plan.lookups, "to look up who has had which ticker"),
        )
        if number
    ]
    return f" ({', '.join(others)})" if others else ""


def _describe(plan: RunPlan) -> dict[str, Any]:
    run = plan.run
    return {
        "calendar": run.calendar,
        "symbols": [symbol.name for symbol in run.symbols],
        "first_session": run.sessions[0].isoformat(),
        "last_session": run.sessions[-1].isoformat(),
        "sessions": len(run.sessions),
        "requests": plan.requests,
        "corporate_action_requests": plan.actions,
        "lookup_requests": plan.lookups,
    }
