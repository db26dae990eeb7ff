"""Plan of a backfill, and its load records: one dictionary for each symbol, printed as a table or as JSON."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import typer
from sqlalchemy import Row

from market_pipeline.cli.output import print_columns
from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.wording import counted, under
from market_pipeline.polygon.request_planning import plan_requests, waiting_seconds
from market_pipeline.warehouse.load_history import BAR_COUNTERS, LoadResult

COUNTS = (*BAR_COUNTERS, "missing", "requests")

LoadRecord = dict[str, Any]
"""The load record of one symbol: its row of `backfill_history`, with the field names of the JSON output."""


def read_row(row: Row) -> LoadRecord:  # type: ignore[type-arg]
    """Return the load record in a row of `backfill_history`."""
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


def read_result(result: LoadResult, run_id: str) -> LoadRecord:
    """Return a load record made from a load result, for a symbol whose row can't be read."""
    return {
        "symbol": result.symbol,
        "run_id": run_id,
        "first_session": result.first_session.isoformat(),
        "last_session": result.last_session.isoformat(),
        **{name: getattr(result, name) for name in ("sessions", "answered", "refused", *COUNTS)},
        "seconds": 0.0,
        "waited_seconds": round(result.waited_seconds, 3),
        "success": result.error is None,
        "error": result.error,
        "notes": "; ".join(result.notes) or None,
    }


def record_unreached(symbol: str, run_id: str, sessions: Sequence[date], cause: str | None) -> LoadRecord:
    """Return the load record of a symbol whose run ended before the symbol was reached."""
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
        "error": f"the run ended before it was reached: {cause or 'see its page in the Dagster UI'}",
    }


def print_records(records: Sequence[LoadRecord]) -> None:
    """Print a table with a line for each symbol and the totals, then notes and errors."""
    waits = ["waited_seconds"] if any(record["waited_seconds"] for record in records) else []
    print_columns(
        ("symbol", "first_session", "last_session"),
        (*COUNTS, "seconds", *waits),
        records,
        # Seconds have no total: symbols are fetched in parallel.
        totals={name: sum(record[name] for record in records) for name in COUNTS},
    )
    for record in records:
        if record["notes"]:
            typer.echo(f"note: {under(record['symbol'], record['notes'])}")
        if not record["success"]:
            typer.echo(f"failed: {under(record['symbol'], record['error'])}")


def print_plan(runs: Sequence[RangeRun], requests_per_minute: int, *, as_json: bool) -> None:
    """Print the plan of a backfill: symbols, sessions, requests, and their seconds of waiting for the rate limit."""
    listed = [_plan(run) for run in runs]
    requests = sum(run["requests"] for run in listed)
    wait = round(waiting_seconds(requests, requests_per_minute))
    if as_json:
        totals = {"requests": requests, "requests_per_minute": requests_per_minute, "estimated_seconds": wait}
        typer.echo(json.dumps({"runs": listed, **totals}, indent=2))
        return
    for run in listed:
        typer.echo(
            f"{run['calendar']}: {counted(run['sessions'], 'session')}, {run['first_session']} to "
            f"{run['last_session']}, in {counted(run['requests'], 'request')}, of {', '.join(run['symbols'])}"
        )
    typer.echo(
        f"{counted(requests, 'request')} in all. At {requests_per_minute:,} a minute the rate limit makes "
        f"{'it' if requests == 1 else 'them'} wait {wait:,} s. Nothing was requested or changed."
    )


def _plan(run: RangeRun) -> dict[str, Any]:
    return {
        "calendar": run.calendar,
        "symbols": [symbol.name for symbol in run.symbols],
        "first_session": run.sessions[0].isoformat(),
        "last_session": run.sessions[-1].isoformat(),
        "sessions": len(run.sessions),
        "requests": len(plan_requests(dict.fromkeys(run.symbols, run.sessions)).requests),
    }
