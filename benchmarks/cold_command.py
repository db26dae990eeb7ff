"""One symbol's latest session by the command line, from typing to prompt, beside importing Dagster.

python -m benchmarks.cold_command
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import Finding, format_seconds, require_at_most, run_command_line
from benchmarks.stage import build_environment, find_program, fresh_warehouse, sandbox, time_command
from market_pipeline.core.sessions import find_newest_ended_session
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.tracked_symbols import add_symbols


@dataclass(frozen=True)
class Size:
    """Number of starts of each command."""

    rounds: int = 7


def run(size: Size) -> Finding:
    """Start both commands in turns."""
    day = str(find_newest_ended_session("XNYS", datetime.now(UTC)))
    session = ["--symbols", "AAPL", "--start", day, "--end", day]
    backfill: list[str | Path] = [find_program("market-pipeline"), "backfill", *session, "--quiet"]
    importing = [sys.executable, "-c", "import dagster"]
    ours: list[float] = []
    dagster: list[float] = []
    with sandbox() as base_url, fresh_warehouse(base_url) as (settings, engine):
        add_symbols(engine, [Symbol.of("AAPL", "stock")])
        environment = build_environment(settings)
        time_command(backfill, environment)  # creates Dagster's database and the byte code
        for _ in range(size.rounds):
            dagster.append(time_command(importing, environment))
            ours.append(time_command(backfill, environment))
    return Finding(
        "10. One symbol's latest session by the command line",
        f"`market-pipeline backfill --symbols AAPL --start {day} --end {day}`: a process that starts, fetches one bar "
        "from the sandbox, loads and records it as a Dagster run, and ends. The embedded PostgreSQL is running.",
        ["process", "time"],
        [["`python -c 'import dagster'`", format_seconds(dagster)], ["the command", format_seconds(ours)]],
        [
            require_at_most(
                "time, the command / importing Dagster",
                [one / other for one, other in zip(ours, dagster, strict=True)],
                2.5,
            )
        ],
        [
            "What bounds it: importing, which is two thirds of what is beyond importing Dagster: pandas, of which one "
            "bar needs little, SQLAlchemy, psycopg, and what Dagster's storage brings, alembic and parts of its "
            "daemon among it. The rest is Dagster's run, with two to three hundred statements, most of them Dagster's "
            "own, on nine connections. Kept of what was tried: importing only the requested command; the "
            "exchange's closures recorded, not worked out; the schema's revision read without alembic; "
            "Dagster's tables looked for once and not three times; having Python look for garbage less often, and not "
            "at all at the end, which alone was a third of the time. Tried too: ending the process without Python's "
            "tidying up, which is no faster than that."
        ],
    )


FULL, TINY = Size(), Size(rounds=1)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
