"""Results of a backfill: its load records, a dictionary for each symbol, and those for its splits and dividends.

Printed as a table or as JSON.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import typer
from sqlalchemy import Row

from market_pipeline.cli.output import print_columns
from market_pipeline.core.wording import format_count, prefix_symbol
from market_pipeline.warehouse.load_history import BAR_COUNTERS, COUNTERS, LoadResult

if TYPE_CHECKING:  # frames and HTTP take half a second
    from market_pipeline.corporate_action_requests import ActionsResult

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


def print_records(records: Sequence[LoadRecord], actions: Sequence["ActionsResult"] = ()) -> None:
    """Print a table with a line for each symbol and the totals, then splits and dividends, notes and errors."""
    if records:
        _print_table(records)
    for result in actions:
        if result.stored is not None:
            typer.echo(_describe_stored(result))
    for record in records:
        if notes := _select_own_notes(record, actions):
            typer.echo(f"note: {prefix_symbol(record['symbol'], notes)}")
        if not record["success"]:
            typer.echo(f"failed: {prefix_symbol(record['symbol'], record['error'])}")
    for result in actions:
        if result.error is not None:
            typer.echo(f"failed: {result.failure}")


def _print_table(records: Sequence[LoadRecord]) -> None:
    waits = ["waited_seconds"] if any(record["waited_seconds"] for record in records) else []
    print_columns(
        ("symbol", "first_session", "last_session"),
        (*COUNTS, "seconds", *waits),
        records,
        # Seconds have no total: symbols are fetched in parallel.
        totals={name: sum(record[name] for record in records) for name in COUNTS},
    )


def _describe_stored(result: "ActionsResult") -> str:
    stored = result.stored
    assert stored is not None  # noqa: S101 - for mypy
    counters = ", ".join(f"{getattr(stored, name):,} {name}" for name in (*COUNTERS, "removed"))
    symbols = format_count(len(result.plan.symbols), "symbol")
    return f"{result.kind} of {symbols}: {format_count(result.requests, 'request')}, {counters}"


def _select_own_notes(record: LoadRecord, actions: Sequence["ActionsResult"]) -> str:
    """Return a load record's notes without those of failed requests for actions, which are printed once for all."""
    notes: str = record["notes"] or ""
    for result in actions:
        notes = notes.replace(result.note or "", "")
    return notes.strip("; ")


def describe_actions(result: "ActionsResult") -> dict[str, Any]:
    """Return a result for splits or dividends with the field names of the JSON output; counters are null on failure."""
    return {
        "kind": result.kind,
        "symbols": result.plan.symbols,
        "requests": result.requests,
        "waited_seconds": round(result.waited_seconds, 3),
        **{name: getattr(result.stored, name, None) for name in (*COUNTERS, "removed")},
        "success": result.error is None,
        "error": result.error,
    }
