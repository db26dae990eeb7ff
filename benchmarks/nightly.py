"""A nightly run of many symbols: its requests and its seconds.

python -m benchmarks.nightly
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import requests

from benchmarks.report import Finding, at_most, command, seconds
from benchmarks.stage import environment_of, fresh_warehouse, sandbox, stocks, wall_seconds
from market_pipeline.core.sessions import last_sessions, latest_ended_session
from market_pipeline.warehouse.tracked_symbols import add_symbols


@dataclass(frozen=True)
class Size:
    """Number of symbols, and of nights measured."""

    symbols: int = 500
    rounds: int = 3


def run(size: Size) -> Finding:
    """Run some nights. The first does not count: it has no history to look back on."""
    latest = latest_ended_session("XNYS", datetime.now(UTC))
    assert latest is not None
    walls: list[float] = []
    counts: list[float] = []
    with sandbox() as base_url, fresh_warehouse(base_url) as (settings, engine):
        add_symbols(engine, stocks(size.symbols))
        look_back = settings.backfill_look_back_sessions
        environment = environment_of(settings)
        # Only a night's usual sessions: a symbol's first night would load a year.
        reach_back = {"BACKFILL_REACH_BACK_SESSIONS": str(look_back)}
        for night in last_sessions("XNYS", latest, size.rounds + 1):
            requests.post(f"{base_url}/_sandbox/reset", timeout=10).raise_for_status()
            walls.append(
                wall_seconds(
                    [sys.executable, "-m", "benchmarks.nightly_run", str(night)], {**environment, **reach_back}
                )
            )
            reach_back = {}
            counts.append(len(requests.get(f"{base_url}/_sandbox/stats", timeout=10).json()["timestamps"]))
    return Finding(
        f"5. A nightly run of {size.symbols} symbols",
        f"{size.symbols} stocks, the last {look_back} sessions of each, {look_back * size.symbols:,} bars of which a "
        "night's are new: a process that starts, plans the night's requests, fetches each session of the "
        "whole market from the sandbox, loads, checks and records every symbol in a Dagster run, and ends.",
        ["night", "time", "requests"],
        [
            [f"{number}", seconds([wall]), f"{count:.0f}"]
            for number, (wall, count) in enumerate(zip(walls[1:], counts[1:], strict=True), start=1)
        ],
        [
            at_most("requests", counts[1:], look_back, "requests"),
            at_most("the process, from start to end", walls[1:], 15, "s"),
        ],
        [
            "What bounds it: Python, which is busy nine tenths of the time: more than a third is importing, a third "
            "Dagster's run and its events, the rest fetching, checking and loading. Tried and kept: symbols with few "
            "bars are loaded together, so that each step of the load is one statement for all of them, and what was "
            "materialized is recorded together too; events of a kind are serialized from one template; the run's "
            "plan is looked for without reading it back; pandas isn't imported for grouped bars; no output a "
            "symbol; no frames of a load's few bars; lines of the log that aren't waited for until they are on the "
            "disk; and, found by EXPLAIN ANALYZE, counting the coverage of a step's fifty symbols, not ten times that "
            "of all. Tried and dropped, because it made no difference: having Python's threads take turns more often.",
        ],
    )


FULL, TINY = Size(), Size(symbols=8, rounds=1)

if __name__ == "__main__":
    command(run, FULL, TINY)
