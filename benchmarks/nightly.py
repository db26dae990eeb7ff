"""A nightly run of many symbols: its requests and its seconds.

python -m benchmarks.nightly
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import requests
from sqlalchemy import text

from benchmarks.report import Finding, format_seconds, require_at_most, run_command_line
from benchmarks.stage import build_environment, fresh_warehouse, list_stocks, sandbox, time_command
from market_pipeline.core.sessions import find_newest_ended_session, list_last_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.tracked_symbols import add_symbols


@dataclass(frozen=True)
class Size:
    """Number of symbols, and of nights measured; then the larger numbers, of each of which one night is measured."""

    symbols: int = 500
    rounds: int = 3
    larger: tuple[int, ...] = (2000, 4000)


@dataclass(frozen=True)
class _Nights:
    """Nights of so many symbols: the seconds and requests of each."""

    symbols: int
    walls: Sequence[float]
    requests: Sequence[float]

    def format_rows(self) -> list[list[str]]:
        """Return the rows of the report."""
        nights = enumerate(zip(self.walls, self.requests, strict=True), start=1)
        return [
            [f"{self.symbols:,}", f"{night}", format_seconds([wall]), f"{count:.0f}"] for night, (wall, count) in nights
        ]


REQUESTS = text(
    "SELECT sum(requests) FROM backfill_history "
    "WHERE run_id = (SELECT run_id FROM backfill_history ORDER BY id DESC LIMIT 1)"
)
"""Requests of the last run."""

MOST_SECONDS = {500: 6, 2000: 15, 4000: 30}
"""The goal of a night, by number of symbols."""


def run(size: Size) -> Finding:
    """Run some nights of the usual number of symbols, and one of each larger number."""
    usual = _run_nights(size.symbols, size.rounds)
    larger = [_run_nights(symbols, 1) for symbols in size.larger]
    sessions = Settings(_env_file=None).backfill_look_back_sessions
    return Finding(
        f"5. A nightly run of {size.symbols} symbols",
        f"{size.symbols} stocks, the last {sessions} sessions of each, {sessions * size.symbols:,} bars of which a "
        "night's are new: a process that starts, plans the night's requests, fetches each session of the "
        "whole market from the sandbox's cache, loads, checks and records every symbol in a Dagster run, and ends. "
        "Then the same with more symbols.",
        ["symbols", "night", "time", "requests"],
        [row for nights in (usual, *larger) for row in nights.format_rows()],
        [
            require_at_most("requests", usual.requests, sessions, "requests"),
            require_at_most("the process, from start to end", usual.walls, MOST_SECONDS.get(size.symbols, 6), "s"),
            *(
                require_at_most(
                    f"the same, {nights.symbols:,} symbols", nights.walls, MOST_SECONDS[nights.symbols], "s"
                )
                for nights in larger
            ),
        ],
        [
            "What bounds it: Python, most of it importing and Dagster's run and its events, the rest fetching, "
            "checking and loading. Tried and kept: symbols "
            "with few bars are loaded together, so that each step of the load is one statement for all of them, and "
            "what was materialized is recorded together too; events of a kind are serialized from one template; the "
            "run's plan is looked for without reading it back; pandas isn't imported for grouped bars; no output a "
            "symbol; no frames of a load's few bars; lines of the log that are written together, and not waited for "
            "until they are on the disk; collecting garbage seldom before the imports, as every command does, and not "
            "after them; and, found by EXPLAIN ANALYZE, counting the coverage of a step's fifty symbols, not ten times "
            "that of all. Tried and dropped, because it made no difference: having Python's threads take turns more "
            "often.",
        ],
    )


def _run_nights(symbols: int, rounds: int) -> _Nights:
    """Run nights in a new warehouse. The first does not count: it has no history to look back on."""
    latest = find_newest_ended_session("XNYS", datetime.now(UTC))
    assert latest is not None
    walls: list[float] = []
    counts: list[float] = []
    with sandbox(cached=True) as base_url, fresh_warehouse(base_url) as (settings, engine):
        add_symbols(engine, list_stocks(symbols))
        environment = build_environment(settings)
        nights = list_last_sessions("XNYS", latest, rounds + 1)
        _cache_responses(
            base_url, symbols, list_last_sessions("XNYS", latest, rounds + settings.backfill_look_back_sessions)
        )
        # Only a night's usual sessions: a symbol's first night would load a year.
        reach_back = {"BACKFILL_REACH_BACK_SESSIONS": str(settings.backfill_look_back_sessions)}
        for night in nights:
            walls.append(
                time_command(
                    [sys.executable, "-m", "benchmarks.nightly_run", str(night)], {**environment, **reach_back}
                )
            )
            reach_back = {}
            with engine.connect() as connection:
                counts.append(float(connection.execute(REQUESTS).scalar_one()))
    return _Nights(symbols, walls[1:], counts[1:])


def _cache_responses(base_url: str, symbols: int, sessions: Sequence[date]) -> None:
    """Have the sandbox know of the symbols, and cache its responses: making that of 4,000 symbols takes it 3 s."""
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer sandbox"
        ranges = (
            f"ticker/{symbol.vendor_ticker}/range/1/day/{sessions[0]}/{sessions[0]}" for symbol in list_stocks(symbols)
        )
        for path in (*ranges, *(f"grouped/locale/us/market/stocks/{day}" for day in sessions)):
            session.get(f"{base_url}/v2/aggs/{path}?adjusted=false", timeout=60).raise_for_status()


FULL, TINY = Size(), Size(symbols=8, rounds=1, larger=())

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
