"""Results of a market's run, and the state of the markets: as tables, and as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import typer

from market_pipeline.cli.output import print_columns
from market_pipeline.core.markets import Market, Origin
from market_pipeline.core.wording import format_count, quote_command
from market_pipeline.polygon.market_planning import PlannedSession
from market_pipeline.polygon.request_planning import estimate_wait
from market_pipeline.warehouse.market_records import SESSION_COUNTERS, MarketLoadResult
from market_pipeline.warehouse.tracked_markets import MarketSessionState, MarketTotals

if TYPE_CHECKING:  # Dagster takes a second
    from market_pipeline.cli.market_runs import MarketLaunch

MARKET_COUNTS = ("sessions", "corrected", "missing", "symbols", "trading", "ended", "listed")
MOST_LINES = 10
"""The most sessions that are printed one by one, of those that failed or have notes."""

PERIODS = ("%Y-%m-%d", "%Y-%m", "%Y")
MOST_ROWS = 31
"""The most lines of a table: more sessions are summed up by month, more months by year."""


def describe_launch(launch: "MarketLaunch") -> dict[str, Any]:
    """Return a run's results with the field names of the JSON output."""
    return {
        "market": launch.market.name,
        "run_id": launch.run_id,
        "first_session": str(launch.sessions[0]),
        "last_session": str(launch.sessions[-1]),
        "sessions": [_describe_result(result) for result in launch.results.values()],
        "unreached": [str(day) for day in launch.unreached],
        "error": launch.error if launch.unreached else None,
    }


def _describe_result(result: MarketLoadResult) -> dict[str, Any]:
    return {
        "session": str(result.session),
        "origin": result.origin,
        "tickers": result.tickers,
        **{name: getattr(result, name) for name in SESSION_COUNTERS},
        "waited_seconds": round(result.waited_seconds, 3),
        "success": result.error is None,
        "error": result.error,
        "notes": "; ".join(result.notes) or None,
    }


def print_market_plan(
    market: Market, planned: Sequence[PlannedSession], requests_per_minute: int, *, as_json: bool
) -> None:
    """Print the plan of a backfill: sessions, flat files, and grouped requests with their seconds of waiting."""
    first, last = planned[0].session, planned[-1].session
    files = sum(each.origin is Origin.FLAT_FILE for each in planned)
    grouped = len(planned) - files
    wait = round(estimate_wait(grouped, requests_per_minute))
    if as_json:
        plan = {
            "market": market.name,
            "first_session": str(first),
            "last_session": str(last),
            "sessions": len(planned),
            "flat_files": files,
            "grouped_requests": grouped,
            "requests_per_minute": requests_per_minute,
            "estimated_seconds": wait,
        }
        typer.echo(json.dumps(plan, indent=2))
        return
    from_files = f" and from {format_count(files, 'flat file')}, as far as they are published" if files else ""
    typer.echo(
        f"{market.option}: {format_count(len(planned), 'session')}, {first} to {last}, "
        f"by {format_count(grouped, 'grouped request')}{from_files}. At {requests_per_minute:,} requests a minute "
        f"the rate limit makes {'it' if grouped == 1 else 'them'} wait {wait:,} s. "
        "Nothing was requested or changed."
    )


def print_launch(launch: "MarketLaunch") -> None:
    """Print a table of the run's sessions with totals, then the notes, and the sessions that failed with the reason."""
    results = list(launch.results.values())
    if results:
        rows = _sum_up(results)
        totals = {name: sum(row[name] for row in rows) for name in ("sessions", *SESSION_COUNTERS)}
        print_columns(("period", "from"), ("sessions", *SESSION_COUNTERS), rows, totals=totals)
    _print_some("note", {result.session: "; ".join(result.notes) for result in results if result.notes})
    for reason, days in groupby(launch.outside_plan.items(), key=itemgetter(1)):
        typer.echo(f"note: {_list_days([day for day, _ in days])}: {reason}")
    _print_some("failed", launch.failed)
    if launch.unreached:
        typer.echo(
            f"failed: {_list_days(launch.unreached)}: the run ended before: "
            f"{launch.error or 'see its page in the Dagster UI'}"
        )
    if launch.failed or launch.unreached:
        again = quote_command("market-pipeline", "market", "backfill", launch.market.option, "--missing")
        typer.echo(
            f"Fetch them again with `{again}`, or by --start and --end if they are stored from before; "
            "nightly runs do, as far as they reach back."
        )


