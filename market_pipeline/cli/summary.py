"""What a backfill has to show for itself, before and after: a table for people, JSON for programs."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import typer
from sqlalchemy import Row

from market_pipeline.cli.table_output import print_columns
from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.wording import counted, under
from market_pipeline.polygon.request_planning import plan_requests, waiting_seconds
from market_pipeline.warehouse.load_history import BAR_COUNTERS, LoadResult

COUNTS = (*BAR_COUNTERS, "missing", "requests")

Account = dict[str, Any]
"""What was asked for one symbol and what came of it: its `backfill_history` row as JSON."""


def symbol_account(row: Row) -> Account:  # type: ignore[type-arg]
    """A `backfill_history` row as an account."""
    return {
        "symbol": row.symbol,
        "run_id": row.run_id,
        "first_session": row.start_date.isoformat(),
        "last_session": row.end_date.isoformat(),
        "sessions": row.sessions,
        "answered": row.answered,
        "refused": row.refused,
        **{name: getattr(row, name) for name in COUNTS},
        "seconds": round(row.duration_seconds, 3),
        "waited_seconds": round(row.waited_seconds, 3),
        "success": row.success,
        "error": row.error_details,
        "notes": row.notes,
    }


def outcome_account(outcome: LoadResult, run_id: str) -> Account:
    """The account of a symbol whose row can't be read any more, by what was known when it was loaded."""
    return {
        "symbol": outcome.symbol,
        "run_id": run_id,
        "first_session": outcome.first_session.isoformat(),
        "last_session": outcome.last_session.isoformat(),
        **{name: getattr(outcome, name) for name in ("sessions", "answered", "refused", *COUNTS)},
        "seconds": 0.0,
        "waited_seconds": round(outcome.waited_seconds, 3),
        "success": outcome.error is None,
        "error": outcome.error,
        "notes": "; ".join(outcome.notes) or None,
    }


def unreached(symbol: str, run_id: str, sessions: Sequence[date], cause: str | None) -> Account:
    """The account of a symbol whose run ended before it got there."""
    return {
        "symbol": symbol,
        "run_id": run_id,
        "first_session": sessions[0].isoformat(),
        "last_session": sessions[-1].isoformat(),
        "sessions": len(sessions),
        "answered": 0,
        "refused": len(sessions),
        **dict.fromkeys(COUNTS, 0),
        "missing": len(sessions),
        "seconds": 0.0,
        "waited_seconds": 0.0,
        "success": False,
        "notes": None,
        "error": f"the run ended before it was reached: {cause or 'its page in the Dagster UI says why'}",
    }


def print_table(accounts: Sequence[Account]) -> None:
    """One line a symbol and the sum, then what went wrong."""
    waits = ["waited_seconds"] if any(account["waited_seconds"] for account in accounts) else []
    print_columns(
        ("symbol", "first_session", "last_session"),
        (*COUNTS, "seconds", *waits),
        accounts,
        # No sum of the seconds: symbols are fetched side by side.
        totals={name: sum(account[name] for account in accounts) for name in COUNTS},
    )
    for account in accounts:
        if account["notes"]:
            typer.echo(f"note: {under(account['symbol'], account['notes'])}")
        if not account["success"]:
            typer.echo(f"failed: {under(account['symbol'], account['error'])}")


def print_plan(runs: Sequence[RangeRun], requests_per_minute: int, *, as_json: bool) -> None:
    """What a backfill would ask for: symbols, sessions, requests, and how long the rate limit makes them wait."""
    listed = [_planned(run) for run in runs]
    requests = sum(run["requests"] for run in listed)
    wait = round(waiting_seconds(requests, requests_per_minute))
    if as_json:
        whole = {"requests": requests, "requests_per_minute": requests_per_minute, "estimated_seconds": wait}
        typer.echo(json.dumps({"runs": listed, **whole}, indent=2))
        return
    for run in listed:
        typer.echo(
            f"{run['calendar']}: {counted(run['sessions'], 'session')}, {run['first_session']} to "
            f"{run['last_session']}, in {counted(run['requests'], 'request')}, of {', '.join(run['symbols'])}"
        )
    typer.echo(
        f"{counted(requests, 'request')} in all. At {requests_per_minute:,} a minute the rate limit makes "
        f"{'it' if requests == 1 else 'them'} wait {wait:,} s. Nothing was asked or changed."
    )


def _planned(run: RangeRun) -> dict[str, Any]:
    return {
        "calendar": run.calendar,
        "symbols": [symbol.name for symbol in run.symbols],
        "first_session": run.sessions[0].isoformat(),
        "last_session": run.sessions[-1].isoformat(),
        "sessions": len(run.sessions),
        "requests": len(plan_requests(dict.fromkeys(run.symbols, run.sessions)).requests),
    }
