"""Seconds that Dagster waits for the project's definitions, by the number of tracked symbols.

python -m benchmarks.definitions_load
"""

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.report import Finding, require_at_most, run_command_line
from benchmarks.stage import build_environment, execute_statements, fresh_warehouse, list_stocks
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.tracked_symbols import add_symbols

GOALS = {15: 0.5, 500: 1.0, 2_000: 3.0}
"""The most seconds by number of symbols, without the import of Dagster."""


@dataclass(frozen=True)
class Size:
    """Numbers of symbols, and the loads of each."""

    symbols: tuple[int, ...] = tuple(GOALS)
    rounds: int = 3


def run(size: Size) -> Finding:
    """Load the definitions for each number of symbols."""
    taken: defaultdict[int, list[dict[str, float]]] = defaultdict(list)
    with fresh_warehouse() as (settings, engine):
        load_definitions(settings)  # dbt parses its project once after each change
        for count in size.symbols:
            execute_statements(engine, "TRUNCATE tracked_symbols, symbol_identities")
            add_symbols(engine, list_stocks(count))
            for _ in range(size.rounds):
                taken[count].append(load_definitions(settings))
    return build_finding(taken)


def load_definitions(settings: Settings) -> dict[str, float]:
    """Load the definitions in a new process, and return the seconds of each part."""
    command = [sys.executable, "-m", "benchmarks.definitions_parts"]
    parts: dict[str, float] = json.loads(subprocess.check_output(command, env=build_environment(settings)))
    return parts


def build_finding(taken: dict[int, list[dict[str, float]]]) -> Finding:
    """Return the figures and the goals."""
    parts = list(next(iter(taken.values()))[0])
    beyond = {
        count: [sum(each.values()) - each["import dagster"] for each in several] for count, several in taken.items()
    }
    rows = [
        [part, *(f"{statistics.median(each[part] for each in several):.2f} s" for several in taken.values())]
        for part in parts
    ]
    rows.append(["all beyond importing Dagster", *(f"{statistics.median(each):.2f} s" for each in beyond.values())])
    return Finding(
        "9. Loading the definitions",
        "A new process each time, as a code location starts: importing, reading the tracked symbols, building the "
        "assets, checks, schedules, sensors and dbt's models, and Dagster's repository of them.",
        ["part", *(f"{count:,} symbols" for count in taken)],
        rows,
        [
            require_at_most(f"{count:,} symbols, beyond importing Dagster", beyond[count], GOALS.get(count, 1.0), "s")
            for count in taken
        ],
        [
            "What bounds it: of few symbols, importing SQLAlchemy, psycopg and what Dagster doesn't import by itself; "
            "of many, Dagster, which makes an output of each asset and each check and looks through the type of each. "
            "Kept of what was tried: frames, HTTP, alembic and the parts of Dagster's daemon are imported only by "
            "runs; the exchange's closures are recorded, not computed; dbt's models and tests are "
            "declared from its manifest just as dagster-dbt would declare them, which brings dbt and a second; each "
            "calendar's partitions are hashed once, where Dagster hashes the text of all holidays three times an "
            "asset; and Python collects garbage seldom, and what was made here is left out for good. Collecting seldom "
            "alone only puts it off."
        ],
    )


FULL, TINY = Size(), Size(symbols=(3,), rounds=1)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