def _sum_up(results: Sequence[MarketLoadResult]) -> list[dict[str, Any]]:
    """Return a row for each session, month or year, with the sums of its sessions."""
    for period in PERIODS:
        names = dict.fromkeys(f"{result.session:{period}}" for result in results)
        if len(names) <= MOST_ROWS:
            break
    return [_sum(name, [result for result in results if f"{result.session:{period}}" == name]) for name in names]


def _sum(name: str, results: Sequence[MarketLoadResult]) -> dict[str, Any]:
    origins = dict.fromkeys(str(result.origin) for result in results if result.origin)
    sums = {counter: sum(getattr(result, counter) for result in results) for counter in SESSION_COUNTERS}
    return {"period": name, "from": " and ".join(origins), "sessions": len(results), **sums}


def _print_some(kind: str, lines: Mapping[date, str]) -> None:
    for session, line in list(lines.items())[:MOST_LINES]:
        typer.echo(f"{kind}: {session}: {line}")
    if len(lines) > MOST_LINES:
        typer.echo(f"{kind}: {format_count(len(lines) - MOST_LINES, 'session')} more: the view market_sessions has all")


def _list_days(days: Iterable[date]) -> str:
    first, *others = days
    return f"{first} to {others[-1]} ({len(others) + 1:,} sessions)" if others else str(first)


def describe_market(totals: MarketTotals, sessions: Sequence[MarketSessionState]) -> dict[str, Any]:
    """Return a market's state with the field names of the JSON output."""
    values = asdict(totals)
    return {
        **values,
        "market": totals.market.name,
        "first_session": totals.first_session and str(totals.first_session),
        "last_session": totals.last_session and str(totals.last_session),
        "problems": [
            {"session": str(each.date), "state": each.state, "reason": each.reason}
            for each in sessions
            if not each.is_loaded
        ],
    }


def print_markets(markets: Sequence[tuple[MarketTotals, Sequence[MarketSessionState]]]) -> None:
    """Print a line for each market, then its sessions that are not stored, as ranges with the reason."""
    rows = [
        {
            **asdict(totals),
            "market": totals.market.option,
            "tracked": "yes" if totals.active else "no",
            "sessions": sum(each.is_loaded for each in sessions),
            "missing": sum(not each.is_loaded for each in sessions),
        }
        for totals, sessions in markets
    ]
    print_columns(("market", "tracked", "first_session", "last_session"), MARKET_COUNTS, rows)
    gaps = [gap for totals, sessions in markets for gap in _find_gaps(totals.market, sessions)]
    if gaps:
        print_columns(
            ("market", "first_session", "last_session", "state"), ("sessions",), gaps[-MOST_ROWS:], last="reason"
        )
        if len(gaps) > MOST_ROWS:
            typer.echo(f"{len(gaps) - MOST_ROWS:,} older ranges are not printed: --json has all.")
    tracked = {totals.market.option for totals, _ in markets if totals.active}
    for name in dict.fromkeys(gap["market"] for gap in gaps):
        fetch = quote_command("market-pipeline", "market", "backfill", name, "--missing")
        track = "" if name in tracked else f"`{quote_command('market-pipeline', 'market', 'track', name)}`, then "
        typer.echo(f"Fetch what is missing with {track}`{fetch}`.")


def _find_gaps(market: Market, sessions: Sequence[MarketSessionState]) -> list[dict[str, Any]]:
    """Return the sessions that are not stored as ranges with one state and reason."""
    ranges = groupby(sessions, key=lambda each: (each.is_loaded, each.state, each.reason))
    return [
        {
            "market": market.option,
            "first_session": members[0].date,
            "last_session": members[-1].date,
            "state": state,
            "sessions": len(members),
            "reason": reason,
        }
        for (is_loaded, state, reason), members in ((key, list(group)) for key, group in ranges)
        if not is_loaded
    ]
