"""Growth: a load's time should grow in proportion to the number of symbols, and its memory not at all.

python -m benchmarks.growth
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine, text

from benchmarks.loaders import Work, load_by_project
from benchmarks.report import Finding, format_seconds, require_at_most, run_command_line
from benchmarks.stage import STORED, Measured, execute_statements, fresh_warehouse, list_stocks, measure, sandbox
from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.warehouse.tracked_symbols import add_symbols

EMPTY = f"TRUNCATE {', '.join(STORED)}, tracked_symbols, symbol_identities"


@dataclass(frozen=True)
class Size:
    """Numbers of symbols, and the sessions of each."""

    symbols: Sequence[int] = (15, 150, 1_500)
    first: date = date(2023, 1, 3)
    last: date = date(2023, 12, 29)
    rounds: int = 2


def run(size: Size) -> Finding:
    """Load for each number of symbols in turns, each in a process of its own."""
    sessions = list_sessions("XNYS", size.first, size.last)
    taken: defaultdict[int, list[Measured]] = defaultdict(list)
    requests: dict[int, int] = {}
    everyone = SandboxConfig(also_listed=frozenset(symbol.name for symbol in list_stocks(max(size.symbols))))
    with sandbox(everyone, cached=True) as base_url, fresh_warehouse() as (settings, engine):
        assert settings.database_url is not None
        for number in range(size.rounds + 1):
            for count in size.symbols:
                symbols = list_stocks(count)
                execute_statements(engine, EMPTY)
                add_symbols(engine, symbols)
                work = Work(base_url, settings.database_url.get_secret_value(), symbols, sessions)
                found = measure(load_by_project, work)
                assert found.result == count * len(sessions), found
                requests[count] = count_requests(engine)
                if number:  # in the first round the sandbox makes its responses
                    taken[count].append(found)
    return build_finding(taken, requests, len(sessions))


def count_requests(engine: Engine) -> int:
    """Return the requests of all load records."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT sum(requests) FROM backfill_history")).scalar_one())


def build_finding(taken: dict[int, list[Measured]], requests: dict[int, int], sessions: int) -> Finding:
    """Return the figures and the goals."""
    least, most = min(taken), max(taken)
    middle = sorted(taken)[len(taken) // 2]
    each = {count: [found.seconds / count for found in several] for count, several in taken.items()}
    mib = {count: [found.mib for found in several] for count, several in taken.items()}
    return Finding(
        f"7. Growth: {', '.join(f'{count:,}' for count in taken)} symbols x {sessions} sessions",
        "The main job, with rules, revisions and load records, from the sandbox's cached responses into PostgreSQL. Up "
        "to as many symbols as sessions it fetches symbol by symbol, beyond that session by session for all.",
        ["symbols", "bars", "requests", "time", "a symbol", "bars/s", "memory"],
        [
            [
                f"{count:,}",
                f"{count * sessions:,}",
                f"{requests[count]:,}",
                format_seconds([found.seconds for found in several]),
                f"{1000 * statistics.median(each[count]):.1f} ms",
                f"{sessions / statistics.median(each[count]):,.0f}",
                f"{statistics.median(mib[count]):,.0f} MiB",
            ]
            for count, several in taken.items()
        ],
        [
            require_at_most(
                f"time a symbol, {most:,} symbols / {middle:,}",
                [one / other for one, other in zip(each[most], each[middle], strict=True)],
                1.2,
            ),
            require_at_most(
                f"memory, {most:,} symbols / {least:,}",
                [one / other for one, other in zip(mib[most], mib[least], strict=True)],
                1.5,
            ),
        ],
        [
            "The memory is the peak, beyond Python and the imported libraries. The fewest requests for more symbols "
            "than sessions are the market's days, each of which holds some of every symbol. They wait in a temporary "
            "file, 0.2 kB a bar, from which a symbol's are read when it is loaded. In memory is where each symbol's "
            "begin in each day, 4 bytes each, and the one day that is being read. Tried: all days in memory, as one "
            "frame and the vendor's JSON, which took 0.35 kB a bar and as much of the processor's time; an SQLite "
            "database in a temporary file, just as flat, which took five times as long to write and read; keeping "
            "the vendor's records as JSON, which took twice as long as pickled.",
        ],
    )


FULL, TINY = Size(), Size(symbols=(2, 30), first=date(2023, 12, 1), rounds=1)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
