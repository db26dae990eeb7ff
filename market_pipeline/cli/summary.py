"""What a backfill has to show for itself, before and after: a table for people, JSON for programs."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import Row

from market_pipeline.runs import RangeRun

COUNTS = ("fetched", "loaded", "revised", "unchanged", "rejected", "missing", "requests")

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
        **{name: getattr(row, name) for name in COUNTS},
        "seconds": round(row.duration_seconds, 3),
        "success": row.success,
        "error": row.error_details,
    }


def unreached(symbol: str, run_id: str, sessions: Sequence[date]) -> Account:
    """The account of a symbol whose run ended before it got there."""
    return {
        "symbol": symbol,
        "run_id": run_id,
        "first_session": sessions[0].isoformat(),
        "last_session": sessions[-1].isoformat(),
        "sessions": len(sessions),
        **dict.fromkeys(COUNTS, 0),
        "missing": len(sessions),
        "seconds": 0.0,
        "success": False,
        "error": f"run {run_id} ended before it was reached; the run's page in the Dagster UI says why",
    }


def print_table(accounts: Sequence[Account]) -> None:
    """One line a symbol and the sum, then what went wrong."""
    table = Table(box=box.ASCII2, show_footer=True)
    table.add_column("symbol", "total")
    table.add_column("first")
    table.add_column("last")
    for name in COUNTS:
        table.add_column(name, f"{sum(account[name] for account in accounts):,}", justify="right")
    table.add_column("seconds", f"{sum(account['seconds'] for account in accounts):.1f}", justify="right")
    for account in accounts:
        counts = [f"{account[name]:,}" for name in COUNTS]
        table.add_row(
            account["symbol"], account["first_session"], account["last_session"], *counts, f"{account['seconds']:.1f}"
        )
    # Where the output is no terminal, rich would assume 80 columns and cut the table.
    console = Console(width=max(Console().width, 120), highlight=False)
    console.print(table)
    for account in accounts:
        if not account["success"]:
            typer.echo(f"failed: {account['symbol']}: {account['error']}")


def print_plan(runs: Sequence[RangeRun], requests_per_minute: int, *, as_json: bool) -> None:
    """What a backfill would ask for: symbols, sessions, requests, and the time they take at the rate limit."""
    requests = sum(len(run.symbols) for run in runs)
    plan = {
        "runs": [
            {
                "calendar": run.calendar,
                "symbols": [symbol.name for symbol in run.symbols],
                "first_session": run.sessions[0].isoformat(),
                "last_session": run.sessions[-1].isoformat(),
                "sessions": len(run.sessions),
                "requests": len(run.symbols),
            }
            for run in runs
        ],
        "requests": requests,
        "requests_per_minute": requests_per_minute,
        # The first minute's worth goes out at once; each further one waits for the window to pass.
        "estimated_seconds": 60 * ((requests - 1) // requests_per_minute),
    }
    if as_json:
        typer.echo(json.dumps(plan, indent=2))
        return
    for run in runs:
        names = ", ".join(symbol.name for symbol in run.symbols)
        typer.echo(
            f"{run.calendar}: {len(run.sessions):,} sessions, {run.sessions[0]} to {run.sessions[-1]}, of {names}"
        )
    typer.echo(
        f"{requests:,} requests; at {requests_per_minute:,} a minute they take at least {plan['estimated_seconds']} s. "
        "Nothing was asked or changed."
    )
