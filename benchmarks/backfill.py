"""A first backfill by the command line, from typing to prompt: its seconds, and those of its parts.

python -m benchmarks.backfill
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.report import Finding, format_seconds, require_at_most, run_command_line
from benchmarks.stage import build_environment, find_program, fresh_warehouse, sandbox, time_command
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import DEFAULT_BACKFILL, Symbol
from market_pipeline.warehouse.tracked_symbols import add_symbols


@dataclass(frozen=True)
class Size:
    """Symbols, dates and rounds of the backfill."""

    symbols: Sequence[str] = DEFAULT_BACKFILL
    start: str = "2020-01-01"
    end: str = "2024-12-31"
    rounds: int = 3


def run(size: Size) -> Finding:
    """Run the backfill as it is and with its parts timed, in turns, each time into a new database."""
    arguments = ["backfill", "--symbols", ",".join(size.symbols), "--start", size.start, "--end", size.end]
    walls: list[float] = []
    parts: list[dict[str, float]] = []
    with sandbox() as base_url:
        for _ in range(size.rounds):
            with fresh_warehouse(base_url) as (settings, engine):
                track_stocks(engine, size.symbols)
                walls.append(
                    time_command([find_program("market-pipeline"), *arguments, "--quiet"], build_environment(settings))
                )
                bars = count_bars(engine)
            with fresh_warehouse(base_url) as (settings, engine):
                track_stocks(engine, size.symbols)
                parts.append(time_parts(settings, arguments))
                assert count_bars(engine) == bars
    shares = [max(each.values()) / sum(each.values()) for each in parts]
    return Finding(
        f"4. A first backfill of {len(size.symbols)} symbols x 5 years by the command line",
        f"`market-pipeline {' '.join(arguments)}` into an empty warehouse and Dagster database: {bars:,} bars, "
        "fetched from the sandbox, checked, loaded and recorded as one Dagster run of as many partitions. In every "
        "other run the parts are timed, with a clock around the functions that do them; some symbols are fetched "
        "while others are checked and loaded, so these are one part.",
        ["part", "time", "share"],
        [
            [
                name,
                format_seconds([each[name] for each in parts]),
                f"{statistics.median(each[name] / sum(each.values()) for each in parts):.0%}",
            ]
            for name in parts[0]
        ],
        [
            require_at_most("the command, from start to end", walls, 25, "s"),
            require_at_most("share of its largest part", [100 * share for share in shares], 50, "%"),
        ],
        [
            "What bounds it: importing Dagster, SQLAlchemy and pandas, and writing two events a partition, one planned "
            "and one materialized, of which the UI's cells are made. Tried: writing them in batches as Dagster makes "
            "them, which took 11 s, most of it Dagster's own code that makes, logs and serializes each. Kept: an event "
            "is made once for all partitions of a symbol, and PostgreSQL puts each one's name into it; the loading of "
            "the next symbols goes on meanwhile."
        ],
    )


def track_stocks(engine: Engine, names: Sequence[str]) -> None:
    """Track these stocks."""
    add_symbols(engine, [Symbol.of(name, "stock") for name in names])


def count_bars(engine: Engine) -> int:
    """Count the loaded bars."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM market_data")).scalar_one())


def time_parts(settings: Settings, arguments: Sequence[str]) -> dict[str, float]:
    """Run the backfill in a new process, and return the seconds of its parts."""
    child = [sys.executable, "-m", "benchmarks.backfill_parts", str(time.time()), *arguments]
    folder = Path(__file__).parents[1]
    output = subprocess.check_output(child, env=build_environment(settings), cwd=folder, text=True)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


FULL, TINY = Size(), Size(symbols=("AAPL", "MSFT"), start="2024-12-01", rounds=1)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
